"""gRPC with threads: one interceptor for a server, one for a channel.

    grpc.server(pool, interceptors=[ServerGuard(guard)])
    grpc.intercept_channel(channel, ClientGuard(guard))

Law: rules name methods as `/pkg.Service/Method`, and as `client /pkg.Service/Method` where we are the caller.
"""

try:
    from guardrail.adapters.grpc.client import ClientGuard
    from guardrail.adapters.grpc.server import ServerGuard
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in {"grpc", "google"}:
        raise
    raise ImportError('guardrail.adapters.grpc needs grpcio: pip install "guardrail-py[grpc]"') from missing

__all__ = ["ClientGuard", "ServerGuard"]
