"""Scripts are joined from lua/, wherever that is, and named as Redis names them."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import pytest

from guardrail.stores import scripts

LUA = Path(scripts.__file__).parents[3] / "lua"


def test_a_script_has_the_name_that_redis_gives_it():
    for script in (scripts.admit(), scripts.heartbeat()):
        assert sha1(script.source).hexdigest() == script.sha


def test_all_files_of_lua_are_used():
    sources = scripts.admit().source + scripts.heartbeat().source
    names = [path.stem for path in sorted(LUA.glob("*.lua"))]
    assert sorted(["admit", "heartbeat", "numbers", *scripts.TWINS]) == names
    assert all([scripts.read_lua(name).encode() in sources for name in names])


def test_twins_become_functions_between_what_they_use_and_who_calls_them():
    assert "first\nlocal function a()\ntwin\nend\nlast\n" == scripts.joined("first\n", {"a": "twin\n"}, "last\n")


def test_an_installed_package_brings_its_own(tmp_path, monkeypatch):
    (tmp_path / "_lua").mkdir()
    (tmp_path / "_lua" / "admit.lua").write_text("return 'installed'\n")
    monkeypatch.setattr(scripts, "files", lambda package: tmp_path)
    assert "return 'installed'\n" == scripts.read_lua("admit")
    assert (LUA / "numbers.lua").read_text() == scripts.read_lua("numbers")


@pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.name)
def test_lua_is_short_ascii_and_opens_with_its_law(path):
    text = path.read_text()
    assert text.isascii()
    assert text.startswith("-- ")
    assert "\n-- Law: " in text[:600]
    assert [] == [line for line in text.splitlines() if len(line) > 120 or line.endswith(" ")]
    assert len(text.splitlines()) <= 300
