"""What tells that a message in the journal is the one that was written, and stands where it was written."""

from __future__ import annotations

import struct
import zlib
from typing import Final

__all__ = ["holds", "seal"]

_PLACE: Final = struct.Struct("<qq")


def seal(rowid: int, ts: int, key: bytes | None, frame: bytes) -> int:
    """The checksum of a message: damage to its rowid would give it the place of another."""
    return zlib.crc32(frame, zlib.crc32(key or b"", zlib.crc32(_PLACE.pack(rowid, ts))))


def holds(crc: object, rowid: int, ts: int, key: bytes | None, frame: bytes) -> bool:
    """Whether a row is as it was written; version 1 of the journal sealed the frame alone."""
    return crc == seal(rowid, ts, key, frame) or crc == zlib.crc32(frame)
