"""What a request asks for: from the target on its first line to a path.

A path is decoded once, and only what can mean one thing is accepted: whole percent-encodings, UTF-8,
no control character, and no encoded slash, which some take for a slash and some do not.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from deltastream.gateway.exchange import refused

__all__ = ["decode_path", "split_target"]

_ABSOLUTE: Final = re.compile(rb"https?://(?P<authority>[^/?#]*)(?P<path>.*)", re.IGNORECASE | re.DOTALL)
_BROKEN: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2[Ff]|%5[Cc]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """The host that a target names, which those do that are meant for proxies, and its path, still encoded.

    Raises:
        Problem: it is neither a path nor an address.
    """
    if target.startswith(b"/"):
        return None, target
    if parts := _ABSOLUTE.fullmatch(target):
        return parts["authority"], parts["path"] or b"/"
    if target == b"*":
        return None, target
    raise refused("path", "", "malformed", "The request does not name a path.")


def decode_path(raw: bytes) -> str:
    """A path in plain text.

    Raises:
        Problem: it could be read in more than one way, or in none.
    """
    if b"%" in raw:
        if _BROKEN.search(raw):
            raise refused("path", "", "malformed", "The path holds a broken or a disguised character.")
        raw = unquote_to_bytes(raw)
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise refused("path", "", "malformed", "The path is not UTF-8.") from None
    if _CONTROL.search(path):
        raise refused("path", "", "malformed", "The path holds a control character.")
    return path
