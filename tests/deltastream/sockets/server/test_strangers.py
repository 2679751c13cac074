"""Who does not say who it is takes nobody else's place."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from deltastream.gateway.settings import GatewaySettings
from deltastream.sockets._strangers import Strangers

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)


async def answered(port: int, header: bytes = b"") -> bytes:
    """The head of what is answered to one who comes and goes."""
    got = b""
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(REQUEST % header)
            while b"\r\n\r\n" not in got and (some := await stream.receive_some(4096)):
                got += some
    return got


async def asked(port: int) -> bytes:
    """As `answered`; nothing where one is cut off."""
    try:
        return await answered(port)
    except trio.BrokenResourceError:
        return b""


async def nobody_but(served: Any, count: int) -> None:
    with trio.fail_after(5):
        while len(served.desk.connections) > count:  # noqa: ASYNC110  the desk has no event
            await trio.sleep(0.01)


async def test_so_many_of_one_address_and_no_more(serving: Any):
    async with serving(strangers_per_address=2) as served, AsyncExitStack() as stack:
        for _ in range(2):
            silent = await stack.enter_async_context(served.client(auth=False))
        refused = await answered(served.port)
        assert refused.startswith(b"HTTP/1.1 429 "), refused
        assert b"\r\nretry-after: 1\r\n" in refused
        await silent.send(id=1, op="auth", token=served.token)
        await silent.until("connected")
        async with served.client(), served.client():
            pass  # who says it makes room for the next


async def test_who_goes_or_is_closed_makes_room(serving: Any):
    async with serving(strangers_per_address=1, auth_s=0.2) as served:
        async with served.client(auth=False) as silent:
            assert (await answered(served.port)).startswith(b"HTTP/1.1 429 ")
            assert await silent.end() == (4001, "no auth in time")
        await nobody_but(served, 0)
        assert (await answered(served.port)).startswith(b"HTTP/1.1 101 ")
        await nobody_but(served, 0)
        async with served.client():
            pass
        await nobody_but(served, 0)
        assert len(served.desk.strangers) == 0


async def test_addresses_are_those_that_a_trusted_proxy_tells(serving: Any):
    gateway = GatewaySettings(trusted_proxies=("127.0.0.1",))
    async with serving(gateway=gateway, strangers_per_address=1) as served:
        one, other = ((b"x-forwarded-for", b"198.51.100.%d" % n) for n in (1, 2))
        async with served.client(auth=False, headers=[one]):
            assert (await answered(served.port, b": ".join(one) + b"\r\n")).startswith(b"HTTP/1.1 429 ")
            assert (await answered(served.port, b": ".join(other) + b"\r\n")).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("which", ["sockets"], indirect=True)
async def test_so_many_that_have_not_even_asked(serving: Any):
    async with serving(strangers_per_address=2) as served, AsyncExitStack() as stack:
        for _ in range(2):
            mute = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", served.port))
        assert await asked(served.port) == b""
        await mute.aclose()
        with trio.fail_after(5):
            while not (await asked(served.port)).startswith(b"HTTP/1.1 101 "):  # noqa: ASYNC110  it has no event
                await trio.sleep(0.01)


def test_a_network_of_ipv6_is_one_address():
    strangers = Strangers(1)
    strangers.come("2001:db8::1")
    assert strangers.too_many("2001:db8::2")
    assert not strangers.too_many("2001:db8:0:1::1")
    assert not strangers.too_many("192.0.2.1")
    strangers.go("2001:db8::3")
    assert not strangers.too_many("2001:db8::2")
    assert len(strangers) == 0
