"""The command as a process: what it loads, how it ends, and that no mistake ends in a traceback."""

import os
import sys
from importlib import import_module
from pathlib import Path
from shlex import split

import pytest

import guardrail as package
from guardrail import cli
from guardrail.cli.validation import check
from tests.cli.shell import ROOT, guardrail, process, python

FULL = Path("/dev/full")  # writing to it is like writing to a full disk
COMMANDS = [
    "init",
    "validate",
    "explain",
    "lint",
    "diff",
    "replay",
    "schema",
    "demo",
    "doctor",
    "top",
    "breaker",
    "key",
]
LINE = '10.0.0.1 - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 5\n'
RULES = "version: 1\nrules:\n  - {resource: a, kind: limit, rate: 1/s}\n"


def test_the_version():
    assert (0, f"guardrail {package.__version__}\n", "") == guardrail("--version")


def test_python_m_guardrail_is_the_same_command(tmp_path):
    assert guardrail("--version") == process("--version", cwd=tmp_path)


def test_only_running_it_runs_it():
    assert cli.main is import_module("guardrail.__main__").main


def test_help_lists_the_commands_and_shows_how_they_are_typed():
    done = guardrail("--help")
    assert 0 == done.code
    listed = done.out.partition("Commands:\n")[2].splitlines()[: len(COMMANDS)]
    assert COMMANDS == [line.split()[0] for line in listed]
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)  # no sentence is cut off
    assert "guardrail explain orders.create --rules rules/" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_begins_with_its_name(command):
    done = guardrail(command, "--help")
    assert 0 == done.code
    assert f"Examples:\n    guardrail {command}" in done.out
    assert done.out == guardrail(command, "-h").out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("command", ["init", "validate", "explain", "lint", "diff", "replay", "schema"])
def test_the_examples_in_the_help_can_be_typed(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    for name in "rules/a.yaml", "api.yaml", "jobs.yaml", "new.yaml":
        (tmp_path / name).write_text(RULES)
    (tmp_path / "access.log").write_text(LINE)
    (tmp_path / "calls.jsonl").write_text('{"time": 1, "method": "GET", "path": "/", "sub": "ann"}')
    (tmp_path / "jobs.yaml").write_text(RULES.replace("resource: a", "resource: jobs"))
    for example in guardrail(command, "--help").out.partition("Examples:\n")[2].splitlines():
        name, *words = split(example.partition(" > ")[0])
        assert "guardrail" == name
        assert 0 == guardrail(*words).code, example


def test_without_a_command_the_help_is_shown_and_the_code_is_2():
    done = guardrail()
    assert 2 == done.code
    assert "Commands:" in done.out + done.err


@pytest.mark.parametrize("words", [["validat"], ["--colour"], ["init", "a.yaml", "b.yaml"], ["schema", "extra"]])
def test_what_does_not_exist_is_a_usage_error(words):
    done = guardrail(*words)
    assert (2, "") == (done.code, done.out)
    assert "Error: " in done.err


def test_the_schema_is_printed_exactly(tmp_path):
    assert (ROOT / "rules" / "schema.json").read_text() == process("schema", cwd=tmp_path).out


def test_help_loads_nothing_that_only_a_command_needs(tmp_path):
    heavy = {"pydantic", "yaml", "rich", "asyncio", "uvicorn", "httpx", "guardrail.rules.model"}
    code = f"""
import sys
from guardrail.cli import main
sys.argv = ["guardrail", "--help"]
try:
    main()
finally:
    print(*sorted({heavy} & set(sys.modules)), file=sys.stderr)
"""
    assert (0, "\n") == python("-c", code, cwd=tmp_path)[::2]


@pytest.mark.parametrize("library", ["typer", "yaml"])
def test_a_missing_library_ends_in_what_to_install(tmp_path, library):
    (tmp_path / "rules.yaml").write_text(RULES)
    code = f"""
import sys
sys.modules[{library!r}] = None
sys.argv = ["guardrail", "validate", "rules.yaml"]
from guardrail.cli import main
main()
"""
    sentence = f'guardrail: guardrail needs {library} for its commands: pip install "guardrail-py[cli]"\n'
    assert (2, "", sentence) == python("-c", code, cwd=tmp_path)


def test_a_module_of_our_own_that_is_missing_is_not_the_users_mistake(tmp_path):
    code = "import sys; sys.modules['guardrail.cli.app'] = None; from guardrail.cli import main; main()"
    done = python("-c", code, cwd=tmp_path)
    assert 1 == done.code
    assert "Traceback" in done.err


def test_a_file_of_our_own_that_is_missing_is_not_the_users_mistake(monkeypatch):
    def broken(**_):
        raise FileNotFoundError(2, "No such file or directory", "schema.json")

    monkeypatch.setattr("guardrail.cli.app.app", broken)
    with pytest.raises(FileNotFoundError):
        cli.main()


#   typed           code
WRITERS = [
    (["schema"], 141),
    (["--version"], 141),
    (["--help"], 1),  # typer writes it, and has a code of its own for that
]


@pytest.mark.parametrize(("words", "code"), WRITERS)
def test_a_reader_that_goes_away_is_no_mistake(tmp_path, words, code):
    ours, theirs = os.pipe()
    os.close(ours)
    done = process(*words, cwd=tmp_path, stdout=theirs)
    os.close(theirs)
    assert (code, "") == (done.code, done.err)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_output_that_finds_no_room_ends_in_a_sentence(tmp_path, words):
    with FULL.open("w") as full:
        done = process(*words, cwd=tmp_path, stdout=full)
    assert (1, "guardrail: the output cannot be written: No space left on device\n") == (done.code, done.err)


def test_a_process_without_output_or_input_runs_all_the_same(tmp_path):
    (tmp_path / "good.yaml").write_text(RULES)
    closed = """
import os, sys
os.close(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "guardrail", *sys.argv[2:]])
"""
    assert (0, "", "") == python("-c", closed, "1", "validate", "good.yaml", cwd=tmp_path)
    done = python("-c", closed, "0", "validate", "-", cwd=tmp_path)
    assert (1, "<stdin>: nothing is piped in\n1 mistake in 1 file\n", "") == done


def test_input_that_cannot_be_read_is_a_mistake_in_the_rules(monkeypatch):
    class Broken:
        buffer = property(lambda self: self)

        def read(self, _):
            raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(sys, "stdin", Broken())
    assert ["<stdin>: cannot be read: Is a directory"] == [str(problem) for problem in check("-").problems]


def test_what_was_held_back_is_written_out_at_the_end(tmp_path):
    """A reader that goes away before that is no mistake either."""
    code = """
import sys
from guardrail.cli import main
import guardrail.cli.app
guardrail.cli.app.app = lambda **_: print("held back")
main()
"""
    ours, theirs = os.pipe()
    os.close(ours)
    done = python("-c", code, cwd=tmp_path, stdout=theirs, env={"PYTHONUNBUFFERED": ""})
    os.close(theirs)
    assert (141, "") == (done.code, done.err)


def test_names_that_are_no_text_can_be_shown(tmp_path):
    done = process("validate", os.fsdecode(b"caf\xe9.yaml"), cwd=tmp_path)
    assert (1, "caf\\udce9.yaml: cannot be read: No such file or directory\n1 mistake in 1 file\n", "") == done


def test_an_output_that_knows_ascii_only_gets_the_rest_in_escapes(tmp_path):
    (tmp_path / "b.yaml").write_text("version: 1\nrules:\n  - {resource: café, kind: limit}\n", encoding="utf-8")
    done = process("validate", "b.yaml", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert 1 == done.code
    assert "    - {resource: caf\\xe9, kind: limit}\n" in done.out


def test_an_interrupt_is_quiet(monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("guardrail.cli.app.app", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert 130 == ended.value.code


def test_the_demo_is_run_with_what_was_typed(monkeypatch):
    calls = []
    stand_in = type(sys)("guardrail.cli.demo")
    stand_in.run = lambda **options: calls.append(options) or 1
    monkeypatch.setitem(sys.modules, "guardrail.cli.demo", stand_in)
    assert 1 == guardrail("demo", "--seconds", "9").code
    assert [{"seconds": 9.0, "plain": True}] == calls  # nobody looks at it on a terminal


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"uvicorn"}, "guardrail: the demo needs uvicorn: pip install uvicorn\n"),
        ({"uvicorn", "httpx"}, "guardrail: the demo needs uvicorn and httpx: pip install uvicorn httpx\n"),
    ],
)
def test_the_demo_says_what_it_needs(monkeypatch, missing, sentence):
    monkeypatch.setattr("guardrail.cli.app.find_spec", lambda library: None if library in missing else library)
    assert (2, "", sentence) == guardrail("demo")


def test_the_demo_takes_its_time_and_not_more():
    assert 2 == guardrail("demo", "--seconds", "1").code
    assert 2 == guardrail("demo", "--seconds", "3600").code


def test_no_traceback_whatever_is_typed(tmp_path, monkeypatch):
    """Some dozens of combinations of words that make little sense."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "noise.yaml").write_bytes(bytes(range(256)))
    words = ["noise.yaml", "--attr", "=", "a=b", "--cost", "9" * 30, "", "*", "--field", "."]
    for command in "validate", "explain", "lint", "diff", "replay":
        for number, word in enumerate(words):
            for other in words[number:]:
                assert guardrail(command, word, other, "--rules", "rules.yaml").code in {0, 1, 2}
                assert guardrail(command, word, other).code in {0, 1, 2}
