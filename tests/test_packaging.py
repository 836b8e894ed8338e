"""What is built is what users need: the wheel, built from the sdist, works where the source is not."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import guardrail

ROOT = Path(__file__).parents[1]
EXTRAS = ["all", "cli", "grpc", "otel", "prometheus", "redis", "watch"]


def run(*command, cwd, **env):
    """Run Python elsewhere, without this checkout on its path and untraced, and return what it printed."""
    kept = {
        name: text for name, text in os.environ.items() if name != "PYTHONPATH" and not name.startswith("COVERAGE_")
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=kept | env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder that holds one sdist and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(
        "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder
    )  # both: the wheel is built from the sdist
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel was installed into, without what it depends on."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    run("-m", "pip", "install", *options, "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_sdist_holds_the_house_as_it_stands(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    stem = f"guardrail_py-{guardrail.__version__}"
    for part in [
        "src/guardrail/__init__.py",
        "lua/README.md",
        "rules/schema.json",
        "tests/test_packaging.py",
        "LICENSE",
    ]:
        assert f"{stem}/{part}" in names
    top = {name.split("/")[1] for name in names if "/" in name}
    assert set() == top & {".venv", ".git", "dist", ".hypothesis"}


def test_the_wheel_holds_the_package_and_what_it_reads_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "guardrail/py.typed",
        "guardrail/_rules/schema.json",
        "guardrail/_rules/starter.yaml",
        "guardrail/_rules/demo.yaml",
    } <= names
    assert {f"guardrail/_lua/{path.name}" for path in (ROOT / "lua").iterdir()} <= names
    assert {"guardrail", f"guardrail_py-{guardrail.__version__}.dist-info"} == {name.split("/")[0] for name in names}


def test_every_module_is_in_the_wheel(wheel):
    source = ROOT / "src"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.endswith(".py")}
    assert {path.relative_to(source).as_posix() for path in source.rglob("*.py")} == packed


def test_the_metadata_says_what_it_is(metadata):
    assert "guardrail-py" == metadata["Name"]
    assert guardrail.__version__ == metadata["Version"]
    assert "Apache-2.0" == metadata["License-Expression"]
    assert ["LICENSE"] == metadata.get_all("License-File")
    assert ">=3.11" == metadata["Requires-Python"]
    assert metadata.get_payload().strip()


def test_every_import_needs_three_libraries_and_the_rest_are_extras(metadata):
    required = metadata.get_all("Requires-Dist")
    always = sorted(line.split(">")[0] for line in required if "extra ==" not in line)
    assert ["pydantic", "pyyaml", "wrapt"] == always
    assert EXTRAS == sorted(metadata.get_all("Provides-Extra"))


def test_the_command_is_guardrail(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert "[console_scripts]\nguardrail = guardrail.cli:main" == archive.read(name).decode().strip()


def test_an_installed_guardrail_works_where_the_source_is_not(installed, tmp_path):
    code = """
import guardrail

@guardrail.limit("2/min")
def call():
    return "done"

print(guardrail.__file__, call(), call())
try:
    call()
except guardrail.RateLimited as refusal:
    print(refusal.reason)
"""
    lines = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert [f"{installed / 'guardrail' / '__init__.py'} done done", "rate"] == lines


def test_every_installed_file_that_is_read_can_be_found(installed, tmp_path):
    code = """
from importlib.resources import files
print(*sorted(f"{folder}/{path.name}" for folder in ("_lua", "_rules") for path in (files("guardrail") / folder).iterdir()))
"""
    found = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).split()
    expected = [f"_lua/{path.name}" for path in (ROOT / "lua").iterdir()]
    assert sorted([*expected, "_rules/demo.yaml", "_rules/schema.json", "_rules/starter.yaml"]) == found


@pytest.mark.parametrize("command", [["-m", "guardrail"], ["bin/guardrail"]], ids=["module", "script"])
def test_the_installed_command_runs_from_anywhere(installed, tmp_path, command):
    pytest.importorskip("typer")
    first, *rest = [str(installed / part) if "/" in part else part for part in command]
    shown = run(first, *rest, "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    for name in ["init", "validate", "schema", "explain", "demo"]:
        assert name in shown


def test_what_the_command_reads_is_found_once_installed(installed, tmp_path):
    """The starter file and the schema come out of the wheel."""
    pytest.importorskip("typer")
    schema = run("-m", "guardrail", "schema", cwd=tmp_path, PYTHONPATH=str(installed))
    assert (ROOT / "rules" / "schema.json").read_text() == schema
    run("-m", "guardrail", "init", cwd=tmp_path, PYTHONPATH=str(installed))
    (written,) = tmp_path.rglob("*.yaml")
    assert (ROOT / "rules" / "starter.yaml").read_text() == written.read_text()
