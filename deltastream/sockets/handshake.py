"""The handshake: who may open a socket, from which page, and how they will be spoken to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import h11
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, RejectData, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from deltastream.gateway.addresses import Proxies
from deltastream.gateway.exchange import Headers
from deltastream.gateway.hosts import Hosts
from deltastream.gateway.problems import Problem
from deltastream.gateway.settings import GatewaySettings
from deltastream.sockets._deflate import Deflate
from deltastream.sockets.commands import Encoding
from deltastream.sockets.wire import PROTOCOLS

__all__ = ["RETRY_S", "Greeted", "Handshakes", "Turned", "upgraded"]

RETRY_S: Final = 1
"""When to come again who is too many."""

_PATHS: Final = ("/", "/ws")
_REQUEST: Final = re.compile(rb"[A-Z]+ \S+ HTTP/(?P<version>[0-9.]+)\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Greeted:
    """A client that may come in.

    Attributes:
        answer: to be sent before anything else.
        websocket: reads what comes after.
        encoding, deflate: how it is spoken to.
        address: its own.
        credential: what its headers told; None: its first message will.
    """

    answer: bytes
    websocket: WebSocket
    encoding: Encoding
    deflate: bool
    address: str
    credential: str | None


@dataclass(frozen=True, slots=True)
class Turned:
    """A client that may not.

    Attributes:
        answer: to be sent before closing.
        reason: for the log.
    """

    answer: bytes
    reason: str


class Handshakes:
    """Speaks the opening of connections.

    Args:
        settings: names, origins and proxies that are accepted; a name counts for every port.
        bound: the address that is listened on.
        page_port: that of the gateway whose pages may come; None while it has none.
        message_bytes: the longest message that is unpacked.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        bound: str,
        page_port: Callable[[], int | None],
        message_bytes: int,
    ) -> None:
        self._message_bytes = message_bytes
        self._hosts = Hosts([_without_port(name) for name in settings.allowed_hosts], bound)
        self._proxies = Proxies(settings.trusted_proxies)
        self._origins = frozenset(settings.allowed_origins)
        self._page_port = page_port
        self._paths = frozenset((*_PATHS, *(settings.path_prefix + path for path in _PATHS)))

    def greet(
        self, data: bytes, peer: str, *, secure: bool, crowded: Callable[[str], bool] = lambda address: False
    ) -> Greeted | Turned | None:
        """The answer to what a client has sent so far; None where that is not all of its request.

        Args:
            data: everything from the first byte on.
            peer: address at the other end.
            secure: whether it came by our own certificate.
            crowded: whether nobody more may come from an address.
        """
        handshake = H11Handshake(ConnectionType.SERVER)
        try:
            handshake.receive_data(data)
            request = next((event for event in handshake.events() if isinstance(event, Request)), None)
        except (ProtocolError, h11.ProtocolError, UnicodeError) as error:
            hint = getattr(error, "event_hint", None)
            status = hint.status_code if isinstance(hint, RejectConnection) else 400
            plain = status == 400 and b"pgrade" not in data and _REQUEST.match(data)
            return _turned(handshake, 426 if plain else status, str(error))
        if request is None:
            return None
        line = _REQUEST.match(data)
        if line is None or line["version"] != b"1.1":
            return _turned(handshake, 400, "A WebSocket begins with HTTP/1.1.")
        headers = _joined(request)
        try:
            host = self._hosts.check(request.host.encode("latin1", "replace"))
        except Problem as problem:
            return _turned(handshake, problem.status, problem.detail)
        path = request.target.partition("?")[0]
        if path not in self._paths:
            return _turned(handshake, 404, f"There is nothing at {path[:80]!r}.")
        secure = self._proxies.secure(peer, "https" if secure else "http", headers.get(b"x-forwarded-proto"))
        if not self.may_come_from(headers.get(b"origin"), host, secure=secure):
            return _turned(handshake, 403, "Requests from this origin are not allowed.")
        address = self._proxies.client(peer, headers.get(b"x-forwarded-for"))
        if crowded(address):
            return _turned(handshake, 429, "Too many connections that have not said who they are.")
        try:
            greeted = _accepted(handshake, request, headers, address, self._message_bytes)
        except ValueError as error:
            return _turned(handshake, 400, str(error))
        greeted.websocket.receive_data(_HEAD_END.split(data, maxsplit=1)[1])
        return greeted

    def is_proxy(self, peer: str) -> bool:
        """Whether others come by that address."""
        return self._proxies.trusts(peer)

    def may_come_from(self, origin: bytes | None, host: str, *, secure: bool) -> bool:
        """Whether a page of that origin may open a socket here; programs have none.

        A page that the gateway serves, on another port of the same name, may.
        """
        if origin is None:
            return True
        text = origin.decode("latin1")
        scheme = "https" if secure else "http"
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        own = {f"{scheme}://{host}", f"{scheme}://{name}"}
        if (port := self._page_port()) is not None:
            own.add(f"{scheme}://{name}:{port}")
        return text in self._origins or text in own


def _without_port(name: str) -> str:
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def upgraded(headers: Headers, address: str, message_bytes: int) -> Greeted:
    """The client whose request has been read as HTTP, and may come.

    Raises:
        Problem: that is no handshake of WebSocket.
    """
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        handshake.initiate_upgrade_connection(headers, "/")
        request = next(event for event in handshake.events() if isinstance(event, Request))
        return _accepted(handshake, request, _joined(request), address, message_bytes)
    except (ProtocolError, h11.ProtocolError, ValueError) as error:
        version = [("sec-websocket-version", "13")]
        raise Problem("malformed_request", f"{error}", headers=version) from error


def _joined(request: Request) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in request.extra_headers:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _accepted(
    handshake: H11Handshake, request: Request, headers: dict[bytes, bytes], address: str, message_bytes: int
) -> Greeted:
    """The client let in, as we will speak to it.

    Raises:
        ValueError: it has asked for what cannot be understood.
    """
    protocol, encoding = _chosen_protocol(request.subprotocols)
    deflate = Deflate(message_bytes)
    try:
        answer = handshake.send(AcceptConnection(subprotocol=protocol, extensions=[deflate]))
    except ValueError:
        raise ValueError("The parameters of permessage-deflate cannot be understood.") from None
    assert handshake.connection is not None  # accepted above
    return Greeted(
        answer=answer,
        websocket=handshake.connection,
        encoding=encoding,
        deflate=deflate.enabled(),
        address=address,
        credential=_credential_of(headers),
    )


def _chosen_protocol(offered: list[str]) -> tuple[str | None, Encoding]:
    """The subprotocol that both know, by our preference, and its encoding; JSON where none is named."""
    for name, encoding in PROTOCOLS.items():
        if name in offered:
            return name, encoding
    return None, "json"


def _credential_of(headers: dict[bytes, bytes]) -> str | None:
    """The credential that headers tell, as programs may; browsers cannot."""
    bearer = headers.get(b"authorization", b"").decode("latin1")
    scheme, _, text = bearer.partition(" ")
    if scheme.lower() == "bearer" and text:
        return text.strip()
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin1")


def _turned(handshake: H11Handshake, status: int, reason: str) -> Turned:
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    if status == 426:
        headers += [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
    if status == 429:
        headers.append((b"retry-after", b"%d" % RETRY_S))
    headers.append((b"connection", b"close"))
    try:
        answer = handshake.send(RejectConnection(status_code=status, headers=headers, has_body=True))
        answer += handshake.send(RejectData(data=body, body_finished=True))
    except (ProtocolError, h11.ProtocolError):  # not even HTTP
        answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    return Turned(answer, reason)
