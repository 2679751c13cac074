"""The API's port: which requests become sockets, and what is answered to the others."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog
import structlog.testing
import trio
import trio.testing

from deltastream.gateway.settings import GatewaySettings, LimitSettings

GOOD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def which() -> str:
    """This port alone."""
    return "api"


def request(line: str = "GET /ws HTTP/1.1", body: str = "", **headers: str | None) -> bytes:
    named = GOOD | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in named.items() if value is not None]
    return "\r\n".join([line, *lines, "", body]).encode()


async def answer(stream: trio.SocketStream, data: bytes) -> bytes:
    """The head of what is answered, and at least some of its body."""
    await stream.send_all(data)
    got = b""
    with trio.fail_after(10):
        while b"\r\n\r\n" not in got:
            got += (some := await stream.receive_some(65536))
            assert some, got
    return got


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(), 101),
        (request("GET /ws?x=1 HTTP/1.1"), 101),
        (request("GET /elsewhere HTTP/1.1"), 404),
        (request("get /ws HTTP/1.1"), 404),
        (request("POST /ws HTTP/1.1"), 404),
        (request("GET /ws HTTP/1.0"), 404),
        (request(Upgrade="h2c"), 404),
        (request(Connection="close"), 404),
        (request(Sec_WebSocket_Version="8"), 400),
        (request(Sec_WebSocket_Version=None), 400),
        (request(Sec_WebSocket_Key=None), 400),
        (request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits=x"), 400),
        (request(body="{}", Content_Length="2"), 400),
        (request(body="2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked"), 400),
        (request(Host="evil.example"), 421),
        (request(Origin="http://evil.example"), 403),
        (request(Origin="http://localhost"), 101),
    ],
)
async def test_who_is_let_in(serving: Any, data: bytes, status: int):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    async with serving() as served, await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        with structlog.testing.capture_logs() as lines:
            got = await answer(stream, data)
            await trio.testing.wait_all_tasks_blocked()  # it is logged after it is sent
        assert int(got.split()[1]) == status
        (line,) = [line for line in lines if line["event"] == "request"]
        assert (line["status"], line["route"]) == (status, "/ws" if status == 101 else None)
        if status == 400:
            assert b"\r\nsec-websocket-version: 13\r\n" in got or b"has no body" in got
        if status != 101:
            assert b"application/problem+json" in got


async def test_an_upgrade_may_follow_requests_on_the_same_connection(serving: Any):
    async with serving() as served, await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        for _ in range(2):
            assert (await answer(stream, request("GET /nowhere HTTP/1.1", Upgrade=None))).startswith(
                b"HTTP/1.1 404 "
            )
        assert (await answer(stream, request())).startswith(b"HTTP/1.1 101 ")
        with trio.fail_after(3):
            while served.desk.connections == {}:  # noqa: ASYNC110  the desk has no event
                await trio.sleep(0.01)


async def test_sockets_are_among_the_connections_that_there_may_be(serving: Any):
    gateway = GatewaySettings(limits=LimitSettings(connections=1))
    async with serving(gateway=gateway) as served, served.client() as client:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as second:
            assert (await answer(second, request())).startswith(b"HTTP/1.1 503 ")
        await trio.sleep(0.7)  # longer than anybody waits for another request
        await client.send(id=3, op="ping")
        assert (await client.until("pong"))["id"] == 3
