"""What comes from a client, put together out of WebSocket events, with a limit to everything."""

from __future__ import annotations

from typing import Any, Final, Protocol

import trio
from wsproto.connection import Connection as WebSocket
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from deltastream.sockets.connection import Connection
from deltastream.sockets.desk import Desk
from deltastream.sockets.settings import SocketSettings
from deltastream.sockets.wire import close_frame, pong_frame

__all__ = ["Inbound", "Writer"]

_MOST_FRAGMENTS: Final = 1024
_A_TURN: Final = 64
_NO_CODE: Final = 1005
_NORMAL: Final = 1000


class Writer(Protocol):
    """Writes control frames."""

    def write(self, frame: bytes) -> None:
        """Write a small frame at once, or not at all."""
        ...


class Inbound:
    """Gathers the parts of messages of one client.

    Args:
        desk: given what is whole.
        settings: limits.
    """

    __slots__ = ("_bytes", "_desk", "_parts", "_settings")

    def __init__(self, desk: Desk, settings: SocketSettings) -> None:
        self._desk = desk
        self._settings = settings
        self._parts: list[Any] = []
        self._bytes = 0

    async def take(self, connection: Connection, websocket: WebSocket, data: bytes, writer: Writer) -> bool:
        """What has come from a client; whether more may come.

        Cancellation: the rest of what it asks for is not done.
        """
        websocket.receive_data(data)
        for number, event in enumerate(websocket.events(), start=1):
            if not await self._handle(connection, event, writer):
                return False
            if number % _A_TURN == 0:
                await trio.lowlevel.checkpoint()
        return True

    async def _handle(self, connection: Connection, event: object, writer: Writer) -> bool:
        match event:
            case TextMessage() | BytesMessage():
                await self._take(connection, event)
            case Pong():
                self._desk.controlled(connection)
            case Ping():
                self._desk.controlled(connection)
                writer.write(pong_frame(bytes(event.payload)))
            case CloseConnection():
                if not connection.session.closed:
                    writer.write(close_frame(_NORMAL if event.code == _NO_CODE else event.code, ""))
                return False
        return True

    async def _take(self, connection: Connection, event: Message[Any]) -> None:
        self._parts.append(event.data)
        self._bytes += len(event.data)
        if self._bytes > self._settings.message_bytes:
            self._refuse(connection, f"a message may have {self._settings.message_bytes} bytes")
        elif len(self._parts) > _MOST_FRAGMENTS:
            self._refuse(connection, "a message may have 1024 fragments")
        elif event.message_finished:
            parts, self._parts, self._bytes = self._parts, [], 0
            text = isinstance(event, TextMessage)
            if text == (connection.form.encoding == "json"):
                await self._desk.received(connection, "".join(parts) if text else b"".join(parts))
            else:
                self._refuse(connection, "text is JSON and binary is MessagePack, by the subprotocol")

    def _refuse(self, connection: Connection, reason: str) -> None:
        self._parts, self._bytes = [], 0
        self._desk.violated(connection, reason)
