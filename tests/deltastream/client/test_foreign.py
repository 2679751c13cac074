"""Three foreign libraries talk to both ports, in both encodings, compressed and not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
import trio
import trio_websocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PROTOCOLS = {"json": "deltastream.v1", "msgpack": "deltastream.v1.msgpack"}


class Ended(Exception):
    """The server has closed."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Line:
    """One open connection, whatever library holds it."""

    def __init__(self, send: Any, receive: Any, ping: Any, protocol: str | None, deflated: bool) -> None:
        self.send, self.receive, self.ping = send, receive, ping
        self.protocol, self.deflated = protocol, deflated


class Websockets:
    """The library of that name, on asyncio."""

    backend = "asyncio"

    @staticmethod
    @asynccontextmanager
    async def open(url: str, protocol: str, deflate: bool, headers: dict[str, str]) -> AsyncIterator[Line]:
        compression = "deflate" if deflate else None
        async with connect(
            url, subprotocols=[protocol], compression=compression, additional_headers=headers
        ) as socket:

            async def receive() -> Any:
                try:
                    return await socket.recv()
                except ConnectionClosed as closed:
                    raise Ended(
                        closed.rcvd and closed.rcvd.code, closed.rcvd and closed.rcvd.reason
                    ) from None

            async def ping() -> None:
                await (await socket.ping(b"there?"))

            extensions = socket.response.headers.get("Sec-WebSocket-Extensions", "")
            yield Line(socket.send, receive, ping, socket.subprotocol, "permessage-deflate" in extensions)


class Aiohttp:
    """aiohttp's client, on asyncio."""

    backend = "asyncio"

    @staticmethod
    @asynccontextmanager
    async def open(url: str, protocol: str, deflate: bool, headers: dict[str, str]) -> AsyncIterator[Line]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url, protocols=[protocol], compress=15 if deflate else 0, headers=headers, autoping=False
            ) as socket,
        ):
            waiting: list[Any] = []

            async def next_of(*wanted: aiohttp.WSMsgType) -> Any:
                while True:
                    message = await socket.receive()
                    match message.type:
                        case aiohttp.WSMsgType.PING:
                            await socket.pong(message.data)
                        case aiohttp.WSMsgType.CLOSE | aiohttp.WSMsgType.CLOSED:
                            raise Ended(socket.close_code, str(message.extra or ""))
                        case kind if kind in wanted:
                            return message
                        case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                            waiting.append(message)

            async def send(data: Any) -> None:
                await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))

            async def receive() -> Any:
                if waiting:
                    return waiting.pop(0).data
                return (await next_of(aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)).data

            async def ping() -> None:
                await socket.ping(b"there?")
                assert (await next_of(aiohttp.WSMsgType.PONG)).data == b"there?"

            yield Line(send, receive, ping, socket.protocol, bool(socket.compress))


class TrioWebsocket:
    """trio-websocket, which does not compress."""

    backend = "trio"

    @staticmethod
    @asynccontextmanager
    async def open(url: str, protocol: str, deflate: bool, headers: dict[str, str]) -> AsyncIterator[Line]:
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        where = urlsplit(url)
        async with (
            await trio.open_tcp_stream(
                where.hostname or "", where.port or 0
            ) as stream,  # it may leave it open
            trio.open_nursery() as nursery,
        ):
            socket = await trio_websocket.wrap_client_stream(
                nursery, stream, where.netloc, where.path, subprotocols=[protocol], extra_headers=extra
            )

            async def receive() -> Any:
                try:
                    return await socket.get_message()
                except trio_websocket.ConnectionClosed as closed:
                    raise Ended(closed.reason and closed.reason.code, None) from None

            async def ping() -> None:
                await socket.ping(b"there?")

            yield Line(socket.send_message, receive, ping, socket.subprotocol, False)
            await socket.aclose()


CALLS = [
    pytest.param(library, deflate, id=f"{library.__name__}-{'deflate' if deflate else 'plain'}")
    for library, deflate in (
        (Websockets, False), (Websockets, True), (Aiohttp, False), (Aiohttp, True), (TrioWebsocket, False),
    )
]  # fmt: skip


class Speaker:
    """Speaks the protocol over a line."""

    def __init__(self, line: Line, encoding: str) -> None:
        self._line = line
        self._encoding = encoding

    async def say(self, **command: Any) -> None:
        if self._encoding == "json":
            await self._line.send(msgspec.json.encode(command).decode())
        else:
            await self._line.send(msgspec.msgpack.encode(command))

    async def hear(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next frame but for heartbeats, which must be this one."""
        while True:
            data = await self._line.receive()
            assert isinstance(data, str) == (self._encoding == "json")
            decode = msgspec.json.decode if self._encoding == "json" else msgspec.msgpack.decode
            frame: dict[str, Any] = decode(data)
            if frame["event"] == "heartbeat" != event:
                continue
            assert frame["event"] == event, frame
            assert {name: frame.get(name) for name in fields} == fields
            return frame


async def drained(line: Line) -> None:
    """Take frames until the server has closed."""
    while True:
        await line.receive()


@pytest.fixture
async def stand(open_stand: Any, which: str) -> AsyncIterator[Any]:
    """On each of both ports."""
    async with open_stand(which=which) as opened:
        yield opened


def runner(library: Any) -> Any:
    """Runs a user of a library where it lives; see `conftest.Backend`."""

    async def run(user: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(10):
                await user()
                for _ in range(3):  # what both libraries have closed is closed a turn of the loop later
                    await asyncio.sleep(0)

        if library.backend == "trio":
            with trio.fail_after(10):
                await user()
        else:
            await trio.to_thread.run_sync(lambda: asyncio.run(limited()))

    return run


def host(library: Any) -> Any:
    """Does something where the server is."""
    token = trio.lowlevel.current_trio_token()

    async def call(work: Any, *args: Any, **named: Any) -> Any:
        async def done() -> Any:
            return await work(*args, **named)

        if library.backend == "trio":
            return await done()
        return await asyncio.to_thread(trio.from_thread.run, done, trio_token=token)

    return call


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(("library", "deflate"), CALLS)
async def test_a_session(stand, library, deflate, encoding):
    await stand.tick(1.0)
    await stand.chain(strikes=[float(strike) for strike in range(50, 250, 2)])
    on_host = host(library)

    async def user() -> None:
        async with library.open(stand.url, PROTOCOLS[encoding], deflate, {}) as line:
            assert line.protocol == PROTOCOLS[encoding]
            assert line.deflated <= deflate
            speaker = Speaker(line, encoding)
            await speaker.say(id=1, op="auth", token=stand.token)
            await speaker.hear("connected", id=1)
            await speaker.say(id="two", op="subscribe", rooms=["chain:NIFTY", "product:NIFTY"])
            entered = await speaker.hear("subscribed", id="two", err=[])
            assert [one["room"] for one in entered["ok"]] == ["chain:NIFTY", "product:NIFTY"]
            chain = await speaker.hear("chain_update", kind="snapshot", part=[1, 1])
            assert len(chain["data"]["columns"]["strike"]) == 100
            await speaker.hear("underlying_update", kind="snapshot", seq=1)
            await line.ping()
            await on_host(stand.tick, 2.0)
            update = await speaker.hear("underlying_update", first=2, seq=2)
            assert update["data"] == {"product": "NIFTY", "price": 2.0, "volume": None}
            assert (await speaker.hear("heartbeat"))["seqs"] == {"chain:NIFTY": 1, "product:NIFTY": 2}
            await speaker.say(id=3, op="nothing")
            await speaker.hear("error", id=3, code="unknown_op", retryable=False)
            identity = await on_host(stand.accounts.authenticate, stand.token)
            await on_host(stand.accounts.logout_everywhere, identity)
            with pytest.raises(Ended) as ended:
                await speaker.hear("connected")
            assert ended.value.code == 4001

    await runner(library)(user)
    await stand.settle()


@pytest.mark.parametrize("library", [Websockets, Aiohttp, TrioWebsocket])
async def test_a_header_tells_who_it_is(stand, library):
    await stand.tick(1.0)

    async def user() -> None:
        headers = {"Authorization": f"Bearer {stand.token}"}
        async with library.open(stand.url, PROTOCOLS["json"], False, headers) as line:
            speaker = Speaker(line, "json")
            await speaker.hear("connected", id=None)
            await speaker.say(op="subscribe", rooms=["product:NIFTY"])
            await speaker.hear("subscribed")
            await speaker.hear("underlying_update", kind="snapshot")

    await runner(library)(user)
    await stand.settle()


@pytest.mark.parametrize("library", [Websockets, Aiohttp, TrioWebsocket])
@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"op":"auth","token":"ds_wrong"}', 4001),
        ('{"op":"ping"}', 4001),
        ("hello", 4013),
        (b"\x81\xa2op\xa4ping", 4013),
    ],
)
async def test_closes(stand, library, first, code):
    async def user() -> None:
        async with library.open(stand.url, PROTOCOLS["json"], False, {}) as line:
            await line.send(first)
            with pytest.raises(Ended) as ended:
                await drained(line)
            assert ended.value.code == code

    await runner(library)(user)
    await stand.settle()


@pytest.mark.parametrize("library", [Websockets, Aiohttp, TrioWebsocket])
async def test_a_drain(stand, library):
    on_host = host(library)

    async def stop_soon() -> None:
        stand.nursery.start_soon(stand.stop)

    async def user() -> None:
        async with library.open(stand.url, PROTOCOLS["json"], False, {}) as line:
            speaker = Speaker(line, "json")
            await speaker.say(id=1, op="auth", token=stand.token)
            await speaker.hear("connected", id=1)
            await on_host(stop_soon)
            with pytest.raises(Ended) as ended:
                await speaker.hear("connected")
            assert ended.value.code == 4012

    await runner(library)(user)
