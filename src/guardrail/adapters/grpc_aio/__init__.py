"""gRPC with asyncio: one interceptor for a server, one for a channel.

    grpc.aio.server(interceptors=[ServerGuard(guard)])
    grpc.aio.insecure_channel(target, interceptors=[ClientGuard(guard)])

Law: rules name methods as `/pkg.Service/Method`, and as `client /pkg.Service/Method` where we are the caller.
"""

try:
    from guardrail.adapters.grpc_aio.client import ClientGuard
    from guardrail.adapters.grpc_aio.server import ServerGuard
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in {"grpc", "google"}:
        raise
    raise ImportError('guardrail.adapters.grpc_aio needs grpcio: pip install "guardrail-py[grpc]"') from missing

__all__ = ["ClientGuard", "ServerGuard"]
