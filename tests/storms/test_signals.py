"""Signals whose handler raises (Ctrl-C, an alarm, a soft time limit), at any moment of a call: nothing stays taken."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.untraced import untraced

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals at a given time are of Unix")
@pytest.mark.parametrize(("others", "failing"), [(0, 3), (3, 3), (0, 0)])
@pytest.mark.parametrize("way", ["enter", "stack", "places"])
def test_wherever_a_signal_strikes_everything_is_free_afterwards(way, others, failing):
    """Other threads hold places, wait for them, and are handed them by whoever is struck. Whoever traces is struck, too."""
    command = [sys.executable, "-m", "tests.storms.struck", str(others), str(failing), way]
    said = subprocess.run(command, env=untraced(), cwd=ROOT, check=False, capture_output=True, text=True)
    assert ("0 0 0 0 0\n", 0) == (said.stdout, said.returncode), said.stderr
