"""Whose pages may call the gateway: its own, and those that were configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deltastream.gateway.exchange import Exchange, Headers, Response
from deltastream.gateway.problems import Problem

__all__ = ["Origins"]

_EXPOSED: Final = b"etag, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id"
_PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
    (
        b"access-control-allow-headers",
        b"accept, authorization, content-type, if-none-match, x-api-key, x-request-id",
    ),
    (b"access-control-max-age", b"600"),
]


class Origins:
    """Checks the header ``Origin``, which every browser sends with what another page asks for.

    Credentials are never allowed across origins: the refresh cookie belongs to our own pages alone.

    Args:
        allowed: origins beside our own.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(origin.encode("latin1") for origin in allowed)
        self.always: Headers = [(b"vary", b"origin")] if allowed else []

    def check(self, exchange: Exchange) -> Response | None:
        """Let the request pass, with what its page must be told; or the answer to a preflight.

        Raises:
            Problem: the origin is not allowed.
        """
        origin = exchange.headers.get(b"origin")
        if origin is None:
            return None
        if origin in self._allowed:
            exchange.extra.append((b"access-control-allow-origin", origin))
            if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
                return Response(204, list(_PREFLIGHT), b"")
            exchange.extra.append((b"access-control-expose-headers", _EXPOSED))
            return None
        if origin != _own(exchange):
            raise Problem("origin_not_allowed")
        return None


def _own(exchange: Exchange) -> bytes:
    """The origin of our own pages, as browsers write it: without the scheme's standard port."""
    scheme, standard = ("https", ":443") if exchange.secure else ("http", ":80")
    return f"{scheme}://{exchange.host.removesuffix(standard)}".encode()
