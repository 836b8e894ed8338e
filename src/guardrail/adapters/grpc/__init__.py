"""gRPC with threads: one interceptor for a server, one for a channel.

    grpc.server(pool, interceptors=[ServerGuard(guard)])
    grpc.intercept_channel(channel, ClientGuard(guard))

Law: rules name methods as `/pkg.Service/Method`, and as `client /pkg.Service/Method` where we are the caller.
"""

from guardrail.adapters.grpc.client import ClientGuard
from guardrail.adapters.grpc.server import ServerGuard

__all__ = ["ClientGuard", "ServerGuard"]
