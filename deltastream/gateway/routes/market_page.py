"""The market page: ``/``, and below ``/app`` the plain files it is made of.

Nothing is built: what stands in the package is what the browser loads. The charts are drawn by the
``plotly.min.js`` that the package ``plotly`` ships, which is never imported.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.pages import page
from deltastream.gateway.routing import Answer, Call, Route, route

__all__ = ["ROUTES"]

_MEDIA: Final = {"js": "text/javascript", "css": "text/css"}

_OF_NO_TEXT: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_OF_MAPS: Final = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
_PLOTLY_STYLES: Final = f"{_OF_NO_TEXT} {_OF_MAPS}"
"""By which plotly makes sheets: an empty one, to which it adds rules as objects, and that of its maps."""
_PLOTLY_ATTRIBUTE: Final = f"'unsafe-hashes' {_OF_NO_TEXT}"
"""An empty style, which it sets on what it draws into a picture."""

_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_PLOTLY_STYLES};"
    f" style-src-attr {_PLOTLY_ATTRIBUTE}; img-src 'self' data: blob:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types default"
)
"""Nothing is evaluated, and markup comes from nobody: `core/trusted.js` lets plotly's logo through."""


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the page.

    Attributes:
        part: of the page.
        file: its name.
    """

    part: Literal["core", "views", "charts", "style", "vendor"]
    file: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


@route(
    "GET",
    "/app/{part}/{file}",
    scope="anyone",
    tag="pages",
    answers=str,
    parameters=Place,
    media=tuple(_MEDIA.values()),
    problems=("not_found",),
    cost=0,
)
async def page_file(call: Call[Place, None]) -> Answer:
    """A script or a style of the market page."""
    part, file = call.parameters.part, call.parameters.file
    content, etag = _plotly() if part == "vendor" else _own(part, file)
    if content is None or (part == "vendor" and file != "plotly.min.js"):
        raise Problem("not_found", f"The page has no {part}/{file}.")
    media = _MEDIA[file.rpartition(".")[2]]
    headers = (("content-type", f"{media}; charset=utf-8"), ("cache-control", "no-cache"))
    return Answer(content, etag=etag, headers=headers, cache_key=(part, file, etag))


def _own(part: str, file: str) -> tuple[bytes | None, str]:
    return _files().get((part, file), (None, ""))


@cache
def _files() -> dict[tuple[str, str], tuple[bytes, str]]:
    """Every file by part and name, and what names its state: a request never becomes a path."""
    found = {}
    for part in _entries(files("deltastream.gateway").joinpath("pages", "app")):
        for file in _entries(part) if part.is_dir() else ():
            if file.name.rpartition(".")[2] in _MEDIA:
                content = file.read_bytes()
                found[part.name, file.name] = content, hashlib.sha256(content).hexdigest()[:32]
    return found


def _entries(folder: Traversable) -> list[Traversable]:
    return sorted(folder.iterdir(), key=lambda entry: entry.name)  # seam: the package itself, in order


@cache
def _plotly() -> tuple[bytes, str]:
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return script.read_bytes(), f"plotly-{version('plotly')}"


ROUTES: Final[tuple[Route, ...]] = (
    page("/", "app/index.html", "text/html", "market_page", "The market, in a browser.", policy=_POLICY),
    page_file,
)
