"""One client's connection: the bytes between its socket and hypercorn's HTTP/1.1.

Hypercorn's own transport holds a write to a client that does not read for as long as that client
likes, cannot be told to do without HTTP/2 over plain TCP (by which requests are smuggled past
proxies), and starts a task per request to wait for the next. This one has a limit to every wait.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf
from typing import Any, Final

import h11
import msgspec
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from deltastream.gateway._applications import App, Applications
from deltastream.gateway._upgrade import Upgrade, asks_to_upgrade
from deltastream.gateway.problems import MEDIA_TYPE, Problem
from deltastream.gateway.sockets import Guest

__all__ = ["Connection", "Patience", "Shared"]

log = structlog.get_logger("deltastream.gateway")

_RECEIVE: Final = 1 << 16
_LINGER_BYTES: Final = 4 << 20
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client is waited for, in seconds.

    Attributes:
        handshake: of TLS.
        head: from the first byte of a request until its headers are complete.
        idle: for the next request.
        write: for it to take what is sent.
        linger: for it to read the answer to a request that it has not finished.
    """

    handshake: float = 5.0
    head: float = 10.0
    idle: float = 30.0
    write: float = 20.0
    linger: float = 1.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a server have in common.

    Attributes:
        app: answers the requests.
        config: hypercorn's.
        context: hypercorn's; tells that the server is ending.
        patience: with the client.
        new_id: names a request that never reached the application.
    """

    app: App
    config: Config
    context: WorkerContext
    patience: Patience
    new_id: Callable[[], str]


class Connection:
    """Serves one client until either side has had enough. Nothing it does gets out of `run`.

    Args:
        stream: connected; after the handshake where it is TLS.
        shared: of the server.
        client, server: the addresses of both ends.
        secure: whether the client came by TLS.
        tasks: for what runs beside it and ends after it.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        shared: Shared,
        *,
        client: tuple[str, int],
        server: tuple[str, int],
        secure: bool,
        tasks: trio.Nursery,
    ) -> None:
        self._stream = stream
        self._shared = shared
        self._client = client
        self._server = server
        self._secure = secure
        self._tasks = tasks
        self._guest: Guest | None = None
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        self._deadline = inf
        self._idle = True
        self._begun = False
        self._broken = False

    async def run(self) -> None:
        """Serve. Cancellation: ends it at once; an application that still runs is cancelled."""
        try:
            granted = await self._speak_http()
            if granted is not None:
                await self._serve(*granted)
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _speak_http(self) -> tuple[Guest, bytes] | None:
        """Answer requests; at the end perhaps who is served on the connection now, and what they sent."""
        shared = self._shared
        async with Applications(shared.app) as applications:
            protocol = _Http1(
                shared.app,
                shared.config,
                shared.context,
                applications,
                ConnectionState({}),
                self._secure,
                self._client,
                self._server,
                self._handle,
                new_id=shared.new_id,
            )
            self._wait(shared.patience.idle)
            await self._read(protocol)
            await protocol.handle(Closed())
        if protocol.guest is not None:
            return protocol.guest, protocol.rest
        if not self._broken and protocol.is_unfinished:
            await self._linger()
        return None

    async def _serve(self, guest: Guest, rest: bytes) -> None:
        """From now on the connection is a guest's, the socket itself where there is no TLS."""
        await self._send(guest.answer)
        if self._broken:
            return
        self._guest = guest
        if not isinstance(self._stream, trio.SocketStream):
            await guest.serve(self._stream, rest, tasks=self._tasks)
            return
        with socket.socket(fileno=self._stream.socket.detach()) as sock:
            sock.setblocking(False)
            try:
                await guest.serve(sock, rest, tasks=self._tasks)
            finally:
                trio.lowlevel.notify_closing(sock)

    def end_when_idle(self) -> None:
        """Let it end now if it waits for a request; else it ends after the answer it is giving."""
        if self._guest is not None:
            self._guest.end()
        elif self._idle:
            self._reading.cancel(reason="the server is ending")

    async def _read(self, protocol: H11Protocol) -> None:
        with self._reading:
            while True:
                with trio.CancelScope(deadline=self._deadline) as self._waiting:
                    try:
                        data = await self._stream.receive_some(_RECEIVE)
                    except _GONE:
                        self._broken = True
                        return
                if self._waiting.cancelled_caught or not data:
                    return
                if self._idle and not self._begun:
                    self._begun = True
                    self._wait(self._shared.patience.head)
                await protocol.handle(RawData(bytes(data)))

    def _wait(self, seconds: float) -> None:
        self._deadline = trio.current_time() + seconds

    async def _handle(self, event: Event) -> None:
        """What hypercorn's protocol wants done."""
        if isinstance(event, RawData):
            if event.data:
                await self._send(event.data)
        elif isinstance(event, Updated):
            self._idle = event.idle
            self._begun = False
            self._deadline = inf
            if event.idle:
                self._wait(self._shared.patience.idle)
            self._waiting.deadline = self._deadline
        elif isinstance(event, Closed):
            self._reading.cancel(reason="the protocol has ended")

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            if self._broken:
                return
            try:
                with trio.move_on_after(self._shared.patience.write) as waiting:
                    await self._stream.send_all(data)
            except _GONE:
                self._broken = True
            except BaseException:  # cancelled: nobody knows how much of it was sent
                self._broken = True
                raise
            if waiting.cancelled_caught:
                self._broken = True
                log.info("client_stalled", address=self._client[0], waited_s=self._shared.patience.write)
            if self._broken:
                self._reading.cancel(reason="the client takes nothing")

    async def _linger(self) -> None:
        """Let a client that is still sending read the answer: closed at once, it would lose it."""
        with trio.move_on_after(self._shared.patience.linger), suppress(*_GONE):
            if isinstance(self._stream, trio.SocketStream):
                await self._stream.send_eof()
            taken = 0
            while taken < _LINGER_BYTES and (data := await self._stream.receive_some(_RECEIVE)):
                taken += len(data)


class _Http1(H11Protocol):
    """HTTP/1.1 without a way to HTTP/2, with problem documents, and a packet less per answer."""

    def __init__(self, *args: Any, new_id: Callable[[], str]) -> None:
        super().__init__(*args)
        self._new_id = new_id
        self._head = b""
        self._upgrade: Upgrade | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether the client may still be sending a request."""
        return self.connection.their_state in (h11.SEND_BODY, h11.ERROR)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Whoever asks for HTTP/2 is answered in HTTP/1.1."""

    @property
    def guest(self) -> Guest | None:
        """Who is to be served on the connection from now on, in place of HTTP."""
        return None if self._upgrade is None else self._upgrade.guest

    @property
    def rest(self) -> bytes:
        """What has come after the last request."""
        return bytes(self.connection.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        """As hypercorn does, but what wants to go on as a WebSocket is not its."""
        self._upgrade = self._upgrade_of(request)
        stream: Any = self._upgrade
        if stream is None:
            stream = HTTPStream(
                self.app,
                self.config,
                self.context,
                self.task_group,
                self.ssl,
                self.client,
                self.server,
                self.stream_send,
                STREAM_ID,
            )
        self.stream = stream
        asked = Request(
            stream_id=STREAM_ID,
            headers=list(request.headers),
            http_version=request.http_version.decode(),
            method=request.method.decode("ascii").upper(),
            raw_path=request.target,
            state=self.connection_state,
        )
        await stream.handle(asked)

    def _upgrade_of(self, request: h11.Request) -> Upgrade | None:
        if not asks_to_upgrade(request):
            return None
        peers = {"client": self.client, "server": self.server, "scheme": "wss" if self.ssl else "ws"}
        spawn: Any = partial(self.task_group.spawn_app, self.app, self.config)
        return Upgrade(spawn, self.stream_send, peers)

    async def _send_h11_event(self, event: Any) -> None:
        """Send, but the head of an answer not before the first of its body."""
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data
        else:
            head, self._head = self._head, b""
            await self.send(RawData(data=head + data))

    async def _send_error_response(self, status_code: int) -> None:
        code = "headers_too_large" if status_code == 431 else "malformed_request"
        problem, request_id = Problem(code), self._new_id()
        body = msgspec.json.encode(problem.document(request_id))
        address = self.client[0] if self.client else None
        log.info("malformed_request", address=address, status=problem.status, request_id=request_id)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        own: Iterable[tuple[bytes, bytes]] = self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=problem.status, headers=[*chain(headers, own)]))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
