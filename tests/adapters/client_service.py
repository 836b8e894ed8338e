"""A service on loopback for tests of clients: it says what it is told to say, and counts what reaches it."""

import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """One answer of the service.

    `breaks` ends the connection after half of the body; `silent` before the answer begins. `hangs` waits after half of the
    body, `late` before the answer begins, until the service is told to go on.
    """

    status: int = 200
    headers: dict = {}
    body: bytes = b"hello"
    breaks: bool = False
    silent: bool = False
    hangs: bool = False
    late: bool = False


class Service:
    """Give the answers in `script` one after another, then 200s.

    `seen` are the request lines that came, `uploads` the sizes of their bodies, `sent` those of the answers that are out.
    """

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.seen = []
        self.uploads = []
        self.sent = []
        self.script = deque()
        self.go_on = threading.Event()

    def say(self, *answers):
        self.script.extend(answers)


@contextmanager
def running():
    """Run a service while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            service.seen.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service.uploads.extend([len(body)] if body else [])
            answer = service.script.popleft() if service.script else Answer()
            if answer.silent:
                self.close_connection = True
                return
            if answer.late:
                service.go_on.wait(20)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            half = len(answer.body) // 2
            self.wfile.write(answer.body[:half])
            if answer.breaks:
                self.close_connection = True
                return
            if answer.hangs:
                self.wfile.flush()
                service.go_on.wait(20)
            self.wfile.write(answer.body[half:])
            service.sent.append(len(answer.body))

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A client that goes away is nothing to report."""

    server = Server(("127.0.0.1", 0), Handler)
    service = Service(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
