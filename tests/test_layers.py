"""The house stands as designed: every import in src/guardrail is one that the table allows.

All imports count: those inside of functions, those for type checkers only, relative ones and `import_module("...")`.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "guardrail"
FACE = "__init__"
ANYTHING = "*"

# What adapters may use of the house: of the rules only what names and numbers are written like.
HOUSE = "default guard admission decorators.options rules core clock errors telemetry.events"

# room: what it may import of this house, and of third parties. A room is a file or folder of src/guardrail; a more
# exact row ("telemetry/log") goes before that of its folder. A dotted name admits only that module of a room.
TABLE: dict[str, str] = {
    "core": "",
    "errors": "core",
    "clock": "core",
    "rules": "core errors | pydantic pydantic_core yaml",
    "telemetry/prometheus": "default core errors | prometheus_client",
    "telemetry/otel": "core errors | opentelemetry",
    "telemetry": "core errors",
    "sources": "core rules clock errors telemetry.events | watchfiles",
    "stores/wires": "stores | redis",  # the one place that imports redis-py
    "stores": "core rules.durations rules.spelling clock errors telemetry.events telemetry.histogram telemetry.snapshot",
    "admission": "core clock errors rules stores.protocol telemetry",
    "decorators": "admission rules core clock errors | wrapt",
    "adapters/httpx": f"{HOUSE} | httpx",
    "adapters/httpx2": f"{HOUSE} | httpx2",
    "adapters/requests": f"{HOUSE} | requests",
    "adapters/aiohttp": f"{HOUSE} | aiohttp",
    "adapters/celery": f"{HOUSE} | celery kombu",
    "adapters/http/page": f"{HOUSE} telemetry.prometheus",
    "adapters/fastapi": f"{HOUSE} | fastapi starlette",
    "adapters/django": f"{HOUSE} | asgiref django",
    "adapters/grpc/status": f"{HOUSE} | grpc google",
    "adapters/grpc/client": f"{HOUSE} | grpc wrapt",
    "adapters/grpc": f"{HOUSE} | grpc",
    "adapters/grpc_aio": f"{HOUSE} | grpc",
    "adapters": HOUSE,
    "options": "decorators stores rules core errors",
    "rulebook": "decorators admission stores rules sources telemetry core clock errors",
    "guard": "control options rulebook decorators admission stores rules sources telemetry core clock errors",
    "control": "default guard admission.forks admission.call rules.spelling telemetry core errors",
    "default": "guard rulebook decorators admission",
    "testing": "default guard admission core clock errors telemetry.events | pytest",
    "cli": "* | *",
    "__main__": "cli",
    FACE: "default guard admission stores rules telemetry core errors",
}

# What the pure layer leaves alone even though the standard library has it.
IMPURE = frozenset(
    "asyncio concurrent contextvars datetime io logging multiprocessing os pathlib queue random secrets select signal "
    "socket subprocess sys tempfile threading time urllib uuid warnings weakref".split(),
)


class Import(NamedTuple):
    """One imported module and where it stands; `module` is None where no reader can tell it."""

    module: str | None
    line: int


def imports_of(path: Path, module: str, modules: set[str]) -> Iterator[Import]:
    """Yield everything that a file imports, relative names resolved against *module*, its own name."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name, node.lineno)
            case ast.ImportFrom(module=origin, names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                source = ".".join([*above, origin] if origin else above)
                for alias in names:
                    inner = f"{source}.{alias.name}"
                    yield Import(inner if inner in modules else source, node.lineno)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]) if name in {
                "import_module",
                "__import__",
            }:
                known = isinstance(first, ast.Constant) and isinstance(first.value, str)
                yield Import(first.value if known else None, node.lineno)


def violations(package: Path, table: Mapping[str, str]) -> list[str]:
    """Return one sentence for each import that the table does not allow and each row or room without the other."""
    files = {dotted(path, package): path for path in sorted(package.rglob("*.py"))}
    found = []
    used = set()
    for module, path in files.items():
        place = path.relative_to(package)
        row = row_of(place, table)
        if row is None:
            found.append(f"{place}: no such room; first find it a row in the table")
            continue
        used.add(row)
        house, _, third = (part.split() for part in table[row].partition("|"))
        for imported, line in imports_of(path, module, set(files)):
            if not allowed(imported, row, package.name, house, third):
                found.append(f"{place}:{line}: {row} may not import {imported or 'what cannot be read off the source'}")
    found += [f"{row}: a row without a room" for row in table if row not in used]
    return found


def allowed(imported: str | None, row: str, package: str, house: list[str], third: list[str]) -> bool:
    """Tell whether a room may import a module."""
    if imported is None:
        return row == FACE  # loads lazily, by a table of its own; tests/test_public_api.py holds that to this house
    top, _, inner = imported.partition(".")
    if top == package:
        own = row.partition("/")[0]
        room = inner or FACE
        return ANYTHING in house or any(within(room, name) for name in [own, *house] if name != FACE)
    if top in sys.stdlib_module_names:
        return row != "core" or top not in IMPURE
    return top in third or ANYTHING in third


def within(module: str, name: str) -> bool:
    """Tell whether *module* is *name* or lies inside of it."""
    return module == name or module.startswith(f"{name}.")


def row_of(place: Path, table: Mapping[str, str]) -> str | None:
    """Return the first row that is the file, without its ending, or one of the folders it lies in."""
    parts = place.with_suffix("").parts
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((row for row in table if row in paths), None)


def dotted(path: Path, package: Path) -> str:
    """Return the name under which a file is imported."""
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_import_is_one_that_the_table_allows():
    assert "" == "\n".join(violations(PACKAGE, TABLE))


FAKE_TABLE = {
    "core": "",
    "rules": "core | yaml",
    "telemetry": "core",
    "guard": "rules telemetry.events",
    "cli": "* | *",
}

#   file                source                                                what is wrong with it
ROWS = [
    ("core/a.py", "import math, dataclasses", None),
    ("core/a.py", "from guardrail.core.b import c", None),
    ("core/a.py", "import yaml", "core may not import yaml"),
    ("core/a.py", "import time", "core may not import time"),
    ("core/a.py", "from os.path import join", "core may not import os.path"),
    ("core/a.py", "from guardrail import rules", "core may not import guardrail.rules"),
    ("core/a.py", "from guardrail import Guard", "core may not import guardrail"),
    ("core/a.py", "import guardrail", "core may not import guardrail"),
    ("core/a.py", "def f():\n    import guardrail.rules.b", "core may not import guardrail.rules.b"),
    ("core/a.py", "if TYPE_CHECKING:\n    from guardrail.rules import b", "core may not import guardrail.rules"),
    ("core/a.py", "try:\n    import yaml\nexcept ImportError: ...", "core may not import yaml"),
    ("core/a.py", "from .b import c", None),
    ("core/a.py", "from . import b", None),
    ("core/a.py", "from ..rules import b", "core may not import guardrail.rules"),
    ("core/a.py", "from .. import rules", "core may not import guardrail.rules"),
    ("core/__init__.py", "from .b import c", None),
    ("core/__init__.py", "from ..rules import b", "core may not import guardrail.rules"),
    ("core/a.py", "importlib.import_module('yaml')", "core may not import yaml"),
    ("core/a.py", "__import__('yaml')", "core may not import yaml"),
    ("core/a.py", "import_module(name)", "core may not import what cannot be read off the source"),
    ("rules/a.py", "import yaml.nodes", None),
    ("rules/a.py", "from yaml import nodes", None),
    ("rules/a.py", "import yaml_other", "rules may not import yaml_other"),
    ("rules/a.py", "import asyncio, guardrail.core.b", None),
    ("rules/a.py", "import guardrail.corefold", "rules may not import guardrail.corefold"),
    ("guard.py", "from guardrail.telemetry.events import Event", None),
    ("guard.py", "from guardrail.telemetry import events", None),
    ("guard.py", "from guardrail.telemetry.log import Log", "guard may not import guardrail.telemetry.log"),
    ("guard.py", "from guardrail.core import a", "guard may not import guardrail.core"),
    ("guard.py", "import guardrail.cli", "guard may not import guardrail.cli"),
    ("cli.py", "import rich, guardrail.guard", None),
    ("utils.py", "", "no such room"),
    ("stores/redis.py", "", "no such room"),
]


@pytest.mark.parametrize(("file", "source", "wrong"), ROWS)
def test_the_checker_sees_what_it_should_and_nothing_else(tmp_path, file, source, wrong):
    package = tmp_path / "guardrail"
    fake = {"core/__init__.py", "core/b.py", "rules/__init__.py", "guard.py", "cli.py"}
    for name in fake | {"telemetry/events.py", "telemetry/log.py", file}:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source if name == file else "")
    found = violations(package, FAKE_TABLE)
    assert (0 if wrong is None else 1) == len(found)
    assert all(file in sentence and wrong in sentence for sentence in found)


def test_a_row_whose_room_is_gone_is_reported(tmp_path):
    (tmp_path / "core.py").write_text("")
    assert ["rules: a row without a room"] == violations(tmp_path, {"core": "", "rules": "core"})


def test_a_more_exact_row_wins_where_it_comes_first(tmp_path):
    (tmp_path / "telemetry").mkdir()
    (tmp_path / "telemetry" / "prometheus.py").write_text("import prometheus_client")
    (tmp_path / "telemetry" / "log.py").write_text("import prometheus_client")
    found = violations(tmp_path, {"telemetry/prometheus": "| prometheus_client", "telemetry": ""})
    assert ["telemetry/log.py:1: telemetry may not import prometheus_client"] == found
