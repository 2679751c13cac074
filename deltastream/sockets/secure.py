"""Clients that came by our certificate: TLS may have to read to write, so each has a task that writes.

What is for them waits in a queue of bounded bytes. While that is full they are passed over, as a
socket that takes nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionState

from deltastream.sockets.connection import Connection
from deltastream.sockets.desk import Desk
from deltastream.sockets.events import CloseCode
from deltastream.sockets.fanout import Batch, Form
from deltastream.sockets.inbound import Inbound
from deltastream.sockets.session import Session
from deltastream.sockets.settings import SocketSettings
from deltastream.sockets.wire import close_frame, ping_frame

__all__ = ["SecureConnection"]

CLOSING_S: Final = 1.0
STALLED_HEARTBEATS: Final = 3

_READ_BYTES: Final = 4096


class SecureConnection(Connection):
    """A client with a queue and a task that empties it.

    Args:
        session, form, address: as of every connection.
        desk: where it belongs.
        settings: limits.
        stream: the TLS stream.
        websocket: after the handshake.
    """

    __slots__ = (
        "_bytes",
        "_desk",
        "_ending",
        "_inbound",
        "_left",
        "_queue",
        "_scope",
        "_settings",
        "_stream",
        "_websocket",
        "_work",
    )

    def __init__(
        self,
        session: Session,
        form: Form,
        address: str,
        desk: Desk,
        settings: SocketSettings,
        stream: trio.abc.Stream,
        websocket: WebSocket,
    ) -> None:
        super().__init__(session, form, address)
        self._desk = desk
        self._settings = settings
        self._stream = stream
        self._websocket = websocket
        self._inbound = Inbound(desk, settings)
        self._queue: list[bytes] = []
        self._bytes = 0
        self._work = trio.Event()
        self._ending: tuple[CloseCode, str] | None = None
        self._left = False
        self._scope = trio.CancelScope()

    async def serve(self, credential: str | None) -> None:
        """Read and write until the connection ends.

        Cancellation: ends it at once.

        Args:
            credential: what its handshake told.
        """
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._empty)
                if credential is not None:
                    await self._desk.identify(self, credential)
                await self._read()
                self._left = True
                self._work.set()
                self._scope.deadline = min(self._scope.deadline, trio.current_time() + CLOSING_S)

    def offer(self, batch: Batch) -> bool:
        """See `Member.offer`."""
        if self._bytes > self._settings.outbox_bytes // 2:
            self.block()
            return False
        self._add(batch.frames)
        return True

    def hold(self, batch: Batch) -> None:
        """See `Member.hold`."""
        if self._bytes > self._settings.outbox_bytes:
            self._desk.too_slow(self)
        else:
            self._add(batch.frames)
            if self._bytes > self._settings.outbox_bytes // 2:
                self.block()

    def block(self) -> None:
        """See `Member.block`."""
        self.blocked = True
        self._work.set()

    def missed(self) -> None:
        """See `Member.missed`."""
        if self._settings.slow == "disconnect":
            self._desk.too_slow(self)

    def ping(self) -> None:
        """See `Connection.ping`."""
        self._add([ping_frame()])

    def write(self, frame: bytes) -> None:
        """See `inbound.Writer`."""
        if self._bytes < self._settings.outbox_bytes:
            self._add([frame])

    def close(self, code: CloseCode, reason: str) -> None:
        """See `Connection.close`."""
        self._ending = self._ending or (code, reason)
        self._work.set()
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + CLOSING_S)

    async def _read(self) -> None:
        data = b""
        while await self._inbound.take(self, self._websocket, data, self):
            if self._websocket.state is ConnectionState.CLOSED:
                return
            data = bytes(await self._stream.receive_some(_READ_BYTES))
            if not data:
                return

    def _add(self, frames: Sequence[bytes]) -> None:
        self._queue += frames
        self._bytes += sum(map(len, frames))
        self._work.set()

    async def _empty(self) -> None:
        """Write what is queued; a client that takes nothing for long is given up."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._queue or (self.blocked and self._desk.catch_up(self)):
                await self._write_queue()
            if self._ending is not None:
                await self._stream.send_all(close_frame(*self._ending))
            if self._ending is not None or self._left:
                return

    async def _write_queue(self) -> None:
        with trio.move_on_after(STALLED_HEARTBEATS * self._settings.heartbeat_s) as scope:
            frames, self._queue, self._bytes = self._queue, [], 0
            await self._stream.send_all(b"".join(frames))
        if scope.cancelled_caught:
            self._desk.too_slow(self)
            self._scope.cancel(reason="the client takes nothing")
            await trio.lowlevel.checkpoint()
