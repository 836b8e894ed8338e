"""A Flask app behind the WSGI middleware: limits per client, a breaker around a page that fails.

Run it for real with `flask --app flask_app run`, next to this file.

Prints:
    orders: 200 200 429
    and another client: 200
    flaky: 500 500 503 503, come back in 30 s
    search: 200 429
    {"rule": "once/limit"}
"""

import json

from flask import Flask, jsonify

from guardrail import Guard, Refused
from guardrail.adapters.wsgi import GuardMiddleware

guard = Guard(
    [
        {"name": "per-client", "resource": "GET /orders/{order}", "kind": "limit", "rate": "2/min", "key": "client.ip"},
        {"name": "pages", "resource": "* /**", "kind": "breaker", "consecutive_failures": 2, "open_for": "30s"},
    ]
)

app = Flask(__name__)
app.wsgi_app = GuardMiddleware(app.wsgi_app, guard)
app.logger.disabled = True  # a page fails on purpose


@app.get("/orders/<int:order>")
def order(order: int):
    return {"order": order}


@app.get("/flaky")
def flaky():
    raise ConnectionError("the database is away")


@app.get("/search")
@guard.limit("1/min", key="query.q", name="once")
def search():
    return "found"


@app.errorhandler(Refused)  # answers what views let escape; without it that is a problem+json, as everywhere
def refused(error: Refused):
    return jsonify(rule=error.rule), 429


if __name__ == "__main__":
    client = app.test_client()

    def get(path: str, address: str = "127.0.0.1"):
        return client.get(path, environ_base={"REMOTE_ADDR": address}, buffered=True)  # as a server: to the end

    print("orders:", *(get(f"/orders/{number}").status_code for number in range(3)))
    print("and another client:", get("/orders/1", "203.0.113.9").status_code)
    answers = [get("/flaky") for _ in range(4)]
    wait = answers[-1].headers["Retry-After"]
    print("flaky:", *(answer.status_code for answer in answers), end=f", come back in {wait} s\n")
    first, second = get("/search?q=shoes"), get("/search?q=shoes")
    print("search:", first.status_code, second.status_code)
    print(json.dumps(second.get_json()))
