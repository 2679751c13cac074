"""Pages: limits, and cursors that cannot be made up or carried to another query."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import blake2b
from typing import Final

import msgspec

from deltastream.storage.protocol import BadCursor

__all__ = ["Cursors", "Key", "Query", "checked_limit"]

Key = tuple[int, int]
"""Place of a row in its series: event time, then order of arrival."""

Query = tuple[str | int | None, ...]
"""Everything that decides what a range contains: the method's name and its arguments but `limit`."""

_KEY: Final = struct.Struct("<qq")
_MAC_BYTES: Final = 12


def checked_limit(limit: int, most: int) -> int:
    """The limit itself.

    Raises:
        ValueError: not between 1 and `most`.
    """
    if not 1 <= limit <= most:
        raise ValueError(f"limit must be between 1 and {most}, got {limit}")
    return limit


class Cursors:
    """Makes and reads cursors: a key, signed together with the query that it continues.

    Args:
        secret: of this store, up to 64 bytes; a cursor of another store is refused.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, query: Query, key: Key) -> str:
        """The cursor that continues `query` after the row at `key`."""
        packed = _KEY.pack(*key)
        return base64.urlsafe_b64encode(packed + self._mac(query, packed)).decode()

    def read(self, query: Query, cursor: str) -> Key:
        """The key in a cursor.

        Raises:
            BadCursor: not made by this store for this query.
        """
        try:
            raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        packed = raw[: _KEY.size]
        if len(raw) != _KEY.size + _MAC_BYTES or not hmac.compare_digest(
            raw[_KEY.size :], self._mac(query, packed)
        ):
            raise BadCursor("cursor was not made by this store for this query")
        timestamp, ordinal = _KEY.unpack(packed)
        return timestamp, ordinal

    def _mac(self, query: Query, packed: bytes) -> bytes:
        text = msgspec.msgpack.encode(query)
        return blake2b(packed + text, key=self._secret, digest_size=_MAC_BYTES).digest()
