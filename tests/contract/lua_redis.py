"""A Redis of a few commands in a dictionary, with a real Lua: for counting lines, other Luas, and planted bugs."""

from __future__ import annotations

import re
from typing import Any

import lupa.lua51
import lupa.lua54

TICK_US = 1_000  # what a script takes at least

PROLOGUE = """
local text, call, seen = ...
setmetatable(_G, {__newindex = function(_, name) error('a global: ' .. name) end})
rawset(_G, 'redis', {call = call})
local chunk = assert((loadstring or load)(text))
if seen then
  local hits, active, defined = seen.hits, seen.active, seen.defined
  debug.sethook(function(event, line)
    if event == 'line' then
      hits[line] = true
    else
      local info = debug.getinfo(2, 'SL')
      if info.what ~= 'C' and not defined[info.linedefined] then
        defined[info.linedefined] = true
        for number in pairs(info.activelines or {}) do active[number] = true end
      end
    end
  end, 'lc')
end
return function(keys, argv)
  rawset(_G, 'KEYS', keys)
  rawset(_G, 'ARGV', argv)
  return chunk()
end
"""


class LuaRedis:
    """Run frames as Redis would. Every argument of a command must be text: a number could be written in other ways."""

    passed_ms = 0

    def __init__(self, source: str, *, lua: Any = lupa.lua51, count_lines: bool = False) -> None:
        self.values: dict[str, str] = {}
        self.lifetimes_ms: dict[str, int] = {}
        self.now_us = 1_700_000_000_000_000
        self.source = source
        self._runtime = lua.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        table = self._runtime.table
        self.seen = table(hits=table(), active=table(), defined=table()) if count_lines else None
        self._run = self._runtime.execute(PROLOGUE, source, self._call, self.seen)

    def run(self, frame: bytes) -> bytes:
        words = words_of(frame)
        self.now_us += TICK_US
        size = int(words[2])
        keys, argv = words[3 : 3 + size], words[3 + size :]
        table_from = self._runtime.table_from
        return self._run(table_from(keys), table_from(argv)).encode()

    def lifetimes(self, keys: list[str]) -> tuple[int, list[int]]:
        return len(self.values), [self.lifetimes_ms.get(key, -1) for key in keys]

    def clear(self) -> None:
        self.values.clear()
        self.lifetimes_ms.clear()

    def lines_missed(self) -> list[str]:
        """Return each line that could have run and did not, and the first of each function that nobody called."""
        assert self.seen is not None
        lines = self.source.splitlines()
        functions = {place for place, line in enumerate(lines, 1) if re.search(r"^[^-]*\bfunction\b", line)}
        missed = (set(self.seen.active) - set(self.seen.hits)) | (functions - set(self.seen.defined))
        return [f"{place}: {lines[place - 1]}" for place in sorted(missed) if lines[place - 1].strip() != "end"]

    def _call(self, name: str, *args: Any) -> Any:
        assert all(isinstance(arg, str) for arg in args), (name, args)
        return getattr(self, f"_{name.lower()}")(*args)

    def _time(self) -> Any:
        return self._runtime.table(str(self.now_us // 1_000_000), str(self.now_us % 1_000_000))

    def _get(self, key: str) -> str | bool:
        return self.values.get(key, False)

    def _getrange(self, key: str, first: str, last: str) -> str:
        return self.values.get(key, "")[int(first) : int(last) + 1]

    def _strlen(self, key: str) -> int:
        return len(self.values.get(key, ""))

    def _set(self, key: str, value: str) -> None:
        self.values[key] = value
        self.lifetimes_ms.pop(key, None)

    def _psetex(self, key: str, lifetime_ms: str, value: str) -> None:
        assert int(lifetime_ms) > 0
        self.values[key], self.lifetimes_ms[key] = value, int(lifetime_ms)

    def _setrange(self, key: str, first: str, text: str) -> None:
        value = self.values.get(key, "").ljust(int(first), "\0")
        self.values[key] = value[: int(first)] + text + value[int(first) + len(text) :]

    def _pexpire(self, key: str, lifetime_ms: str) -> None:
        if key in self.values:
            self.lifetimes_ms[key] = int(lifetime_ms)

    def _del(self, key: str) -> None:
        self.values.pop(key, None)
        self.lifetimes_ms.pop(key, None)


def words_of(frame: bytes) -> list[str]:
    """Return the words of a command, whose lengths must be right."""
    head, rest = frame.split(b"\r\n", 1)
    words = []
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        length = int(size[1:])
        assert rest[length : length + 2] == b"\r\n"
        words.append(rest[:length].decode("latin-1"))
        rest = rest[length + 2 :]
    assert int(head[1:]) == len(words)
    return words
