"""Only names that were configured are answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.hosts import Hosts
from deltastream.gateway.problems import Problem


def refusal(hosts: Hosts, value: bytes | None) -> str:
    with pytest.raises(Problem) as refused:
        hosts.check(value)
    return refused.value.code


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (b"localhost", "localhost"),
        (b"LOCALHOST:8000", "localhost:8000"),
        (b"localhost.", "localhost"),
        (b"localhost.:8000", "localhost:8000"),
        (b"127.0.0.1:1", "127.0.0.1:1"),
        (b"127.0.0.1:08000", "127.0.0.1:8000"),
        (b"[::1]", "[::1]"),
        (b"[::1]:8000", "[::1]:8000"),
        (b"[0:0:0:0:0:0:0:1]:8000", "[::1]:8000"),
        (b" localhost ", "localhost"),
    ],
)
def test_this_machine_is_called_by_its_own_names(value: bytes, normal: str):
    assert Hosts([]).check(value) == normal


@pytest.mark.parametrize(
    "value",
    [b"evil.example", b"localhost.evil.example", b"127.0.0.2", b"[::2]", b"evil.example:8000", b"0.0.0.0"],
)
def test_others_are_refused(value: bytes):
    assert refusal(Hosts([]), value) == "host_not_allowed"


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b":8000", b"localhost:", b"localhost:0", b"localhost:65536", b"localhost:80:80", b"::1",
        b"user@localhost", b"user:pw@localhost", b"localhost@evil.example", b"localhost/x", b"localhost?x",
        b"localhost#x", b"localhost, evil.example", b"localhost evil", b"[::1", b"::1]", b"[::g]",
        b"[127.0.0.1]", b"localhost..", b"loc\xc3\xa4lhost", b"\xff", b"localhost\x00", b"*",
        b"x" * 300, b"[::1%25eth0]",
    ],
)  # fmt: skip
def test_what_is_no_name(value: bytes):
    assert refusal(Hosts([]), value) == "invalid_request"


def test_a_name_is_needed():
    assert refusal(Hosts([]), None) == "host_not_allowed"


def test_a_port_that_was_configured_is_the_only_one():
    hosts = Hosts(["desk.example.org:8443", "[2001:db8::1]", "plain.example.org"])
    assert hosts.check(b"Desk.Example.Org:8443") == "desk.example.org:8443"
    assert hosts.check(b"[2001:DB8:0::1]:9") == "[2001:db8::1]:9"
    assert hosts.check(b"plain.example.org:81") == "plain.example.org:81"
    assert refusal(hosts, b"desk.example.org") == "host_not_allowed"
    assert refusal(hosts, b"desk.example.org:8444") == "host_not_allowed"
    assert refusal(hosts, b"localhost") == "host_not_allowed"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_problem_of_the_client(value: bytes):
    try:
        said = Hosts([]).check(value)
    except Problem as refused:
        said = refused.code
    known = ("localhost", "127.0.0.1", "[::1]", "host_not_allowed", "invalid_request")
    assert said.startswith(known)


def test_the_address_that_is_bound_is_one_of_our_names():
    assert Hosts([], "127.0.0.5").check(b"127.0.0.5:8000") == "127.0.0.5:8000"
    assert Hosts([], "::1").check(b"[::1]:8000") == "[::1]:8000"
    assert Hosts([], "desk").check(b"desk") == "desk"
    assert refusal(Hosts(["desk.example.org"], "127.0.0.5"), b"127.0.0.5") == "host_not_allowed"
