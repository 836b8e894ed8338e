"""Without grpcio, an import of the guards for gRPC says what to install."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules[{missing!r}] = None
try:
    import guardrail.adapters.{package}
except ImportError as error:
    print(error)
    print(type(error.__cause__).__name__)
"""


def said_without(missing, package):
    program = WITHOUT.format(missing=missing, package=package)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("missing", ["grpc", "google", "google.rpc"])
@pytest.mark.parametrize("package", ["grpc", "grpc_aio"])
def test_what_is_missing_is_said_with_how_to_get_it(missing, package):
    first = package if missing == "grpc" else "grpc"  # the guards of asyncio stand on those of threads
    text = f'guardrail.adapters.{first} needs grpcio: pip install "guardrail-py[grpc]"\nModuleNotFoundError\n'
    assert text == said_without(missing, package)


def test_what_is_missing_of_our_own_is_not_blamed_on_grpcio():
    assert "grpcio" not in said_without("wrapt", "grpc")
