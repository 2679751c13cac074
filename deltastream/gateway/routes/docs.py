"""The documentation: as OpenAPI and AsyncAPI documents for programs, and as a page for people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from deltastream.gateway import asyncapi
from deltastream.gateway.openapi import document
from deltastream.gateway.routes.pages import page
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route

__all__ = ["documentation"]

_BASES: Final = 16  # addresses by which one host is called

_PAGES: Final = (
    page("/docs", "docs/docs.html", "text/html", "docs_page", "The page that shows this documentation."),
    page("/docs/docs.css", "docs/docs.css", "text/css", "docs_style", "The style of the documentation."),
    *(
        page(f"/docs/{name}.js", f"docs/{name}.js", "text/javascript", f"docs_script_{name}", summary)
        for name, summary in (
            ("docs", "The script of the documentation."),
            ("dom", "The part of that script that makes elements."),
            ("schemas", "The part of that script that shows schemas."),
            ("trying", "The part of that script that sends requests."),
        )
    ),
)


def documentation(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes that document these routes and themselves.

    Raises:
        ValueError: two routes have one name, or one method and path.
    """

    @route("GET", "/api/docs", scope="anyone", tag="pages", answers=dict[str, Any])
    async def openapi(call: Call[NoParameters, None]) -> Answer:
        """This document: the whole API in OpenAPI 3.1, generated from the types that validate."""
        body, etag = written(call.base)
        return Answer(body, etag=etag, cache_key=(call.base, etag))

    @route("GET", "/api/docs/asyncapi", scope="anyone", tag="pages", answers=dict[str, Any])
    async def sockets(call: Call[NoParameters, None]) -> Answer:
        """The sockets in AsyncAPI 3, generated from the types that encode their frames."""
        body, etag = written_of_sockets(call.base)
        return Answer(body, etag=etag, cache_key=(call.base, etag))

    @lru_cache(_BASES)
    def written(base: str) -> tuple[bytes, str]:
        return _tagged({**whole, "servers": [{"url": base}]})

    @lru_cache(_BASES)
    def written_of_sockets(base: str) -> tuple[bytes, str]:
        return _tagged(asyncapi.document(title="DeltaStream", version=version("deltastream"), base=base))

    own = (openapi, sockets, *_PAGES)
    whole = document([*routes, *own], title="DeltaStream", version=version("deltastream"), base="")
    return own


def _tagged(plain: dict[str, Any]) -> tuple[bytes, str]:
    body = msgspec.json.encode(plain)
    return body, hashlib.sha256(body).hexdigest()[:32]
