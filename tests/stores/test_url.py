"""The URL of a store: what is wrong with it is said at once, in words, and never shows a password."""

import pytest

from guardrail.stores.url import parse_store_url

#   url                                          what is read from it
GOOD = [
    ("redis://localhost", {"host": "localhost", "port": 6379, "db": 0}),
    ("redis://", {"host": "localhost", "port": 6379, "db": 0}),
    ("redis://h:7000/3", {"host": "h", "port": 7000, "db": 3}),
    ("redis://h?db=4", {"host": "h", "port": 6379, "db": 4}),
    ("redis://h/4?db=4", {"host": "h", "port": 6379, "db": 4}),
    ("redis://[::1]:7000/", {"host": "::1", "port": 7000, "db": 0}),
    ("REDIS://h", {"host": "h", "port": 6379, "db": 0}),
    ("redis://:p%40ss%2F@h", {"host": "h", "port": 6379, "db": 0, "password": "p@ss/"}),
    ("redis://u:p@h", {"host": "h", "port": 6379, "db": 0, "username": "u", "password": "p"}),
    ("redis://h?client_name=api", {"host": "h", "port": 6379, "db": 0, "client_name": "api"}),
    ("unix:///run/redis.sock", {"path": "/run/redis.sock", "db": 0}),
    ("unix://u:p@/run/r.sock?db=2", {"path": "/run/r.sock", "db": 2, "username": "u", "password": "p"}),
]


@pytest.mark.parametrize(("url", "settings"), GOOD)
def test_what_a_url_says(url, settings):
    assert settings == parse_store_url(url).settings


def test_tls_checks_certificate_and_name_unless_told_otherwise():
    strict = parse_store_url("rediss://h").settings
    assert ("required", True) == (strict["ssl_cert_reqs"], strict["ssl_check_hostname"])
    lax = parse_store_url("rediss://h?ssl_cert_reqs=none").settings
    assert ("none", False) == (lax["ssl_cert_reqs"], lax["ssl_check_hostname"])
    named = parse_store_url("rediss://h?ssl_check_hostname=no&ssl_ca_certs=/ca.pem&ssl_min_version=771").settings
    assert (False, "/ca.pem", 771) == (named["ssl_check_hostname"], named["ssl_ca_certs"], named["ssl_min_version"])


def test_options_are_read_from_the_url_and_an_argument_wins():
    assert (50_000, "guardrail") == read("redis://h")
    assert (100_000, "app") == read("redis://h?timeout=100ms&prefix=app")
    assert (50_000, "mine") == read("redis://h?timeout=100ms&prefix=app", "50ms", "mine")
    assert (2_000_000, "guardrail") == read("redis://h", 2)


def read(url, *options):
    found = parse_store_url(url, *options)
    return found.timeout_us, found.prefix


#   url                                  what is wrong with it
BAD = [
    ("localhost", "must begin with redis://, rediss:// or unix://, got 'localhost'"),
    ("localhost:6379", "must begin with redis://, rediss:// or unix://"),
    ("", "must begin with redis://"),
    (17, "must begin with redis://, rediss:// or unix://, got '17'"),
    ("redi://h", "got 'redi://'; did you mean 'redis'?"),
    ("http://h", "got 'http://'"),
    ("redis+cluster://h:1,i:2", "redis+cluster:// is not there yet"),
    ("redis+sentinel://h:26379/name", "redis+sentinel:// is not there yet"),
    ("redis://h:70000", "the port of a store must be a number from 1 to 65535, got '70000'"),
    ("redis://h:0", "the port of a store must be a number from 1 to 65535, got '0'"),
    ("redis://h:port", "the port of a store must be a number from 1 to 65535; a password must be followed by @host"),
    ("redis://u@h:port", "the port of a store must be a number from 1 to 65535, got 'port'"),
    ("redis://[::1", "cannot be read"),
    ("redis://a,b", "must name one host, got 'a,b'"),
    ("redis://h/first", "the database of a store must be a number such as 0, got 'first'"),
    ("redis://h/-1", "the database of a store must be a number such as 0, got '-1'"),
    ("redis://h/1?db=2", "names two databases: '1' and '2'"),
    ("redis://h?tiemout=1s", "a store has no option 'tiemout'; did you mean 'timeout'?"),
    ("redis://h?ssl_ca_cert=x", "a store has no option 'ssl_ca_cert'; did you mean 'ssl_ca_certs'?"),
    ("redis://h?socket_timeout=1", "write timeout=..., which bounds a whole call"),
    ("redis://h?retry_on_timeout=1", "nothing is ever sent twice"),
    ("redis://h?timeout", "must be written ?name=value"),
    ("redis://h?prefix=a&prefix=b", "the option 'prefix' of a store is written twice"),
    ("redis://h?timeout=soon", "timeout must be a duration"),
    ("redis://h?timeout=0", "timeout must be from 1ms to 1min, got '0'"),
    ("redis://h?timeout=2min", "timeout must be from 1ms to 1min, got '2min'"),
    ("redis://h?prefix=a{b", "prefix must be 1 to 128 characters without braces and white space"),
    ("redis://h?prefix=a%20b", "prefix must be"),
    ("redis://h?prefix=", "prefix must be"),
    ("redis://h?ssl_ca_certs=/ca.pem", "ssl_ca_certs needs a URL that begins with rediss://"),
    (
        "rediss://h?ssl_cert_reqs=maybe",
        "the option 'ssl_cert_reqs' of a store must be none, optional or required, got 'maybe'",
    ),
    ("rediss://h?ssl_check_hostname=maybe", "'ssl_check_hostname' of a store must be true or false, got 'maybe'"),
    ("rediss://h?ssl_keyfile=", "'ssl_keyfile' of a store must not be empty, got ''"),
    ("rediss://h?ssl_min_version=1.2", "must be 771 for TLS 1.2, or 772 for TLS 1.3, got '1.2'"),
    ("unix://run/redis.sock", "must name the path of a socket"),
    ("unix://", "must name the path of a socket"),
    ("redis://h/0#part", "a '#', '/' or '?' where none can be"),
]


@pytest.mark.parametrize(("url", "wrong"), BAD)
def test_what_is_wrong_is_said_in_words(url, wrong):
    with pytest.raises(ValueError, match=".*") as refused:
        parse_store_url(url)
    assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("timeout", "prefix", "wrong"),
    [
        ("1us", "p", "timeout must be from"),
        (None, "p", "timeout must be a duration"),
        ("1s", "", "prefix"),
        ("1s", 1, "prefix"),
    ],
)
def test_arguments_are_looked_at_too(timeout, prefix, wrong):
    with pytest.raises(ValueError, match=wrong):
        parse_store_url("redis://h", timeout, prefix)


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@h",
        f"redis://:{SECRET}#x@h",
        f"redis://:{SECRET}?x@h",
        f"redis://u:{SECRET}@h:port",
        f"u:{SECRET}@h:6379",
        f"redi://u:{SECRET}@h",
        f"redis://u:{SECRET}@h/first",
        f"redis://h?password={SECRET}&tiemout=1s",
        f"rediss://h?ssl_password={SECRET}&ssl_password={SECRET}",
        f"redis+cluster://:{SECRET}@h",
        f"redis://:[{SECRET}]@h",
        f"redis://u:{SECRET}\u2100@h",
        f"redis://u:{SECRET}",
        f"redis://:{SECRET}",
        f"redis//:{SECRET}",
        f"redis://h:1{SECRET}",
    ],
)
def test_no_mistake_shows_a_password(url):
    with pytest.raises(ValueError, match=".*") as refused:
        parse_store_url(url)
    assert SECRET not in str(refused.value)


def test_what_is_shown_holds_no_password():
    for url in (f"redis://u:{SECRET}@h", f"redis://h?password={SECRET}", f"unix://:{SECRET}@/run/r.sock"):
        read = parse_store_url(url)
        assert SECRET not in repr(read)
        assert SECRET not in read.shown
    assert "redis://[::1]:6379/0" == parse_store_url("redis://[::1]").shown
    assert "unix:///r?db=1" == parse_store_url("unix:///r?db=1").shown
