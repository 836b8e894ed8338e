"""The environment for programs that are not to be traced for coverage: they are timed, or fork in the middle of everything."""

import os


def untraced(**more):
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | more
