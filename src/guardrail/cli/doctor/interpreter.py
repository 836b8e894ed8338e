"""The interpreter: its version, its lock, and how many files it may open.

Law: it is this process that is looked at; the service's own may be allowed more or less.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Iterator

from guardrail import __version__
from guardrail.cli.doctor.finding import Finding, Severity, fine

FEW_FILES = 1024  # what systems give at least; a server of a few hundred clients needs more


def interpreter_findings() -> Iterator[Finding]:
    """Look at this Python."""
    version = platform.python_version()
    found = f"guardrail {__version__} on {platform.python_implementation()} {version}"
    yield fine("python.version", found, {"guardrail": __version__, "python": version})
    yield lock_finding(
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        locked=getattr(sys, "_is_gil_enabled", lambda: True)(),
    )
    yield from file_findings(open_files())


def lock_finding(*, free_threaded: bool, locked: bool) -> Finding:
    """Say whether threads run at the same time.

    Args:
        free_threaded: Python was built to run without its lock.
        locked: The lock is there.
    """
    measured = {"free_threaded": free_threaded, "gil": locked}
    if locked:
        built = "; this free-threaded build has it switched on" if free_threaded else ""
        return fine("python.gil", f"the global interpreter lock is on{built}", measured)
    return Finding(
        Severity.NOTE,
        "python.gil",
        "this Python runs without the global interpreter lock",
        "guardrail takes its own locks, but is tested with this one on",
        "start it with PYTHON_GIL=1 if anything looks odd",
        measured,
    )


def open_files() -> tuple[int, int] | None:
    """Return how many files may be open, now and at most; None: it is not limited, or the system does not say."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if now == resource.RLIM_INFINITY else (now, most)


def file_findings(limits: tuple[int, int] | None) -> Iterator[Finding]:
    """Say whether enough files, and so connections, may be open."""
    if limits is None:
        return
    now, most = limits
    measured = {"soft": now, "hard": most}
    if now >= FEW_FILES:
        yield fine("python.open-files", f"{now:,} files may be open at once", measured)
        return
    yield Finding(
        Severity.WARNING,
        "python.open-files",
        f"only {now:,} files may be open at once",
        "each connection is one; where there are no more, clients and stores cannot be reached",
        "raise it where the service is started: ulimit -n 65536, or LimitNOFILE=65536 in its systemd unit",
        measured,
    )
