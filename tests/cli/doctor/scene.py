"""What tests of the doctor share: what it found, servers that are none, and a visit to one that is made up."""

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import NamedTuple

from guardrail.cli.doctor import visit
from guardrail.stores.url import parse_store_url
from tests.cli.shell import guardrail
from tests.servers import HOST, PATIENCE

SECRET = "canary-of-a-password"
EVERYTHING = "user default on nopass ~* &* +@all"
WORDS = ["ok", "note", "warning", "error"]
PATIENT = "?timeout=20s"  # which no busy machine makes too short
SOUND = {
    *("store.url", "store.connection", "store.round-trip", "store.clock", "store.tls", "store.version", "store.role"),
    *("store.cluster", "store.maxmemory-policy", "store.memory", "store.clients", "store.persistence", "store.rights"),
    *("store.scripts", "store.keys", "store.processes"),
}


class Report(NamedTuple):
    """What the doctor said, by code; of several findings with one code the worst."""

    code: int
    found: dict[str, dict]
    text: str

    def severity(self, code):
        return self.found[code]["severity"]

    def sentence(self, code):
        finding = self.found[code]
        return f"{finding['found']}; {finding['means']}; {finding['advice']}"

    def worse_than(self, word):
        return {
            code: one["severity"]
            for code, one in self.found.items()
            if WORDS.index(one["severity"]) > WORDS.index(word)
        }


def seen(*words):
    """Run the doctor, and see that all is kept that it promises: order, words for what is not fine, its exit code."""
    done = guardrail("doctor", *words, "--json")
    assert "" == done.err
    said = json.loads(done.out)
    findings = said["findings"]
    ranks = [WORDS.index(one["severity"]) for one in findings]
    assert sorted(ranks) == ranks
    for one in findings:
        assert one["severity"] == "ok" or (one["means"] and one["advice"]), one
        assert not one["found"].endswith("."), one
    assert ("error" in {one["severity"] for one in findings}) == (done.code == 1) == (not said["ok"])
    assert SECRET not in done.out
    return Report(done.code, {one["code"]: one for one in findings}, done.out)


def seen_at(url):
    """Look at a server, and keep what was found out about it."""
    report = seen("--store", url)
    return report._replace(found={code: one for code, one in report.found.items() if code.startswith("store.")})


def findings(report, code):
    """All findings with this code."""
    return [one for one in json.loads(report.text)["findings"] if one["code"] == code]


def as_user(server, name, password=SECRET):
    return server.url.replace("://", f"://{name}:{password}@")


@contextmanager
def speaking(answer):
    """Run a server that answers what *answer* makes of what it reads; None: it hangs up. Returns its port."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        connected = []

        def serve():
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    connected.append(client)
                    converse(client)

        def converse(client):
            with client, suppress(OSError):
                while said := client.recv(65536):
                    reply = answer(said)
                    if reply is None:
                        return
                    client.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            for open_socket in (listener, *connected):
                with suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


class MadeUp(visit.Visit):
    """A visit to a server that answers what *answer* returns for the name of a command."""

    def __init__(self, answer, *, peer=None, secured=None, connecting_us=1000):
        self.answer, self.peer, self.secured = answer, peer, secured
        self.connecting_us, self.dial_us = connecting_us, 800_000

    def send(self, words, name):
        return self.answer(name)


def url_of(text="redis://localhost"):
    return parse_store_url(text)


def judged(found):
    """How bad each finding about a store is, by its code."""
    return {finding.code.removeprefix("store."): finding.severity for finding in found}
