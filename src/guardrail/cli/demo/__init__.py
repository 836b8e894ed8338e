"""The demo: a real HTTP service, guarded, under traffic, while its rules are edited and what it depends on fails.

Law: whatever is shown is checked, and the exit code is 0 only if all of it was so. It uses this machine's loopback only, ends
within 40 s, and leaves nothing behind: no file, no thread, no server, no process.
"""

from __future__ import annotations


def run(seconds: float = 20.0, plain: bool = False) -> int:
    """Run the demo and return the exit code: 0 if all it claims is so, 1 if not, 130 if it was interrupted.

    Args:
        seconds: About how long it takes; 8 to 31.
        plain: Print lines instead of drawing.
    """
    from guardrail.cli.demo.show import run as run_in_one_process

    return run_in_one_process(seconds, plain)


def run_shared(server: str, seconds: float = 20.0, plain: bool = False) -> int:
    """Run the demo with several processes, over a Redis that it starts itself; as `run`.

    Args:
        server: The path of a redis-server.
    """
    from guardrail.cli.demo.shared_show import run_shared as run_in_several_processes

    return run_in_several_processes(server, seconds, plain)
