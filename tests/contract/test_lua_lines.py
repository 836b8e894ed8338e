"""Every line of Lua runs and says what core says, in the Lua of Redis and in 5.4; and a bug in one does not go unseen."""

from __future__ import annotations

import lupa.lua51
import lupa.lua54
import pytest

from guardrail.stores import scripts
from tests.contract.lua_redis import LuaRedis
from tests.contract.twin_histories import play

SOURCE = scripts.admit().source.decode()
HISTORIES = 1_500

BUGS = [
    ("a clock that steps back refills", "max(0, now_us - last_us)", "now_us - last_us"),
    ("a wait is rounded down", "return ceil(shortage / limit.r) <=", "return floor(shortage / limit.r) <="),
    ("what never fits is made to wait", "if cost > limit.burst then return false end", ""),
    ("a bucket holds less than its burst", "debt - (limit.capacity_debt - cost * limit.p)", "debt - (limit.capacity_debt - 1 - cost * limit.p)"),
    ("a debt is not cut off", "min(debt + cost * limit.p, LARGEST)", "debt + cost * limit.p"),
    ("adopting rounds down", "debt = ceil(debt / old.p) * limit.p", "debt = floor(debt / old.p) * limit.p"),
    (
        "adopting does not cut off",
        "return min(debt, limit.capacity_debt + limit.max_wait_us * limit.r)",
        "return debt",
    ),
    ("what has waited is given back", "if charge.waited and not newest then", "if false then"),
    ("what somebody waits for is given back", "if standing > limit.capacity_debt then", "if false then"),
    ("what was cut off is given back", "if charge.debt == LARGEST then", "if false then"),
    ("what has drained is given back", "max(0, cost * limit.p - elapsed_us * limit.r)", "cost * limit.p"),
    ("a window counts on", "index <= window and count or 0", "count"),
    ("a step back opens a window", "index <= window and count or 0", "index == window and count or 0"),
    ("another window's charge is given back", "~= charged then return", "~= charged and false then return"),
    ("a window ends a microsecond late", "(gone_us(old, window) - 1)", "gone_us(old, window)"),
    ("a counter leaves early", "state[first] < index - SUB_WINDOWS do", "state[first] < index - SUB_WINDOWS + 1 do"),
    ("counters move beyond the newest", "min(newest, floor(((state", "(floor(((state"),
    ("counters move to where they began", "(state[i] + 1) * sub_us - 1 + by_us", "state[i] * sub_us + by_us"),
    ("a unit leaves late", "return time_at(state, place) > time_us end", "return time_at(state, place) >= time_us end"),
    ("a moved log is read unmoved", "return entry(state.entries, place) + state.shift_us", "return (entry(state.entries, place))"),
    ("dropped units count again", "state.first = first\n", "\n"),
    ("a changed entry is not written", "  entries.stored = min(entries.stored, place - 1)\n  entries.count = max", "  entries.count = max"),
    ("a compacted log forgets what is gone", "head(header, state, 1)", "head(header, state, first)"),
    ("a log is told for another cost", "local excess = all + cost - limit.limit", "local excess = all - limit.limit"),
    ("a peek writes", "if step.peeks then return end", ""),
    ("a peek of two writes", "if plan[start].peeks then return end", ""),
    ("one refuses, the others charge", "allowed and allows[place])", "allows[place])"),
    ("one that watches refuses", "allowed = allowed and (allows[place] or step.watches)", "allowed = allowed and allows[place]"),
    ("one that watches refuses alone", "(allowed or step.watches) and '1'", "allowed and '1'"),
    ("another life's charge is given back", "or kept.era ~= step.era", ""),
    ("a charge of the future is given back", "or now_us < charge.at_us", ""),
    ("a moved state is the same life", "if ahead or written ~= limit then era", "if written ~= limit then era"),
    ("an adopted state is the same life", "if ahead or written ~= limit then era", "if ahead then era"),
    ("a state born again is the same life", "if changed[key] then end_life() end", ""),
    ("a step back is not written by a refusal", "if charges or ahead then", "if charges then"),
    ("other numbers are not adopted", "if written ~= limit then first, second = twin.adopt", "if false then first, second = twin.adopt"),
    ("another algorithm's state is read", "if not written or written.letter ~= limit.letter then\n    local", "if not written then\n    local"),
    ("each decision reads what is stored", "local kept = changed[key]\n  if kept then return kept end", "local kept"),
    ("a key has no TTL", "call('PSETEX', key, lifetime_ms, limit", "call('SET', key, limit"),
    ("a log has no TTL", "    call('PEXPIRE', key, lifetime_ms)\n", "    redis.call('DEL', key)\n"),
    ("a TTL is rounded down", "ceil(idle_us / 1000)", "floor(idle_us / 1000)"),
    ("a TTL runs out on a clock that is given", "ARGV[1] + 0.0, 60000", "ARGV[1] + 0.0, 1"),
    ("what is idle stays", "if idle_us <= 0 then", "if not limit then"),
    ("numbers are rounded", "format('%.0f', number)", "tostring(number)"),
]  # fmt: skip


def test_every_line_runs_and_says_what_core_says():
    redis = LuaRedis(SOURCE, count_lines=True)
    for seed in range(HISTORIES):
        play(seed, redis)
    assert [] == redis.lines_missed()


def test_lua_5_4_says_the_same_although_its_integers_wrap():
    """Dragonfly runs it."""
    redis = LuaRedis(SOURCE, lua=lupa.lua54)
    for seed in range(HISTORIES):
        play(seed, redis)


@pytest.mark.parametrize(("old", "new"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_planted_bug_is_found(old, new):
    assert old in SOURCE
    redis = LuaRedis(SOURCE.replace(old, new))
    with pytest.raises((AssertionError, ValueError, lupa.lua51.LuaError)):
        for seed in range(8 * HISTORIES):
            play(seed, redis, batches=8)
