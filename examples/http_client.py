"""An httpx client of a service that limits its callers: what the service asks for is kept, and nobody is bothered in vain.

Our own rule allows 4 requests a second. The service answers the third with 429 and `Retry-After: 1`; until then the
client's requests are refused here, without a connection.

Prints:
    request 1: 200
    request 2: 200
    request 3: 429
    request 4: client GET 127.0.0.1: asked by its Retry-After to stay away; come back in 1 s
    request 5: 200
    5 requests made, 4 reached the service
"""

import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from guardrail import Guard, RateLimited
from guardrail.adapters.httpx import GuardTransport

reached = 0


class Service(BaseHTTPRequestHandler):
    """Answer the third request with 429."""

    def do_GET(self):
        global reached
        reached += 1
        self.send_response(429 if reached == 3 else 200)
        if reached == 3:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def main():
    rules = [{"resource": "client GET 127.0.0.1", "kind": "limit", "rate": "4/s"}]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever).start()
    with Guard(rules) as guard, httpx.Client(transport=GuardTransport(guard=guard)) as client:
        for number in range(1, 6):
            try:
                answer = client.get(f"http://127.0.0.1:{server.server_port}/orders")
                print(f"request {number}: {answer.status_code}")
            except RateLimited as refused:
                sentence = str(refused).partition("; ")[0]
                print(f"request {number}: {sentence}; come back in {math.ceil(refused.retry_after)} s")
                time.sleep(refused.retry_after)
    print(f"5 requests made, {reached} reached the service")
    server.shutdown()
    server.server_close()


main()
