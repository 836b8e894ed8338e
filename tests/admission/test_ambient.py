"""Attributes of the call around us hold inside their block and the tasks started in it, and nowhere else."""

import asyncio
import contextvars

import pytest

from guardrail import attributes
from guardrail.admission.ambient import around
from tests.admission.scene import decided, guard_of, limit


def seen(*names):
    return [around(name) for name in names]


def test_they_hold_inside_the_block():
    assert [None] == seen("user")
    with attributes(user="u1"):
        assert ["u1"] == seen("user")
    assert [None] == seen("user")


def test_inner_blocks_add_to_outer_ones_and_go_before_them():
    with attributes({"header.x-tenant": "acme"}, user="u1"):
        with attributes(user="u2", plan="free"):
            assert ["acme", "u2", "free"] == seen("header.x-tenant", "user", "plan")
        assert ["acme", "u1", None] == seen("header.x-tenant", "user", "plan")


def test_one_block_may_be_entered_many_times():
    block = attributes(user="u1")
    with block, attributes(user="u2"), block:
        assert ["u1"] == seen("user")
    assert [None] == seen("user")


def test_they_end_with_an_error_too():
    with pytest.raises(OSError, match="inside"):
        with attributes(user="u1"):
            raise OSError("inside")
    assert [None] == seen("user")


def test_tasks_started_inside_have_them_and_keep_their_own():
    async def task(user):
        with attributes(user=user):
            await asyncio.sleep(0)
            return seen("tenant", "user")

    async def main():
        with attributes(tenant="acme"):
            tasks = [asyncio.create_task(task(user)) for user in ("u1", "u2")]
        return await asyncio.gather(*tasks), seen("tenant", "user")

    assert ([["acme", "u1"], ["acme", "u2"]], [None, None]) == asyncio.run(main())


def test_a_block_that_ends_in_another_context_changes_nothing_there():
    """As that of a generator can, which is closed by the collector."""
    block = attributes(user="u1")
    contextvars.copy_context().run(block.__enter__)
    with attributes(user="u2"):
        block.__exit__(None, None, None)
        assert ["u2"] == seen("user")


def test_blocks_that_end_in_another_order_take_those_inside_along():
    outer, inner = attributes(user="u1"), attributes(plan="free")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert [None, None] == seen("user", "plan")
    inner.__exit__(None, None, None)
    assert [None, None] == seen("user", "plan")


def test_rules_find_them_where_the_call_does_not_say(clock):
    guard = guard_of(clock, limit("3/min", key="user"))
    with attributes(user="u1"):
        assert [2, 2, 1, 0] == [
            decided(guard).remaining,
            decided(guard, attributes={"user": "u2"}).remaining,
            decided(guard, attributes={"user": None}).remaining,
            decided(guard, attributes={"plan": "free"}).remaining,
        ]
