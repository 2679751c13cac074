"""From an `Answer` to bytes: JSON, tags, and gzip whose results are kept.

A tag names a state of a resource in one form of it, so that another media type and the compressed
form have tags of their own, made of the handler's.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import Final

import msgspec

from deltastream.gateway.exchange import Exchange, Headers, Response
from deltastream.gateway.negotiation import codings, known_tag
from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import Answer, Cookie, Route
from deltastream.seams import Threads

__all__ = ["Encoder"]

_CACHE_BYTES: Final = 32 << 20
_WORTH_IT: Final = 1024
"""Shorter bodies are not compressed: they fit into one packet anyway."""
_INLINE: Final = 32 << 10
"""Longer bodies are compressed in a thread: they would hold the event loop."""
_GZIP: Final = 31
"""zlib's window bits for the gzip format, whose header then holds no time."""
_KEPT_LEVEL: Final = 6
_PASSING_LEVEL: Final = 1
_DENSE: Final = ("image/png", "image/jpeg", "image/webp", "font/")
_VARY: Final = (b"vary", b"accept, accept-encoding, authorization, x-api-key")
_REVALIDATE: Final = (b"cache-control", b"private, no-cache")

_json = msgspec.json.Encoder()


class _Kept:
    """Bodies by key, of bounded total size: the longest unused is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._bodies: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object) -> bytes | None:
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def keep(self, key: object, body: bytes) -> None:
        if len(body) > self._most // 4:
            return
        self._size += len(body) - len(self._bodies.pop(key, b""))
        self._bodies[key] = body
        while self._size > self._most:
            self._size -= len(self._bodies.popitem(last=False)[1])


class Encoder:
    """Makes responses of answers.

    Args:
        threads: for what would hold the event loop.
        prefix: path prefix of cookies.
    """

    def __init__(self, threads: Threads, prefix: str) -> None:
        self._threads = threads
        self._prefix = prefix
        self._kept = _Kept(_CACHE_BYTES)

    async def encode(self, exchange: Exchange, route: Route, answer: Answer, media: str) -> Response:
        """The response to the request.

        Cancellation: no effect.

        Raises:
            Problem: the client accepts neither the plain nor a compressed form.
        """
        readable = route.method == "GET" and answer.status == 200
        tag = _tag(answer, route, media) if readable and answer.etag is not None else None
        headers: Headers = [(name.encode(), value.encode("latin1")) for name, value in answer.headers]
        headers += [_cookie(cookie, self._prefix, secure=exchange.secure) for cookie in answer.cookies]
        if readable:
            headers.append(_VARY)
        if tag is not None and not any(name == b"cache-control" for name, _ in headers):
            headers.append(_REVALIDATE)
        condition = exchange.headers.get(b"if-none-match")
        if tag is not None and condition is not None:
            known = known_tag(condition, (_quoted(tag), _quoted(tag, b"-gzip")))
            if known is not None:
                return Response(304, [*headers, (b"etag", known)], b"")
        key = None if answer.cache_key is None else (route.path, media, answer.cache_key)
        body = self._plain(answer, key)
        packed = await self._packed(exchange, body, media, key) if readable else None
        if tag is not None:
            headers.append((b"etag", _quoted(tag, b"" if packed is None else b"-gzip")))
        if packed is not None:
            headers.append((b"content-encoding", b"gzip"))
            body = packed
        if answer.body is not None and not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", _content_type(media)))
        return Response(answer.status, headers, body)

    def _plain(self, answer: Answer, key: object) -> bytes:
        if isinstance(answer.body, bytes):
            return answer.body
        if answer.body is None:
            return b""
        body = None if key is None else self._kept.get((key, "plain"))
        if body is None:
            body = _json.encode(answer.body)
            if key is not None:
                self._kept.keep((key, "plain"), body)
        return body

    async def _packed(self, exchange: Exchange, body: bytes, media: str, key: object) -> bytes | None:
        accepts = codings(exchange.headers.get(b"accept-encoding"))
        if not accepts.gzip:
            if not accepts.identity:
                raise Problem("not_acceptable", "Only gzip and the plain form are offered here.")
            return None
        if accepts.identity and (len(body) < _WORTH_IT or media.startswith(_DENSE)):
            return None
        packed = None if key is None else self._kept.get((key, "gzip"))
        if packed is None:
            level = _PASSING_LEVEL if key is None else _KEPT_LEVEL
            if len(body) <= _INLINE:
                packed = zlib.compress(body, level, _GZIP)
            else:
                packed = await self._threads.run(zlib.compress, body, level, _GZIP)
            if key is not None:
                self._kept.keep((key, "gzip"), packed)
        return packed


def _tag(answer: Answer, route: Route, media: str) -> bytes:
    """The handler's tag, with what tells the forms of one state from each other."""
    form = route.media.index(media)
    return f"{answer.etag}.{form}".encode() if form else f"{answer.etag}".encode()


def _quoted(tag: bytes, suffix: bytes = b"") -> bytes:
    return b'"' + tag + suffix + b'"'


def _content_type(media: str) -> bytes:
    plain = media.startswith("text/") and ";" not in media
    return f"{media}; charset=utf-8".encode() if plain else media.encode()


def _cookie(cookie: Cookie, prefix: str, *, secure: bool) -> tuple[bytes, bytes]:
    age = cookie.max_age_s if cookie.value else 0
    text = (
        f"{cookie.name}={cookie.value}; Max-Age={age}; Path={prefix}{cookie.path}; HttpOnly; SameSite=Strict"
    )
    return b"set-cookie", (text + "; Secure" if secure else text).encode("latin1")
