"""What holds for every test: no time limit per example, and no settings from the shell that started it."""

import os

from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, not of the law under test.
settings.register_profile("guardrail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guardrail")

for name in [name for name in os.environ if name.startswith("GUARDRAIL_")]:
    del os.environ[name]
