"""A client on a plain TCP socket, which is written to without a task and without a copy.

What the socket takes at once has left. Of what it does not, either nothing is kept, or the rest is
held, within a bound, until the socket takes it.
"""

from __future__ import annotations

from typing import Final

import structlog
import trio
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionState

from deltastream.sockets.connection import Connection
from deltastream.sockets.desk import Desk
from deltastream.sockets.events import CloseCode
from deltastream.sockets.fanout import Batch, Form
from deltastream.sockets.inbound import Inbound
from deltastream.sockets.network import KERNEL, Readiness, Socket
from deltastream.sockets.session import Session
from deltastream.sockets.settings import SocketSettings
from deltastream.sockets.wire import close_frame, ping_frame

__all__ = ["PlainConnection"]

READ_BYTES: Final = 4096
"""Read at a time. What comes compressed may become a thousand times as much."""

CLOSING_S: Final = 1.0
"""How long a client has to answer our close."""

_MOST_CONTROL: Final = 64

STALLED_HEARTBEATS: Final = 3
"""A socket that takes nothing for so many heartbeats is given up."""

log = structlog.get_logger("deltastream.sockets")


class PlainConnection(Connection):
    """A client on a plain TCP socket.

    Args:
        session, form, address: as of every connection.
        sock: connected, not blocking.
        websocket: after the handshake.
        desk: where it belongs.
        settings: limits.
        nursery: for the task that empties it while its socket takes less than there is.
        readiness: tells when the socket is ready.
    """

    __slots__ = (
        "_desk",
        "_held",
        "_held_bytes",
        "_inbound",
        "_nursery",
        "_readiness",
        "_scope",
        "_settings",
        "_sock",
        "_websocket",
    )

    def __init__(
        self,
        session: Session,
        form: Form,
        address: str,
        *,
        sock: Socket,
        websocket: WebSocket,
        desk: Desk,
        settings: SocketSettings,
        nursery: trio.Nursery,
        readiness: Readiness = KERNEL,
    ) -> None:
        super().__init__(session, form, address)
        self._sock = sock
        self._websocket = websocket
        self._desk = desk
        self._settings = settings
        self._nursery = nursery
        self._readiness = readiness
        self._held: list[memoryview] = []
        self._held_bytes = 0
        self._inbound = Inbound(desk, settings)
        self._scope = trio.CancelScope()

    async def serve(self, credential: str | None) -> None:
        """Read what comes until the connection ends.

        Cancellation: ends it at once.

        Args:
            credential: what its handshake told.
        """
        with self._scope:
            if credential is not None:
                await self._desk.identify(self, credential)
            if not await self._inbound.take(self, self._websocket, b"", self):
                return
            while self._websocket.state is not ConnectionState.CLOSED:
                await self._readiness.readable(self._sock)
                try:
                    data = self._sock.recv(READ_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    break
                if not data:
                    break
                if not await self._inbound.take(self, self._websocket, data, self):
                    return

    def offer(self, batch: Batch) -> bool:
        """See `Member.offer`."""
        data = batch.joined
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            self.block()
            return False
        except OSError:
            self._lost()
            return True
        if sent < len(data):
            self._hold(memoryview(data)[sent:])
            self.block()
        return True

    def hold(self, batch: Batch) -> None:
        """See `Member.hold`."""
        data = memoryview(batch.joined)
        if self.blocked:
            if self._held_bytes > self._settings.outbox_bytes:
                self._desk.too_slow(self)
            else:
                self._hold(data)
            return
        try:
            data = data[self._sock.send(data) :]
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        if data:
            self._hold(data)
            self.block()

    def block(self) -> None:
        """See `Member.block`."""
        if not self.blocked:
            self.blocked = True
            self._nursery.start_soon(self._empty)

    def missed(self) -> None:
        """See `Member.missed`."""
        if self._settings.slow == "disconnect":
            self._desk.too_slow(self)

    def ping(self) -> None:
        """See `Connection.ping`."""
        self.write(ping_frame())

    def close(self, code: CloseCode, reason: str) -> None:
        """See `Connection.close`."""
        self.write(close_frame(code, reason))
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + CLOSING_S)

    def write(self, data: bytes) -> None:
        """Send a small frame: at once, or after what is held, or not at all."""
        if self.blocked:
            if len(self._held) < _MOST_CONTROL:
                self._hold(memoryview(data))
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            return
        except OSError:
            self._lost()
            return
        if sent < len(data):
            self._hold(memoryview(data)[sent:])
            self.block()

    def _hold(self, data: memoryview) -> None:
        self._held.append(data)
        self._held_bytes += len(data)

    def _lost(self) -> None:
        """The client is gone; the reader finds out as well."""
        self._scope.cancel(reason="the client is gone")

    async def _empty(self) -> None:
        """As `_write_held`, but a defect costs this client only: it runs beside everybody's."""
        try:
            await self._write_held()
        except Exception:
            log.exception("socket_failed")
            self._lost()

    async def _write_held(self) -> None:
        """Write what is held as the socket takes it, then what was missed, until that is all."""
        patience = STALLED_HEARTBEATS * self._settings.heartbeat_s
        while self._sock.fileno() >= 0:
            with trio.move_on_after(patience) as scope:
                try:
                    await self._readiness.writable(self._sock)
                except (trio.ClosedResourceError, OSError):
                    return
            if scope.cancelled_caught:
                self._desk.too_slow(self)
                return
            if self._emptied() and not self._desk.catch_up(self):
                return

    def _emptied(self) -> bool:
        """Write what the socket takes; whether that was all."""
        while self._held:
            try:
                sent = self._sock.send(self._held[0])
            except BlockingIOError:
                return False
            except OSError:
                self._lost()
                return False
            self._held_bytes -= sent
            if sent < len(self._held[0]):
                self._held[0] = self._held[0][sent:]
                return False
            del self._held[0]
        return True
