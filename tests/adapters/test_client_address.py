"""Who is calling: only what trusted proxies say is believed."""

import logging
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.adapters.http.address import ClientAddresses, hop_of

PROXY = "10.0.0.1"


def client(peer=PROXY, *, trusted=("10.0.0.0/8",), **headers):
    lines = {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in headers.items()}
    return ClientAddresses(trusted).find(peer, lambda name: lines.get(name, []))


@pytest.mark.parametrize(
    ("expected", "peer", "forwarded_for"),
    [
        ("203.0.113.9", "203.0.113.9", "198.51.100.1"),  # nobody trusts the peer
        ("198.51.100.1", PROXY, "198.51.100.1"),
        ("198.51.100.1", PROXY, "1.1.1.1, 198.51.100.1"),  # what a client made up stands on the left
        ("198.51.100.1", PROXY, "1.1.1.1, 198.51.100.1, 10.2.3.4"),
        ("198.51.100.1", PROXY, ["1.1.1.1", "198.51.100.1, 10.2.3.4"]),  # several lines are one list
        ("10.9.9.9", PROXY, "10.9.9.9, 10.2.3.4"),  # all are trusted: the first
        ("10.2.3.4", PROXY, "198.51.100.1, unknown, 10.2.3.4"),  # no address: the last good hop
        (PROXY, PROXY, "198.51.100.1, "),
        (PROXY, PROXY, ""),
        ("198.51.100.1", PROXY, "198.51.100.1:50123"),
        ("198.51.100.1", PROXY, "::ffff:198.51.100.1"),
        ("198.51.100.1", "::ffff:10.0.0.1", "198.51.100.1"),
        ("2001:db8:1:2::/64", PROXY, "2001:db8:1:2:3:4:5:6"),
        ("2001:db8:1:2::/64", PROXY, "[2001:db8:1:2:3:4:5:6]:443"),
        ("fe80::/64", "fe80::1%eth0", ""),
        ("198.51.100.1", PROXY, "\t198.51.100.1 "),
        (PROXY, PROXY, "198.51.100.1\n"),
        (PROXY, PROXY, "198.51.100.1:99999999"),
        (PROXY, PROXY, "0xc6336401"),
        (PROXY, PROXY, "a" * 100_000),
    ],
)
def test_x_forwarded_for_is_read_from_the_right_to_the_first_hop_that_is_not_trusted(expected, peer, forwarded_for):
    assert expected == client(peer, x_forwarded_for=forwarded_for)


@pytest.mark.parametrize(
    ("expected", "forwarded"),
    [
        ("198.51.100.1", "for=198.51.100.1"),
        ("198.51.100.1", "for=1.1.1.1, For=198.51.100.1;proto=https;by=203.0.113.43"),
        ("198.51.100.1", 'for="198.51.100.1:4711", for=10.2.3.4'),
        ("2001:db8:cafe::/64", 'for="[2001:db8:cafe::17]:4711"'),
        ("198.51.100.1", 'for=1.1.1.1;host="a,b;for=2.2.2.2", for=198.51.100.1'),
        ("198.51.100.1", ['for="', "for=198.51.100.1"]),  # what one client broke hides nothing of what a proxy adds
        ("10.2.3.4", "for=198.51.100.1, for=_hidden, for=10.2.3.4"),
        ("10.2.3.4", "for=198.51.100.1, proto=http, for=10.2.3.4"),
        (PROXY, "for=198.51.100.1;for=1.1.1.1"),
        (PROXY, 'for="198.51.100.1'),
        (PROXY, 'for="198.51.100.1" 2'),
    ],
)
def test_forwarded_is_read_the_same_way(expected, forwarded):
    assert expected == client(forwarded=forwarded)


def test_where_both_headers_say_different_things_neither_is_believed():
    assert client(x_forwarded_for="198.51.100.1", forwarded="for=198.51.100.1") == "198.51.100.1"
    assert client(x_forwarded_for="198.51.100.1", forwarded="for=1.1.1.1") == PROXY


@given(st.lists(st.ip_addresses().map(str), max_size=5), st.text(max_size=50))
def test_a_client_cannot_choose_who_it_is(made_up, junk):
    """Whatever stands to the left of what the proxy saw changes nothing."""
    assert client(x_forwarded_for=", ".join([*made_up, junk.replace("\n", ""), "198.51.100.1"])) == "198.51.100.1"


@given(st.text())
def test_no_text_is_too_strange(text):
    hop = hop_of(text)
    assert hop is None or hop.address == ip_address(str(hop.address))
    for name in ("x_forwarded_for", "forwarded"):
        assert client(**{name: text}) is not None


def test_a_peer_on_a_unix_socket_has_no_address_and_can_be_trusted_by_name():
    assert client(None, x_forwarded_for="198.51.100.1") is None
    assert client(None, trusted=["unix"], x_forwarded_for="198.51.100.1") == "198.51.100.1"
    assert client("", trusted=["unix"], x_forwarded_for="198.51.100.1") == "198.51.100.1"


def test_a_name_that_a_server_made_up_is_taken_as_it_is():
    assert client("testclient", trusted=["unix"], x_forwarded_for="198.51.100.1") == "testclient"


def test_a_network_may_be_written_as_ipv4_in_ipv6():
    assert client(trusted=["::ffff:10.0.0.0/104"], x_forwarded_for="198.51.100.1") == "198.51.100.1"


class TestAPrivatePeerThatForwards:
    def ask(self, addresses, peer="10.0.0.1"):
        return addresses.find(peer, lambda name: ["198.51.100.1"] if name == "x-forwarded-for" else [])

    def test_is_warned_about_once(self, caplog):
        addresses = ClientAddresses()
        with caplog.at_level(logging.WARNING, "guardrail.http"):
            assert ["10.0.0.1", "10.0.0.2"] == [self.ask(addresses), self.ask(addresses, "10.0.0.2")]
        assert len(caplog.records) == 1
        assert "10.0.0.1 forwards requests of others" in caplog.text
        assert "GUARDRAIL_TRUSTED_PROXIES" in caplog.text

    def test_is_not_warned_about_where_it_is_public_or_there_are_trusted_ones(self, caplog):
        self.ask(ClientAddresses(), "203.0.113.9")
        self.ask(ClientAddresses(["192.168.0.0/16"]))
        assert caplog.text == ""
