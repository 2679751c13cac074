"""The socket gateway over real sockets: clients of every kind of badness, and none of them costs another."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from wsproto.events import CloseConnection, Ping

from deltastream.gateway.live import Live
from deltastream.gateway.settings import GatewaySettings
from deltastream.messages import UnderlyingTick
from deltastream.seams import Seams
from deltastream.sockets.desk import Desk
from deltastream.sockets.server import serve
from deltastream.sockets.settings import SocketSettings

FAST = SocketSettings(port=0, heartbeat_s=5, auth_s=2, drain_s=0.3)


def masked(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + b"\0\0\0\0" + payload


def secured(certificate: tuple[Path, Path]) -> GatewaySettings:
    return GatewaySettings(certificate=str(certificate[0]), certificate_key=str(certificate[1]))


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def gone(served: Any) -> None:
    with trio.fail_after(5):
        while served.desk.connections:  # noqa: ASYNC110  they have no event
            await trio.sleep(0.01)


async def test_a_conversation(serving: Any):
    async with serving() as served:
        for protocols, deflate in (((), False), (("deltastream.v1",), True)):
            async with served.client(protocols=protocols, deflate=deflate) as client:
                assert client.answer.subprotocol == (protocols[0] if protocols else None)
                await client.send(id=2, op="subscribe", rooms=["product:NIFTY", "product:NOPE", "bad"])
                answer = await client.until("subscribed")
                assert [joined["room"] for joined in answer["ok"]] == ["product:NIFTY"]
                assert {one["room"]: one["code"] for one in answer["err"]} == {
                    "product:NOPE": "unknown_room",
                    "bad": "bad_room",
                }
                await client.until("underlying_update")
                await served.tick(2.5)
                assert (await client.until("underlying_update"))["data"]["price"] == 2.5
                await client.stream.send_all(client.ws.send(Ping(b"abc")))
                await client.send(id=3, op="ping")
                assert (await client.until("pong"))["id"] == 3
                assert client.pongs == [b"abc"]
                await client.stream.send_all(client.ws.send(CloseConnection(code=1000)))
                assert await client.end() == (1000, "")
        await gone(served)
        assert served.desk.hub.open_rooms == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (masked(0xF1, b"{}"), 1002),  # reserved bits
        (masked(0x83, b"{}"), 1002),  # no such opcode
        (masked(0x80, b"{}"), 1002),  # goes on with nothing
        (masked(0x89, b"x" * 126), 1002),
        (masked(0x81, b"\xff\xfe"), 1007),
        (masked(0x82, b"{}"), 4013),  # binary is MessagePack
        (masked(0x81, b"[" * 65_537), 4013),
        (masked(0x01, b"[") + masked(0x00, b"[") * 2000, 4013),
        (masked(0x01, b"") + masked(0x00, b"") * 2000, 4013),
        (masked(0x8A, b"") * 500, 4010),
        (masked(0x89, b"") * 500, 4010),
        (masked(0x81, b'{"op":"ping"}') * 500, 4010),
    ],
)
async def test_what_is_wrong_ends_the_connection(serving: Any, data: bytes, code: int):
    async with serving() as served, served.client() as client:
        await client.stream.send_all(data)
        ended = await client.end()
        assert ended is not None
        assert ended[0] == code
        await gone(served)


@pytest.mark.parametrize("bytes_at_once", [1, 7])
async def test_a_frame_that_comes_in_drops_does_not_hold_the_connection(serving: Any, bytes_at_once: int):
    async with serving(heartbeat_s=0.15) as served, served.client() as client:
        data = masked(0x81, b'{"op":"ping"' + b" " * 5000)

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):  # what comes too late is answered with a reset
                for at in range(0, len(data), bytes_at_once):
                    await client.stream.send_all(data[at : at + bytes_at_once])
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            with trio.fail_after(3), suppress(trio.BrokenResourceError):
                while await client.stream.receive_some(4096):
                    pass
            nursery.cancel_scope.cancel()
        assert served.desk.statistics(None).closed == {4008: 1}


async def test_a_message_in_pieces_is_a_message(serving: Any):
    async with serving() as served, served.client() as client:
        for byte in masked(0x01, b'{"op":') + masked(0x89, b"") + masked(0x80, b'"ping","id":5}'):
            await client.stream.send_all(bytes([byte]))
        assert (await client.until("pong"))["id"] == 5


async def test_who_does_not_say_who_they_are_is_closed(serving: Any):
    async with serving(auth_s=0.2) as served:
        async with served.client(auth=False) as silent, served.client(auth=False) as wrong:
            await wrong.send(op="auth", token="nonsense", id=4)
            frame = await wrong.frame()
            assert (frame["event"], frame["code"], frame["id"]) == ("error", "unauthenticated", 4)
            assert (await wrong.end() or (0,))[0] == 4001
            assert (await silent.end() or (0,))[0] == 4001
        await gone(served)


async def test_who_does_not_finish_the_handshake_is_closed(serving: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deltastream.sockets.server.HANDSHAKE_S", 1.0)
    async with serving() as served:
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(b"GET /ws HTTP/1.1\r\n")  # and never more
            with trio.fail_after(3):
                assert await stream.receive_some(1) == b""
        await gone(served)


async def test_credentials_in_headers(serving: Any):
    async with serving() as served:
        good = [(b"Authorization", f"Bearer {served.token}".encode())]
        async with served.client(auth=False, headers=good) as client:
            assert (await client.frame())["event"] == "connected"
        async with served.client(auth=False, headers=[(b"X-API-Key", b"dsk_nope")]) as client:
            assert (await client.frame())["code"] == "unauthenticated"
            assert (await client.end() or (0,))[0] == 4001


async def test_a_ticket_lets_in_once(serving: Any):
    async with serving() as served:
        ticket = served.desk.tickets.issue(served.token).text
        async with served.client(auth=False) as client, served.client(auth=False) as thief:
            await client.send(op="auth", ticket=ticket)
            await client.until("connected")
            await thief.send(op="auth", ticket=ticket)
            assert (await thief.end() or (0,))[0] == 4001


async def test_who_has_logged_out_is_closed_within_a_second(serving: Any):
    async with serving() as served, served.client() as client:
        await served.accounts.logout_everywhere(await served.accounts.authenticate(served.token))
        assert (await client.end(1) or (0,))[0] == 4001


async def test_limits_of_connections(serving: Any):
    async with serving(connections=3, connections_per_user=2) as served:
        async with served.client(), served.client():
            async with served.client(auth=False) as third:
                await third.send(op="auth", token=served.token)
                assert (await third.end() or (0,))[0] == 4010
                await trio.sleep(0.01)
            async with served.client(auth=False), served.client(auth=False) as fourth:
                assert (await fourth.end() or (0,))[0] == 4012
        await gone(served)
        async with served.client():
            assert len(served.desk.connections) == 1


def small(client: Any) -> None:
    """Take as little as may be."""
    stream = client.stream
    assert isinstance(stream, trio.SocketStream)
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)


async def flood(served: Any, chain: Any, count: int, readers: Sequence[Any] = ()) -> None:
    """Whole chains, one after the other; readers take each before the next."""
    now = Seams.system().clock.now_ns()
    with trio.fail_after(20):
        for number in range(1, count + 1):
            made = chain(now + number * 1_000_000, strikes=100, expiry_ts=now + 10**15)
            made.columns[1:] = number + 0.123456789
            await served.chain(made)
            for reader in readers:
                await caught_up(reader, served)


async def caught_up(client: Any, served: Any) -> None:
    """Read until the last chain has come."""
    (last,) = await served.bus.last("enriched.chain.NIFTY")
    stream = served.desk.hub.streams["chain:NIFTY"]
    while stream.seq < last.position.seq:
        await trio.lowlevel.checkpoint()
    while client.model.rooms["chain:NIFTY"]["chain:NIFTY"].seq < stream.seq:
        assert await client.frame() is not None, client.closed


async def test_a_stalled_reader_costs_nobody_anything_and_comes_back_to_the_state(serving: Any, chain: Any):
    async with serving() as served:
        await flood(served, chain, 1)
        await trio.sleep(0.05)
        async with served.client() as stalled, served.client() as lively:
            small(stalled)
            for client in (stalled, lively):
                await client.send(op="subscribe", rooms=["chain:NIFTY"])
                await client.until("subscribed")
            await flood(served, chain, 60, [lively])
            stalls = [one for one in served.desk.connections if one.blocked]
            assert len(stalls) == 1
            assert served.desk.statistics(None).passed > 0
            with trio.fail_after(10):
                await caught_up(stalled, served)
            assert stalled.model.rooms["chain:NIFTY"]["chain:NIFTY"].state == (
                lively.model.rooms["chain:NIFTY"]["chain:NIFTY"].state
            )
            assert stalled.model.updates < lively.model.updates
            await served.tick(9.0)
            await stalled.send(op="subscribe", rooms=["product:NIFTY"])
            await stalled.until("underlying_update")


@pytest.mark.parametrize("tls", [False, True])
async def test_many_snapshots_at_once_are_given_one_after_the_other(
    serving: Any, chain: Any, certificate: tuple[Path, Path], tls: bool
):
    gateway = secured(certificate) if tls else None
    async with serving(outbox_bytes=64 << 10, burst=400, gateway=gateway) as served:
        if tls:
            served.trust(certificate)
        now = Seams.system().clock.now_ns()
        for number in range(24):
            made = chain(now, product=f"P{number}", strikes=400, expiry_ts=now + 10**15)
            made.columns[1:] = float(number) + 0.25
            await served.chain(made)
        rooms = [f"chain:P{number}" for number in range(24)]
        with trio.fail_after(5):
            while len(served.desk.hub.streams) < 25:  # noqa: ASYNC110  the hub has no event
                await trio.sleep(0.01)
        async with served.client() as client:
            await client.send(op="subscribe", rooms=rooms)
            await trio.sleep(0.1)
            while client.model.updates < 24:
                assert await client.frame() is not None, client.closed
            assert all(client.model.rooms[room][room].state for room in rooms)


async def test_who_falls_behind_is_closed_where_that_is_declared(serving: Any, chain: Any):
    async with serving(slow="disconnect") as served:
        await flood(served, chain, 1)
        await trio.sleep(0.05)
        async with served.client() as stalled:
            small(stalled)
            await stalled.send(op="subscribe", rooms=["chain:NIFTY"])
            await stalled.until("chain_update")
            await flood(served, chain, 60)
            await gone(served)
            assert served.desk.statistics(None).closed == {4009: 1}


async def test_a_defect_in_what_is_made_up_for_costs_one_client_only(
    serving: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
):
    def fail(connection: object) -> bool:
        raise KeyError("a defect")

    async with serving() as served:
        await flood(served, chain, 1)
        await trio.sleep(0.05)
        async with served.client() as other, served.client() as stalled:
            small(stalled)
            for one in (other, stalled):
                await one.send(op="subscribe", rooms=["chain:NIFTY"])
                await one.until("chain_update")
            monkeypatch.setattr(served.desk, "catch_up", fail)
            await flood(served, chain, 60, [other])
            with trio.fail_after(5):
                while await stalled.frame() is not None:
                    pass
            await other.send(op="ping")
            await other.until("pong")


async def test_a_stop_tells_the_clients_to_go(serving: Any):
    async with serving() as served, served.client() as client:
        served.desk.drain()
        assert await client.end(1) == (4012, "the server stops; connect again")
        async with served.client(auth=False) as late:
            assert (await late.end(1) or (0,))[0] == 4012


async def test_a_server_that_ends_tells_its_clients_and_comes_back_to_the_same_desk(serving: Any):
    async with serving() as served:
        async with served.client() as client, trio.open_nursery() as nursery:
            await client.send(op="subscribe", rooms=["product:NIFTY"])
            await client.until("underlying_update")
            nursery.start_soon(served.restart)
            with trio.fail_after(1):
                assert await client.end() == (4012, "the server stops; connect again")
        async with served.client(model=client.model) as again:
            resume = {"product:NIFTY": client.model.resume("product:NIFTY")}
            await again.send(op="subscribe", rooms=["product:NIFTY"], resume=resume)
            assert (await again.until("subscribed"))["ok"][0]["mode"] == "resumed"
            await served.tick(2.0)
            assert (await again.until("underlying_update"))["data"]["price"] == 2.0


async def test_what_comes_with_the_handshake_is_not_lost(serving: Any):
    head = (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    async with serving() as served, await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
        key = f"Authorization: Bearer {served.token}\r\n\r\n".encode()
        await stream.send_all(head + key + masked(0x81, b'{"op":"ping","id":7}'))
        got = b""
        with trio.fail_after(3):
            while b'"id":7' not in got:
                got += (some := await stream.receive_some(4096))
                assert some, got
        assert got.startswith(b"HTTP/1.1 101 ")
        assert got.index(b'"connected"') < got.index(b'"pong"')


async def test_a_status_that_came_before_any_price_is_told(serving: Any, status: Any):
    """As at an opening: the first that is known of a product is that its market is open."""
    async with serving() as served:
        live = served.desk._live
        await served.bus.append("market.status.SPX", status(product="SPX"))
        while live.status("SPX") is None:  # noqa: ASYNC110  the live state has no event
            await trio.sleep(0.005)
        desk = Desk(served.bus, live, served.accounts, FAST, Seams.system())
        async with trio.open_nursery() as nursery:
            await nursery.start(desk.run, None)
            bound = await nursery.start(serve, desk, FAST, GatewaySettings(), Seams.system())
            async with replace(served, desk=desk, port=bound.port).client() as client:
                await served.bus.append(
                    "market.tick.SPX", UnderlyingTick(product="SPX", price=1.0, ts_event=1, ts_recv=1)
                )
                while "product:SPX" not in desk.hub.streams:  # noqa: ASYNC110  the hub has no event
                    await trio.sleep(0.005)
                await client.send(id=2, op="subscribe", rooms=["product:SPX"])
                assert (await client.until("market_status"))["status"] == "open"
            nursery.cancel_scope.cancel()


async def test_what_the_store_alone_knew_is_told_as_soon_as_it_answers(serving: Any, chain: Any):
    """Until then positions are provisional: who goes on from there elsewhere would lack it."""
    nothing: Any = None
    async with serving() as served, trio.open_nursery() as nursery:
        live = Live(served.bus, nothing, Seams.system())
        desk = Desk(served.bus, live, served.accounts, FAST, Seams.system())
        await nursery.start(desk.run, None)
        bound = await nursery.start(serve, desk, FAST, GatewaySettings(), Seams.system())
        await served.chain(chain(expiry="2026-12-01"))
        while "chain:NIFTY" not in desk.hub.streams:  # noqa: ASYNC110  the hub has no event
            await trio.sleep(0.005)
        async with replace(served, desk=desk, port=bound.port).client() as client:
            await client.send(id=2, op="subscribe", rooms=["chain:NIFTY"])
            (joined,) = (await client.until("subscribed"))["ok"]
            first = await client.until("chain_update")
            assert (joined["epoch"], first["part"]) == (first["epoch"], [1, 1])
            live._latest.take(chain(expiry="2026-11-24"), "enriched.chain.NIFTY", None)
            live.recalled.set()
            parts = [await client.until("chain_update") for _ in range(2)]
            assert {part["data"]["expiry"] for part in parts} == {"2026-11-24", "2026-12-01"}
            told = {(part["epoch"] + "~", part["seq"], part["reason"]) for part in parts}
            assert told == {(first["epoch"], 1, "trimmed")}
            await client.send(
                id=3,
                op="subscribe",
                rooms=["chain:NIFTY"],
                resume={"chain:NIFTY": {"epoch": joined["epoch"], "seq": joined["seq"]}},
            )
            (again,) = (await client.until("subscribed"))["ok"]
            assert again["mode"] == "snapshot"
        nursery.cancel_scope.cancel()


async def test_nothing_is_left_of_clients_that_have_gone(serving: Any):
    async with serving() as served:
        async with served.client():
            pass
        await gone(served)
        before, tasks = files(), trio.lowlevel.current_statistics().tasks_living
        for number in range(60):
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            if number % 3 == 0:
                await stream.send_all(os.urandom(200))
            elif number % 3 == 1:
                await stream.send_all(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n")
                await stream.send_eof()
            await stream.aclose()
            async with served.client(auth=number % 2 == 0) as client:
                if number % 5 == 0:
                    await client.stream.send_eof()  # half closed
                    await client.end()
                elif number % 5 == 1:
                    linger = struct.pack("ii", 1, 0)
                    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await gone(served)
        with trio.fail_after(7):  # of handshakes
            # no more than before: what served the first of all may still have been there then
            while files() > before or trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110  no event
                await trio.sleep(0.05)


async def test_the_slower_path_with_a_certificate(serving: Any, certificate: tuple[Path, Path], chain: Any):
    async with serving(gateway=secured(certificate)) as served:
        served.trust(certificate)
        await flood(served, chain, 1)
        await trio.sleep(0.05)
        async with served.client() as client, served.client() as stalled:
            for one in (client, stalled):
                await one.send(op="subscribe", rooms=["chain:NIFTY", "product:NIFTY"])
                await one.until("subscribed")
            await flood(served, chain, 60, [client])
            with trio.fail_after(10):
                await caught_up(stalled, served)
            assert stalled.model.updates < client.model.updates
            await client.stream.send_all(b"\x81\x05hello")
            assert (await client.end() or (0,))[0] == 1002
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(b"GET /ws HTTP/1.1\r\n\r\n")
            with trio.fail_after(3):
                while await stream.receive_some(100):
                    pass
        await gone(served)


async def test_who_finds_no_room_is_told_so_with_a_certificate_too(
    serving: Any, certificate: tuple[Path, Path]
):
    async with serving(gateway=secured(certificate), connections=1) as served:
        served.trust(certificate)
        async with served.client(), served.client(auth=False) as second:
            assert await second.end(2) == (4012, "too many connections")
        await gone(served)
