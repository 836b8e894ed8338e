"""Libraries beside guardrail: which are there, which are too old, and which extra brings what is missing.

Law: nothing is imported for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.rules.spelling import any_of

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"


class Library(NamedTuple):
    """Hold what guardrail wants of a library.

    Attributes:
        extra: The extra of guardrail that brings it.
        least: The oldest version it works with, as in pyproject.toml.
        brings: What there is not without it.
    """

    name: str
    extra: str
    least: str
    brings: str


LIBRARIES = (
    Library("redis", "redis", "5", "limits shared over Redis"),
    Library("watchfiles", "watch", "0.21", "rule files noticed at once"),
    Library("prometheus-client", "prometheus", "0.20", "metrics for Prometheus"),
    Library("opentelemetry-api", "otel", "1.20", "spans and metrics for OpenTelemetry"),
    Library("grpcio", "grpc", "1.60", "guards for gRPC"),
)


def library_findings() -> Iterator[Finding]:
    """Look at what is installed."""
    versions = {library.name: version_of(library.name) for library in LIBRARIES}
    yield from version_findings(versions)
    if folder := os.environ.get(MULTIPROC):
        yield multiprocess_finding(folder, has_client=versions["prometheus-client"] is not None)


def version_of(name: str) -> str | None:
    """Return the version of what is installed under a name; None: nothing is."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def version_findings(versions: Mapping[str, str | None]) -> Iterator[Finding]:
    """Say which libraries are there, too old, and missing."""
    there = [f"{name} {number}" for name, number in versions.items() if number is not None]
    yield fine("python.libraries", f"installed: {', '.join(there) or 'none'}", {"versions": dict(versions)})
    for library in LIBRARIES:
        number = versions[library.name]
        if number is not None and _numbers(number) < _numbers(library.least):
            yield Finding(
                Severity.WARNING,
                "python.too-old",
                f"{library.name} {number} is older than {library.least}",
                f"guardrail is not tested with it; it brings {library.brings}",
                f'pip install --upgrade "guardrail-py[{library.extra}]"',
                {"library": library.name, "version": number, "least": library.least},
            )
    missing = [library for library in LIBRARIES if versions[library.name] is None]
    if missing:
        yield Finding(
            Severity.NOTE,
            "python.extras",
            f"not installed: {', '.join(library.name for library in missing)}",
            f"there is no support for {any_of(library.brings for library in missing)}",
            f'if you want it: pip install "guardrail-py[{",".join(library.extra for library in missing)}]"',
            {"missing": [library.name for library in missing]},
        )


def multiprocess_finding(folder: str, *, has_client: bool) -> Finding:
    """Look at the folder in which the processes of a service put their metrics together."""
    code, measured = "python.prometheus-multiproc", {"folder": folder}
    if not Path(folder).is_dir():
        wrong = f"{MULTIPROC} is {folder}, which is no folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        wrong = f"{MULTIPROC} is {folder}, where this user may not write"
    elif not has_client:
        return Finding(
            Severity.WARNING,
            code,
            f"{MULTIPROC} is set, and prometheus-client is not installed",
            "nobody writes or serves metrics",
            'pip install "guardrail-py[prometheus]"',
            measured,
        )
    else:
        return fine(code, f"{MULTIPROC} is {folder}, which can be written", measured)
    advice = "make the folder, empty, before the service starts, and give it to the service's user"
    return Finding(
        Severity.ERROR, code, wrong, "metrics fail when they are first counted, in every process", advice, measured
    )


def _numbers(text: str) -> list[int]:
    """Return the numbers a version begins with: 1.20 is newer than 1.9."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return [int(part) for part in release[0].split(".")] if release else []
