"""A WebSocket over any byte stream: frames by wsproto, bytes by anyio, so on asyncio and on Trio."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import anyio
import anyio.abc
from anyio.streams.tls import TLSStream
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from deltastream.client.errors import ClientError, Closed, Refused, Untrusted

__all__ = ["WebSocket"]

_READ_BYTES: Final = 64 << 10
_NORMAL, _LOST = 1000, 1006
_SEND_S: Final = 10.0
_CLOSE_S: Final = 1.0
_STANDARD: Final = {"ws": 80, "wss": 443}
_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class WebSocket:
    """An open connection. One task may read, and another one write.

    Attributes:
        subprotocol: which the server has chosen.
    """

    def __init__(
        self, stream: anyio.abc.ByteStream, connection: WSConnection, subprotocol: str | None
    ) -> None:
        self.subprotocol = subprotocol
        self._stream = stream
        self._connection = connection
        self._parts: list[Any] = []
        self._lock = anyio.Lock()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        subprotocols: list[str],
        context: ssl.SSLContext | None,
        deflate: bool,
    ) -> WebSocket:
        """Connect and greet. Cancellation: closes what has been opened.

        Raises:
            Refused: the server does not want this connection.
            Untrusted: its certificate is not one that we trust.
            OSError: it cannot be reached.
        """
        where = urlsplit(url)
        if where.scheme not in _STANDARD or not where.hostname:
            raise ClientError(f"{url!r} is not a ws:// or wss:// address")
        stream = await _connected(where, context)
        try:
            connection = WSConnection(ConnectionType.CLIENT)
            extensions = [PerMessageDeflate()] if deflate else []
            request = Request(
                host=where.netloc.rpartition("@")[2],
                target=(where.path or "/") + (f"?{where.query}" if where.query else ""),
                subprotocols=subprotocols,
                extensions=extensions,
            )
            await stream.send(connection.send(request))
            accepted = await _answer(stream, connection)
            return cls(stream, connection, accepted.subprotocol)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise

    async def receive(self) -> str | bytes:
        """The next whole message. Cancellation: nothing is lost.

        Raises:
            Closed: the connection has ended.
        """
        while True:
            for event in self._connection.events():
                if (whole := await self._handle(event)) is not None:
                    return whole
            try:
                data = await self._stream.receive(_READ_BYTES)
            except _GONE as error:
                raise Closed(_LOST, str(error) or "the connection was lost") from error
            self._connection.receive_data(data)

    async def send(self, data: str | bytes) -> None:
        """Send a message. Cancellation: it is sent all the same, as part of one would spoil all others.

        Raises:
            Closed: the connection has ended, or takes nothing.
        """
        event: Event = TextMessage(data=data) if isinstance(data, str) else BytesMessage(data=data)
        await self._send(event)

    async def close(self) -> None:
        """Say good-bye where that is possible at once, and close. Cancellation: closes all the same."""
        with anyio.move_on_after(_CLOSE_S, shield=True), suppress(Closed):
            await self._send(CloseConnection(code=_NORMAL))
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)

    async def _handle(self, event: Event) -> str | bytes | None:
        match event:
            case Message():
                self._parts.append(event.data)
                if event.message_finished:
                    parts, self._parts = self._parts, []
                    return b"".join(parts) if isinstance(event, BytesMessage) else "".join(parts)
            case Ping():
                await self._send(event.response())
            case CloseConnection():
                raise Closed(event.code, event.reason or "")
        return None

    async def _send(self, event: Event) -> None:
        with anyio.move_on_after(_SEND_S, shield=True):
            async with self._lock:
                try:
                    await self._stream.send(self._connection.send(event))
                except LocalProtocolError:
                    raise Closed(_LOST, "the connection has been closed") from None
                except _GONE as error:
                    raise Closed(_LOST, str(error) or "the connection was lost") from error
            return
        raise Closed(_LOST, "the server takes nothing")


async def _connected(where: SplitResult, context: ssl.SSLContext | None) -> anyio.abc.ByteStream:
    host, port = where.hostname or "", where.port or _STANDARD[where.scheme]
    plain = await anyio.connect_tcp(host, port)
    if where.scheme == "ws":
        return plain
    try:
        return await TLSStream.wrap(
            plain, server_side=False, hostname=host, ssl_context=context, standard_compatible=False
        )
    except BaseException as error:
        await anyio.aclose_forcefully(plain)
        if not isinstance(error, ssl.SSLCertVerificationError):
            raise
        raise Untrusted(f"the certificate of {host} is not trusted: {error.verify_message}") from None


async def _answer(stream: anyio.abc.ByteStream, connection: WSConnection) -> AcceptConnection:
    reason = b""
    status = 0
    while True:
        try:
            connection.receive_data(await stream.receive(_READ_BYTES))
        except RemoteProtocolError as error:
            raise Refused(status, f"not a WebSocket server: {error}") from None
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            raise Refused(status, reason.decode(errors="replace").strip() or "no answer") from None
        for event in connection.events():
            match event:
                case AcceptConnection():
                    return event
                case RejectConnection():
                    status = event.status_code
                    if not event.has_body:
                        raise Refused(status, "")
                case RejectData():
                    reason += bytes(event.data)
                    if event.body_finished:
                        raise Refused(status, reason.decode(errors="replace").strip())
