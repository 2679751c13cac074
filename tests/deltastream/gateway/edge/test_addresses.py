"""Nobody chooses the address that they are known by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.addresses import Proxies

PROXIES = Proxies(["10.0.0.0/8", "2001:db8::/32", "192.168.1.7"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", b"198.51.100.1", "203.0.113.9"),  # no proxy of ours: whatever it says
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left one is the client's own
        ("10.0.0.1", b"198.51.100.1,10.0.0.2 ,\t10.0.0.3", "198.51.100.1"),
        ("10.0.0.1", b"10.9.9.9, 10.0.0.2", "10.9.9.9"),  # proxies all the way
        ("192.168.1.8", b"198.51.100.1", "192.168.1.8"),
        ("10.0.0.1", b"198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", b"2001:db9::5", "2001:db9::5"),
        ("10.0.0.1", b"[2001:db9::5]:443", "2001:db9::5"),
        ("10.0.0.1", b'"[2001:db9::5]:443"', "2001:db9::5"),
        ("2001:db8::1", b"198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"::ffff:198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"unknown", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.1, _hidden", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.1, 10.0.0.2, junk, 10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", b"198.51.100.1, \xff\xfe", "10.0.0.1"),
        ("", b"198.51.100.1", ""),
        ("a socket", b"198.51.100.1", "a socket"),
    ],
)
def test_the_list_is_walked_from_the_right(peer: str, forwarded: bytes | None, client: str):
    assert PROXIES.client(peer, forwarded) == client


def test_without_trusted_proxies_nobody_is_believed():
    nobody = Proxies([])
    assert nobody.client("127.0.0.1", b"1.2.3.4") == "127.0.0.1"
    assert not nobody.secure("127.0.0.1", "http", b"https")
    assert nobody.secure("127.0.0.1", "https", b"http")


@given(st.binary(max_size=200))
def test_what_a_client_writes_itself_changes_nothing(own: bytes):
    assert PROXIES.client("10.0.0.1", own + b", 198.51.100.1") == "198.51.100.1"


def test_a_list_without_end_is_not_read_to_its_end():
    assert PROXIES.client("10.0.0.1", b"1.1.1.1" + b",10.0.0.2" * 5000) == "10.0.0.2"


@pytest.mark.parametrize(
    ("peer", "scheme", "proto", "secure"),
    [
        ("10.0.0.1", "http", b"https", True),
        ("10.0.0.1", "http", b" HTTPS ", True),
        ("10.0.0.1", "https", b"http", False),
        ("10.0.0.1", "http", b"https, http", False),  # the nearest proxy's word
        ("10.0.0.1", "http", b"ftp", False),
        ("10.0.0.1", "http", None, False),
        ("10.0.0.1", "https", None, True),
        ("203.0.113.9", "http", b"https", False),
    ],
)
def test_who_used_https(peer: str, scheme: str, proto: bytes | None, secure: bool):
    assert PROXIES.secure(peer, scheme, proto) is secure
