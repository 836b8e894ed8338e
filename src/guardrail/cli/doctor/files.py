"""Rule files on disk: how changes of them reach a service, and who may make any."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from guardrail.cli.doctor.finding import FEW, Finding, Severity, fine
from guardrail.cli.doctor.libraries import version_of

HAS_MODES = os.name != "nt"  # on Windows they say nothing


def file_findings(path: str) -> Iterator[Finding]:
    """Look at the files at *path*, which hold rules that can be used."""
    yield _following(path)
    yield from _writable(path)


def _following(path: str) -> Finding:
    version = version_of("watchfiles")
    if version is None:
        how = "looked for several times a second; watchfiles, which would notice them at once, is not installed"
    else:
        how = f"noticed at once by watchfiles {version}, and looked for several times a second besides"
    measured = {"watchfiles": version, "volume": is_volume(path)}
    if not is_volume(path):
        return fine("rules.reload", f"changes of the files are {how}", measured)
    return Finding(
        Severity.NOTE,
        "rules.reload",
        f"the files are a Kubernetes volume (..data); changes of them are {how}",
        "an edited ConfigMap is there once the kubelet has swapped the link, which takes up to a minute or two",
        "mount the volume as a folder: what a subPath mount shows never changes",
        measured,
    )


def is_volume(path: str) -> bool:
    """Tell whether files stand behind the `..data` link of a ConfigMap or Secret."""
    return any((folder / "..data").is_symlink() for folder in (Path(path), Path(path).parent))


def _writable(path: str) -> Iterator[Finding]:
    places = [str(place) for place in _places(Path(path)) if _anybody_may_write(place)]
    if places:
        few = " ".join([*places[:FEW], *(["..."] if len(places) > FEW else [])])
        yield Finding(
            Severity.WARNING,
            "rules.writable",
            f"any user of this machine may write {few}",
            "whoever can, can lift every limit within a second",
            f"chmod o-w {few}",
            {"writable": places},
        )


def _places(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})


def _anybody_may_write(place: Path) -> bool:
    try:
        return HAS_MODES and bool(place.stat().st_mode & stat.S_IWOTH)
    except OSError:  # it has gone meanwhile
        return False
