"""Tasks, cancelled at any moment in any order, leave nothing behind.

10,000 seeds by default; `STORM_SEEDS=1000000 pytest tests/storms` runs more, `STORM_SEED="reloads 17"` one of them.
"""

import os

import pytest

from tests.storms.scenarios import SCENARIOS

SEEDS = int(os.environ.get("STORM_SEEDS", "10000")) // len(SCENARIOS)
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_behind(name, part):
    for seed in range(part, SEEDS, PARTS):
        SCENARIOS[name].storm(f"{name} {seed}")
