"""Live rules under test, whose rules are the text of their files, and what they told."""

import threading
from pathlib import Path

from guardrail.errors import Problem, RuleError
from guardrail.sources.file import FileSource
from guardrail.sources.live import Live


def parse(files):
    """Make rules of *files*: their text. `bad` is a mistake in them, `bug` one in the parser."""
    text = " + ".join(content.decode() for content in files.values())
    if "bad" in text:
        raise RuleError([Problem(text, file=next(iter(files)))])
    if "bug" in text:
        raise ZeroDivisionError(text)
    return text


def watching():
    """Return the threads that watch now."""
    return [thread for thread in threading.enumerate() if thread.name == "guardrail-rules"]


def put(path, text):
    """Change a file in one step: on a busy machine, a thread that looks every 10 ms could see an empty one twice."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def open_files():
    return len([*Path("/proc/self/fd").iterdir()])


class Shown:
    """A source that shows what the test says: files, or an error to raise."""

    folder = None

    def __init__(self, *shown):
        self.shown = list(shown)

    def read(self):
        shown = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(shown, Exception):
            raise shown
        return {"rules.yaml": shown.encode()}


class Followed:
    """Live rules, loaded, and what they told."""

    def __init__(self, source, interval_s=0.01, **options):
        self.taken = []
        self.problems = []
        self.heard = threading.Event()
        source = source if isinstance(source, Shown) else FileSource(source)
        options = {"on_change": self.take, "on_problem": self.hear} | options
        self.live = Live(source, parse, options.pop("on_change"), options.pop("on_problem"), interval_s, **options)
        self.live.load()

    def take(self, rules):
        self.taken.append(rules)
        self.heard.set()

    def hear(self, problem):
        self.problems.append(problem)
        self.heard.set()

    def look(self, times=1):
        """Look so often, and return the rules that are then in force."""
        for _ in range(times):
            self.live.poll()
        return self.live.current

    def hears(self, seconds=20):
        """Wait for the watching thread to say something."""
        heard = self.heard.wait(seconds)
        self.heard.clear()
        return heard
