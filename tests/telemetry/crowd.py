"""Threads that do the same at once, and take turns as often as the interpreter lets them."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

THREADS = 8


def together(work):
    """Call `work(number)` on each of eight threads at once; what one of them raises is raised here."""
    start = Barrier(THREADS)

    def run(number):
        start.wait()
        work(number)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(run, range(THREADS)))
    finally:
        sys.setswitchinterval(before)
