"""What a client accepts, and what it has already (RFC 9110, sections 12 and 13)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["Codings", "best_media", "codings", "known_tag"]

_QUALITY: Final = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_KNOWN: Final = 256


class Codings(NamedTuple):
    """Which codings of an answer a client accepts: gzip, and none at all."""

    gzip: bool
    identity: bool


@lru_cache(_KNOWN)
def best_media(accept: bytes | None, offered: tuple[str, ...]) -> str | None:
    """The media type of those offered that the client likes best, the first of equals; None: none.

    Args:
        accept: the header ``Accept``; whoever sends none accepts all.
        offered: at least one.
    """
    ranges = _weights(accept)
    if not ranges:
        return offered[0]
    best, liked = None, 0.0
    for media in offered:
        plain = media.partition(";")[0]
        names = (plain, f"{plain.partition('/')[0]}/*", "*/*")
        weight = next((ranges[name] for name in names if name in ranges), 0.0)
        if weight > liked:
            best, liked = media, weight
    return best


@lru_cache(_KNOWN)
def codings(accept_encoding: bytes | None) -> Codings:
    """What the header ``Accept-Encoding`` allows; whoever sends none gets no coding."""
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", others)) > 0
    identity = weights.get("identity", weights.get("*", 1.0)) > 0
    return Codings(gzip, identity)


def known_tag(if_none_match: bytes, tags: tuple[bytes, ...]) -> bytes | None:
    """Which of the tags that an answer may have, in quotes, the client has; None: none.

    Tags are compared weakly; ``*`` is whatever there is: the first.
    """
    if if_none_match in tags:
        return if_none_match
    if if_none_match.strip() == b"*":
        return tags[0]
    return next((tag for tag in _TAG.findall(if_none_match) if tag in tags), None)


def _weights(header: bytes | None) -> dict[str, float]:
    """Names and their weights; what is malformed is left out, parameters but the weight are not looked at."""
    found: dict[str, float] = {}
    for item in (header or b"").decode("latin1").lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = next((p.removeprefix("q=").strip() for p in parameters if p.startswith("q=")), "1")
        if name and _QUALITY.fullmatch(weight):
            found.setdefault(name, float(weight))
    return found
