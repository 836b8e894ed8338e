"""Where rule files lie, and all the ways in which they are changed there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

BAD = "version: 1\nrules:\n  - {resource: r, kind: limit, rate: fast}\n"


class File:
    """A single file, written by editors, scripts and deployments."""

    ways = ("in place", "in halves", "by bytes", "atomically", "moved over", "same size and time", "returns", "mended")

    def __init__(self, folder: Path) -> None:
        self.path = self.watched = folder / "rules.yaml"

    def write(self, text: str, way: str = "in place") -> None:
        """Bring *text* into the file."""
        getattr(self, f"_{way.replace(' ', '_')}")(text)

    def harm(self, way: str) -> None:
        """Bring about what cannot be used, before what can."""
        if way == "returns":
            self.path.unlink()
        elif way == "mended":
            self.path.write_text(BAD)

    def _in_place(self, text: str) -> None:
        self.path.write_text(text)

    _returns = _mended = _in_place

    def _in_halves(self, text: str) -> None:
        for part in self._pieces(text, len(text) // 2):
            part()

    def _by_bytes(self, text: str) -> None:
        for part in self._pieces(text, 7):
            part()

    def _pieces(self, text: str, size: int) -> Iterator[Callable[[], object]]:
        with self.path.open("w") as file:
            for start in range(0, len(text), size):
                file.write(text[start : start + size])
                yield file.flush

    def _atomically(self, text: str) -> None:
        new = self.path.with_suffix(".tmp")
        new.write_text(text)
        new.replace(self.path)

    def _moved_over(self, text: str) -> None:
        """As some editors do: the old file is moved away, and the new one takes its place."""
        self.path.rename(self.path.with_suffix(".yaml~"))
        self._in_place(text)

    def _same_size_and_time(self, text: str) -> None:
        before = self.path.stat()
        self.path.write_text(text)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = self.path.stat()
        assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


class ConfigMap:
    """A volume of Kubernetes: the file is a link through `..data`, which is swapped, and the old data are removed."""

    ways = ("swapped", "swapped slowly", "returns", "mended")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = self.watched = folder / "rules.yaml"
        self._turn = 0

    def write(self, text: str, way: str = "swapped") -> None:
        """Bring *text* into the volume."""
        self._turn += 1
        data, link = self.folder / "..data", self.folder / "..data_tmp"
        old = data.readlink() if data.is_symlink() else None
        new = self.folder / f"..2026_{self._turn}"
        new.mkdir()
        for start in range(0, len(text), 40 if way == "swapped slowly" else len(text)):
            with (new / "rules.yaml").open("a") as file:
                file.write(text[start : start + (40 if way == "swapped slowly" else len(text))])
        link.symlink_to(new.name)
        link.replace(data)
        if not self.path.is_symlink():
            self.path.symlink_to("..data/rules.yaml")
        if old is not None:
            shutil.rmtree(self.folder / old, ignore_errors=True)

    def harm(self, way: str) -> None:
        """Bring about what cannot be used, before what can."""
        if way == "returns":
            shutil.rmtree(self.folder / (self.folder / "..data").readlink())
        elif way == "mended":
            self.write(BAD)


class Folder:
    """A folder whose files come, go and change their names."""

    ways = ("one file", "another file", "renamed", "beside a bystander", "returns", "mended")

    def __init__(self, folder: Path) -> None:
        self.watched = folder
        self.path = folder / "a.yaml"

    def write(self, text: str, way: str = "one file") -> None:
        """Bring *text* into the folder, as its only rules."""
        files = [path for path in self.watched.glob("[!.]*.y*ml") if path.is_file()]
        self.path = self.watched / ("b.yml" if way == "another file" else "a.yaml")
        new = self.watched / "new.tmp"
        new.write_text(text)
        if way == "renamed":
            for number, file in enumerate(files):
                file.rename(self.watched / f".{number}.yaml")  # hidden: does not count
        new.replace(self.path)
        if way == "beside a bystander":
            (self.watched / "notes.txt").write_text(text)
            (self.watched / "deeper.yaml").mkdir(exist_ok=True)
        for file in files:
            if file != self.path:
                file.unlink(missing_ok=True)

    def harm(self, way: str) -> None:
        """Bring about what cannot be used, before what can."""
        if way == "returns":
            self.path.unlink()
        elif way == "mended":
            self.path.write_text(BAD)


LAYOUTS = (File, ConfigMap, Folder)
