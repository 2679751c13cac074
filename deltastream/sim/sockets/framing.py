"""WebSocket as a client speaks it (RFC 6455, RFC 7692), written without looking at the server's."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "Frame", "Frames", "masked", "request"]

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_FINAL: Final = 0x80
_PACKED: Final = 0x40
_TAIL: Final = b"\x00\x00\xff\xff"


def request(rng: random.Random, *, msgpack: bool, packed: bool, credential: str | None) -> bytes:
    """The opening of a connection."""
    lines = [
        "GET /ws HTTP/1.1",
        "Host: 127.0.0.1:8002",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(rng.randbytes(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: deltastream.v1{'.msgpack' if msgpack else ''}",
    ]
    if packed:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate")
    if credential is not None:
        lines.append(f"Authorization: Bearer {credential}")
    return "\r\n".join([*lines, "", ""]).encode()


def masked(rng: random.Random, opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """One frame."""
    size, first = len(payload), opcode | (_FINAL if final else 0)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    key = rng.randbytes(4)
    pad = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + mixed.to_bytes(size, "big")


class Frame(NamedTuple):
    """A frame of the server's, unpacked.

    Attributes:
        at: when the first of it was sent.
    """

    opcode: int
    payload: bytes
    at: float


class Frames:
    """Cuts what comes into frames; the server sends each message in one."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0.0

    def feed(self, data: bytes, at: float) -> Iterator[Frame]:
        """More has come, which was sent at one instant.

        Raises:
            ValueError: that is no frame that a server may send.
        """
        begun = self._at if self._data else at
        buffer, place = self._data + data, 0
        while True:
            head = _head(buffer, place)
            if head is None or len(buffer) < head[1] + head[2]:
                break
            first, body, size = head
            yield Frame(first & 0xF, _unpacked(first, buffer[body : body + size]), begun)
            place, begun = body + size, at
        self._data, self._at = buffer[place:], begun


def _head(buffer: bytes, place: int) -> tuple[int, int, int] | None:
    """First byte of a frame, and place and size of its body; None where it has not all come."""
    left = len(buffer) - place
    if left < 2:
        return None
    first, size = buffer[place], buffer[place + 1]
    if not first & _FINAL or size & 0x80:
        raise ValueError("a part of a message, or a mask")
    wide = {126: 2, 127: 8}.get(size, 0)
    if left < 2 + wide:
        return None
    if wide:
        size = int.from_bytes(buffer[place + 2 : place + 2 + wide], "big")
    return first, place + 2 + wide, size


def _unpacked(first: int, payload: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(payload + _TAIL) if first & _PACKED else payload
