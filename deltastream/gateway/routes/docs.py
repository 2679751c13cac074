"""The documentation: as an OpenAPI document for programs, and as a page for people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

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

    @lru_cache(_BASES)
    def written(base: str) -> tuple[bytes, str]:
        body = msgspec.json.encode({**whole, "servers": [{"url": base}]})
        return body, hashlib.sha256(body).hexdigest()[:32]

    own = (openapi, *_PAGES)
    whole = document([*routes, *own], title="DeltaStream", version=version("deltastream"), base="")
    return own
