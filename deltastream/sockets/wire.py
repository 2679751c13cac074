"""WebSocket frames as we send them: unmasked, whole, made once for everybody (RFC 6455, RFC 7692)."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from deltastream.sockets.commands import Encoding
from deltastream.sockets.fanout import Form

__all__ = ["FRAMED", "PROTOCOLS", "close_frame", "ping_frame", "pong_frame"]

PROTOCOLS: Final[dict[str, Encoding]] = {"deltastream.v1": "json", "deltastream.v1.msgpack": "msgpack"}
"""Subprotocols and their encodings, the preferred one first."""

_SMALLEST_DEFLATED: Final = 256
"""Shorter messages are not compressed: it gains next to nothing."""

_FINAL: Final = 0x80
_COMPRESSED: Final = 0x40
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_LONGEST_REASON: Final = 123
_TAIL: Final = b"\x00\x00\xff\xff"


def frame(payload: bytes, encoding: Encoding) -> bytes:
    """One message in one frame."""
    return _frame(_FINAL | (_TEXT if encoding == "json" else _BINARY), payload)


def deflated(payload: bytes, encoding: Encoding) -> bytes:
    """The same compressed, without anything remembered from the message before."""
    if len(payload) < _SMALLEST_DEFLATED:
        return frame(payload, encoding)
    packer = zlib.compressobj(level=1, wbits=-15)
    packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    opcode = _TEXT if encoding == "json" else _BINARY
    return _frame(_FINAL | _COMPRESSED | opcode, packed.removesuffix(_TAIL))


def close_frame(code: int, reason: str) -> bytes:
    """The last frame."""
    text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
    return _frame(_FINAL | _CLOSE, struct.pack("!H", code) + text.encode())


def ping_frame() -> bytes:
    """Asks for a pong."""
    return _frame(_FINAL | _PING, b"")


def pong_frame(payload: bytes) -> bytes:
    """Answers a ping."""
    return _frame(_FINAL | _PONG, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


FRAMED: Final[dict[tuple[Encoding, bool], Form]] = {
    ("json", False): Form("json", lambda payload: frame(payload, "json")),
    ("json", True): Form("json", lambda payload: deflated(payload, "json")),
    ("msgpack", False): Form("msgpack", lambda payload: frame(payload, "msgpack")),
    ("msgpack", True): Form("msgpack", lambda payload: deflated(payload, "msgpack")),
}
"""How members on plain sockets are spoken to, by encoding and whether they take compressed frames."""
