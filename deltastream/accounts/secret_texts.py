"""The texts of secrets that are drawn, not chosen: API keys, refresh tokens and links.

Each holds 32 random bytes, so a plain SHA-256 of it can be stored: there is nothing to guess that a
slow hash would have to protect. All are of one length, in lower-case hexadecimal, and say by their
beginning what they are, which lets a scanner find one that was published by mistake.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from deltastream.seams import Secrets

__all__ = [
    "API_KEY",
    "api_key_parts",
    "api_key_text",
    "digest",
    "is_link",
    "is_refresh",
    "link_text",
    "refresh_text",
    "seal",
    "unseal",
]

API_KEY: Final = "ds_"
_REFRESH: Final = "dsr_"
_LINK: Final = "dsl_"
_BYTES: Final = 32
_PREFIX_BYTES: Final = 6
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY: Final = re.compile(r"ds_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)


def digest(text: str) -> bytes:
    """SHA-256 of a secret's text: what is stored of it."""
    return hashlib.sha256(text.encode()).digest()


def api_key_text(secrets: Secrets) -> tuple[str, str]:
    """A new API key: its public prefix, and its whole text."""
    prefix = secrets.draw(_PREFIX_BYTES).hex()
    return prefix, f"{API_KEY}{prefix}_{secrets.draw(_BYTES).hex()}"


def api_key_parts(text: str) -> tuple[str, bytes] | None:
    """The prefix and the digest of what may be an API key; None where it cannot be one."""
    match = _KEY.fullmatch(text)
    return None if match is None else (match[1], digest(text))


def refresh_text(secrets: Secrets) -> str:
    """A new refresh token."""
    return _REFRESH + secrets.draw(_BYTES).hex()


def is_refresh(text: str) -> bool:
    """Whether it has the form of a refresh token."""
    return text.startswith(_REFRESH) and _HEX.fullmatch(text, len(_REFRESH)) is not None


def link_text(secrets: Secrets) -> str:
    """A new one-time token."""
    return _LINK + secrets.draw(_BYTES).hex()


def is_link(text: str) -> bool:
    """Whether it has the form of a one-time token."""
    return text.startswith(_LINK) and _HEX.fullmatch(text, len(_LINK)) is not None


def seal(successor: str, presented: str) -> bytes:
    """A refresh token so that only who has the one it follows can read it.

    A one-time pad: the bytes of the successor, combined with 32 that HMAC-SHA256 makes of the
    presented token, which has one successor only and of which the store knows no more than another
    hash. So the store can give the same successor twice without knowing it.
    """
    return _combined(bytes.fromhex(successor.removeprefix(_REFRESH)), presented)


def unseal(sealed: bytes, presented: str) -> str:
    """The refresh token that `seal` has sealed."""
    return _REFRESH + _combined(sealed, presented).hex()


def _combined(data: bytes, presented: str) -> bytes:
    pad = hmac.digest(presented.encode(), b"deltastream successor", "sha256")
    return bytes(a ^ b for a, b in zip(data, pad, strict=True))
