"""Tasks, cancelled at any moment in any order, leave nothing behind.

10,000 seeds by default; `STORM_SEEDS=1000000 pytest tests/storms` runs more, `STORM_SEED="reloads 17"` one of them again.
"""

import os

import pytest

from tests.storms.scenarios import SCENARIOS

SEEDS = int(os.environ.get("STORM_SEEDS", "10000")) // len(SCENARIOS) + 1  # of each scenario
AGAIN = os.environ.get("STORM_SEED")
PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_behind(name, part):
    seeds = [f"{name} {seed}" for seed in range(part, SEEDS, PARTS)]
    for seed in seeds if AGAIN is None else {AGAIN} & set(seeds):
        SCENARIOS[name].storm(seed)
