"""The collector runs when told, over what the test has made: seeds repeat, and are quick."""

import gc

import pytest


@pytest.fixture(autouse=True)
def collected_by_hand():
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
