"""Pages for browsers: plain files of the package, each under one address and no other.

What is asked for is looked up in the route table and never becomes a path. A page may load nothing
but its own files and talk to nothing but this host; none has a line of script or style in it. They
cost nothing: the market page is some fifty files, and who reloads it would soon get half of it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from deltastream.gateway.routing import Answer, Call, Handler, NoParameters, Route

__all__ = ["ROUTES", "page"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@cache
def _file(name: str) -> tuple[bytes, str]:
    """A file of the package and what names its state."""
    content = files("deltastream.gateway").joinpath("pages", *name.split("/")).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:32]


def page(path: str, file: str, media: str, name: str, summary: str, *, policy: str = _POLICY) -> Route:
    """The route of one file below ``pages``.

    Args:
        name: of the operation.
        summary: its documentation.
        policy: what a page may load, and from where (Content-Security-Policy).
    """
    headers = (
        ("content-type", f"{media}; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("content-security-policy", policy),
    )

    async def handler(call: Call[NoParameters, None]) -> Answer:
        content, etag = _file(file)
        return Answer(content, etag=etag, headers=headers, cache_key=(file, etag))

    return Route(
        method="GET",
        path=path,
        scope="anyone",
        handler=_named(handler, name, summary),
        answers={200: str},
        media=(media,),
        cost=0,
        tag="pages",
    )


def _named(handler: Handler, name: str, summary: str) -> Handler:
    handler.__name__, handler.__doc__ = name, summary
    return handler


ROUTES: Final[tuple[Route, ...]] = (
    page("/login", "login/login.html", "text/html", "login_page", "The page to log in on."),
    page("/login/login.css", "login/login.css", "text/css", "login_style", "Its style."),
    page("/login/login.js", "login/login.js", "text/javascript", "login_script", "Its script."),
)
