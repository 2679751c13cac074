"""The opening of a connection: who may come, and how they will be spoken to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.settings import GatewaySettings
from deltastream.sockets.handshake import Greeted, Handshakes, Turned

GOOD = {
    "Host": "127.0.0.1:8002",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
OPEN = GatewaySettings(
    allowed_hosts=("desk.example.org", "other.example.org:8000"),
    allowed_origins=("https://page.example.org",),
    trusted_proxies=("10.0.0.1",),
    path_prefix="/ds",
)


def request(method: str = "GET", path: str = "/ws", version: str = "1.1", **headers: str | None) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in {**GOOD, **named}.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""]).encode()


def greet(data: bytes, settings: GatewaySettings | None = None, peer: str = "127.0.0.1", **how: Any) -> Any:
    handshakes = Handshakes(settings or GatewaySettings(), "127.0.0.1", lambda: 8000, 65536)
    return handshakes.greet(data, peer, secure=how.get("secure", False))


def status(met: Any) -> int:
    assert isinstance(met, Greeted | Turned)
    return int(met.answer.split()[1])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (request(), 101),
        (request(path="/"), 101),
        (request(path="/ws?x=1"), 101),
        (request(path="/other"), 404),
        (request(path="/ds/ws"), 404),
        (request(method="POST"), 400),
        (request(version="1.0"), 400),
        (request(Upgrade=None, Connection=None), 426),
        (request(Upgrade=None), 400),
        (request(Upgrade="h2c"), 400),
        (request(Connection="close"), 400),
        (request(Sec_WebSocket_Key=None), 400),
        (request(Sec_WebSocket_Version="8"), 426),
        (request(Sec_WebSocket_Version=None), 400),
        (request(Host=None), 400),
        (request(Host="evil.example"), 421),
        (request(Host="127.0.0.1:8002:9"), 400),
        (request(Host="LOCALHOST"), 101),
        (request(Host="[::1]:8002"), 101),
        (request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits=x"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /ws HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 426),
    ],
)
def test_who_comes_in(data: bytes, expected: int):
    assert status(greet(data)) == expected


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:8002", True),
        ("http://127.0.0.1:8000", True),  # the page, on the gateway's port
        ("http://127.0.0.1", True),
        ("http://127.0.0.1:3000", False),
        ("https://127.0.0.1:8000", False),
        ("http://localhost:8000", False),  # by another name than the page's
        ("null", False),
        ("", False),
        ("http://evil.example", False),
        ("http://127.0.0.1:8000.evil.example", False),
    ],
)
def test_from_which_page(origin: str | None, allowed: bool):
    assert status(greet(request(Origin=origin))) == (101 if allowed else 403)


def test_behind_a_proxy():
    proxied = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https", "Host": "desk.example.org"}
    met = greet(request(Origin="https://desk.example.org", path="/ds/ws", **proxied), OPEN, "10.0.0.1")
    assert isinstance(met, Greeted)
    assert met.address == "203.0.113.9"
    assert status(greet(request(Origin="http://desk.example.org", **proxied), OPEN, "10.0.0.1")) == 403
    stranger = greet(request(**proxied), OPEN, "192.0.2.1")
    assert stranger.address == "192.0.2.1"
    assert (
        status(greet(request(Origin="https://page.example.org", Host="other.example.org:8002"), OPEN)) == 101
    )
    assert status(greet(request(), OPEN)) == 421


@pytest.mark.parametrize(
    ("offered", "chosen", "encoding"),
    [
        (None, None, "json"),
        ("deltastream.v1", "deltastream.v1", "json"),
        ("deltastream.v1.msgpack", "deltastream.v1.msgpack", "msgpack"),
        ("deltastream.v1.msgpack, deltastream.v1", "deltastream.v1", "json"),
        ("mqtt, deltastream.v1.msgpack", "deltastream.v1.msgpack", "msgpack"),
        ("mqtt", None, "json"),
    ],
)
def test_how_they_will_be_spoken_to(offered: str | None, chosen: str | None, encoding: str):
    met = greet(request(Sec_WebSocket_Protocol=offered))
    assert met.encoding == encoding
    told = [
        line for line in met.answer.decode().lower().splitlines() if line.startswith("sec-websocket-protocol")
    ]
    assert told == ([] if chosen is None else [f"sec-websocket-protocol: {chosen}"])


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({}, None),
        ({"Authorization": "Bearer  abc "}, "abc"),
        ({"Authorization": "bearer abc"}, "abc"),
        ({"Authorization": "Basic abc"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"X_API_Key": "dsk_1"}, "dsk_1"),
    ],
)
def test_what_headers_tell_of_who_it_is(headers: dict[str, str], credential: str | None):
    assert greet(request(**headers)).credential == credential


def test_whether_frames_are_packed():
    assert greet(request()).deflate is False
    assert (
        greet(request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")).deflate is True
    )
    assert (
        greet(request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=9")).deflate
        is False
    )
    assert greet(request(Sec_WebSocket_Extensions="x-other")).deflate is False


def test_it_waits_for_all_of_the_request_and_reads_what_comes_after():
    data = request()
    assert all(greet(data[:at]) is None for at in range(len(data)))
    met = greet(data + b"\x81\x82\0\0\0\0{}")
    assert [event.data for event in met.websocket.events()] == ["{}"]


@given(st.binary(max_size=300))
def test_whatever_comes_is_answered_or_waited_for(data: bytes):
    for text in (data, data + b"\r\n\r\n", request()[:40] + data + b"\r\n\r\n"):
        met = greet(text)
        assert met is None or (isinstance(met, Turned) and 400 <= status(met) < 500) or status(met) == 101
