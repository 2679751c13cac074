"""A client that has been greeted, at whichever port, and is served over the line that it came by."""

from __future__ import annotations

import socket
from typing import Final

import structlog
import trio

from deltastream.seams import Seams
from deltastream.sockets.desk import Desk
from deltastream.sockets.handshake import Greeted
from deltastream.sockets.network import KERNEL, Readiness, Socket
from deltastream.sockets.plain import PlainConnection
from deltastream.sockets.secure import SecureConnection
from deltastream.sockets.session import Session
from deltastream.sockets.settings import SocketSettings
from deltastream.sockets.wire import FRAMED

__all__ = ["Guest"]

SEND_BUFFER: Final = 128 << 10
"""What the kernel holds for a client, beside what we do: doubled by it."""

log = structlog.get_logger("deltastream.sockets")


class Guest:
    """A client that has been greeted; see `deltastream.gateway.sockets.Guest`.

    Attributes:
        answer: what it must be sent before anything else.

    Args:
        greeted: by whom and how it is spoken to.
        desk: where it is taken in.
        settings: limits.
        seams: ids of sessions.
    """

    __slots__ = ("_connection", "_desk", "_greeted", "_seams", "_settings", "answer")

    def __init__(self, greeted: Greeted, desk: Desk, settings: SocketSettings, seams: Seams) -> None:
        self.answer = greeted.answer
        self._greeted = greeted
        self._desk = desk
        self._settings = settings
        self._seams = seams
        self._connection: PlainConnection | SecureConnection | None = None

    async def serve(
        self,
        line: Socket | trio.abc.Stream,
        rest: bytes,
        *,
        tasks: trio.Nursery,
        readiness: Readiness = KERNEL,
    ) -> None:
        """See `deltastream.gateway.sockets.Guest`.

        Args:
            readiness: tells when the socket is ready, where the line is one.
        """
        self._greeted.websocket.receive_data(rest)
        connection = self._connection = self._connected(line, tasks, readiness)
        try:
            reason = self._desk.admit(connection)
            if reason is not None:
                self._desk.turn_away(connection, reason)
            await connection.serve(self._greeted.credential)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception:
            log.exception("socket_failed")
        finally:
            self._desk.dismiss(connection)

    def end(self) -> None:
        """See `deltastream.gateway.sockets.Guest`."""
        if self._connection is not None:
            self._desk.let_go(self._connection)

    def _connected(
        self, line: Socket | trio.abc.Stream, tasks: trio.Nursery, readiness: Readiness
    ) -> PlainConnection | SecureConnection:
        greeted, settings = self._greeted, self._settings
        session = Session(self._seams.ids.new(), greeted.encoding, settings, trio.current_time())
        form = FRAMED[greeted.encoding, greeted.deflate]
        if isinstance(line, trio.abc.Stream):
            return SecureConnection(
                session, form, greeted.address, self._desk, settings, line, greeted.websocket
            )
        if isinstance(line, socket.socket):
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return PlainConnection(
            session,
            form,
            greeted.address,
            sock=line,
            websocket=greeted.websocket,
            desk=self._desk,
            settings=settings,
            nursery=tasks,
            readiness=readiness,
        )
