"""One request on its way through the gateway, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import trio

from deltastream.accounts import Identity
from deltastream.gateway.problems import FieldProblem, Problem

__all__ = [
    "KEY",
    "Application",
    "ClientGone",
    "Exchange",
    "Headers",
    "Receive",
    "Response",
    "Send",
    "refused",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

KEY: Final = "deltastream.exchange"
"""Where the shell leaves the `Exchange` in the scope for the application behind it."""


class ClientGone(Exception):
    """The client went away before all of its request was there; there is nobody to answer."""


class Response(NamedTuple):
    """A whole answer: names of headers in lower case."""

    status: int
    headers: Headers
    body: bytes


def refused(where: str, field: str, code: str, message: str) -> Problem:
    """One part of the request cannot be understood."""
    return Problem(
        "invalid_request",
        message,
        errors=[FieldProblem(where=where, field=field, code=code, message=message)],
    )


class Exchange:
    """One request: what came, what the shell found out about it, and what the log will tell of it.

    Attributes:
        method, target: as they came, the target without its query.
        query: raw, without the question mark.
        headers: by lower-case name; what came more than once is joined by a comma.
        repeated: names of headers that came more than once.
        size: of all headers, in bytes.
        id: names the request in the log and to the client.
        path: decoded, without the prefix.
        address: the client's, behind trusted proxies the one they tell.
        secure: whether the client used HTTPS.
        host: the name and port by which it called us.
        base: scheme, host and path prefix, without a final slash.
        route: path template of the route, "" where none matches.
        identity: whose request it is, once that is known.
        credential: by what they told; secret.
        extra: headers that go with the answer whatever it will be.
        closes: whether the connection must not be used again.
    """

    __slots__ = (
        "_deadline",
        "_length",
        "_limit",
        "_receive",
        "_unread",
        "address",
        "base",
        "closes",
        "credential",
        "extra",
        "headers",
        "host",
        "id",
        "identity",
        "method",
        "path",
        "query",
        "repeated",
        "route",
        "secure",
        "size",
        "target",
        "version",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.method: str = scope["method"]
        self.target: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.version: str = scope["http_version"]
        self.headers: dict[bytes, bytes] = {}
        self.repeated: set[bytes] = set()
        self.size = 0
        self._read_headers(scope["headers"])
        self._length = self.headers.get(b"content-length")
        has_length = self._length is not None and self._length != b"0"
        self._unread = has_length or b"transfer-encoding" in self.headers
        self._receive = receive
        self._limit = 0
        self._deadline = 0.0
        self.id = self.path = self.address = self.host = self.base = self.route = ""
        self.secure = False
        self.identity: Identity | None = None
        self.credential: str | None = None
        self.extra: Headers = []
        self.closes = False

    def _read_headers(self, pairs: list[tuple[bytes, bytes]]) -> None:
        headers, size = self.headers, 0
        for name, value in pairs:
            size += len(name) + len(value)
            if name in headers:
                self.repeated.add(name)
                headers[name] += (b"; " if name == b"cookie" else b", ") + value
            else:
                headers[name] = value
        self.size = size

    @property
    def unread(self) -> bool:
        """Whether some of the body is still to be read."""
        return self._unread

    def single(self, name: bytes) -> bytes | None:
        """The header of that name.

        Raises:
            Problem: it came more than once.
        """
        if self.repeated and name in self.repeated:
            text = name.decode("latin1")
            raise refused("header", text, "repeated", f"The header {text} was given more than once.")
        return self.headers.get(name)

    def limit_body(self, size: int, deadline: float) -> None:
        """Say how long the body may be, in bytes, and until when it must be there, in Trio's time.

        Raises:
            Problem: its declared length is more already, or where it ends is unclear; what follows on
                the connection could then be part of it.
        """
        self._limit = size
        self._deadline = deadline
        declared = self._length
        if b"transfer-encoding" in self.headers and (declared is not None or self.version == "1.0"):
            self.closes = True
            raise refused("header", "transfer-encoding", "ambiguous", "The length of the body is unclear.")
        if declared is not None:
            if b"content-length" in self.repeated or not declared.isdigit() or len(declared) > 20:
                raise refused("header", "content-length", "malformed", "The length of the body is unclear.")
            if int(declared) > size:
                raise _too_large(size)

    async def body(self, most: int) -> bytes:
        """The whole body, which may be no longer than that, in bytes.

        Cancellation: what was read is lost.

        Raises:
            Problem: it is too large, or not there in time.
            ClientGone: the client went away.
        """
        if not self._unread:
            return b""
        most = min(most, self._limit)
        if self._length is not None and int(self._length) > most:
            raise _too_large(most)
        with trio.move_on_at(self._deadline):
            return await self._read(most)
        raise Problem("request_timeout")

    async def _read(self, most: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._unread:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._unread = message["more_body"]
            parts.append(message["body"])
            size += len(message["body"])
            if size > most:
                raise _too_large(most)
        return b"".join(parts)


def _too_large(size: int) -> Problem:
    return Problem("body_too_large", f"A body may have {size} bytes at most.")
