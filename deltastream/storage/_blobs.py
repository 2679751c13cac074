"""Messages as compressed blobs: the codec's frame with its matrix turned bytewise, in zstandard.

Neighbouring strikes share signs, exponents and leading digits. Writing the first byte of every
number, then the second and so on puts what is alike together, which makes a chain smaller and
also quicker to compress.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import numpy as np
import zstandard

from deltastream.errors import MessageDecodeError, StoreError
from deltastream.messages import Message, decode, encode

__all__ = ["Packer", "Unpacker"]

M = TypeVar("M", bound=Message)

_SHAPE: Final = struct.Struct("<HI")
_SHAPE_AT: Final = 6  # rows and strikes in the codec's header
_MOST_BYTES: Final = 1 << 28


def _matrix_start(frame: bytes) -> int:
    rows, strikes = _SHAPE.unpack_from(frame, _SHAPE_AT)
    return len(frame) - int(rows) * int(strikes) * 8


class Packer:
    """Turns messages into blobs. For one thread at a time.

    Args:
        level: of zstandard.
    """

    def __init__(self, level: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level)

    def pack(self, message: Message) -> bytes:
        """The message as a blob.

        Raises:
            TypeError, ValueError: its columns are not of the right type or shape, or it is too large.
            MessageDecodeError: its fields are not of the right type, so it could not be read again.
        """
        frame = encode(message)
        decode(frame)
        if len(frame) > _MOST_BYTES:
            raise ValueError(f"{len(frame)} bytes are more than the {_MOST_BYTES} that fit")
        start = _matrix_start(frame)
        if start < len(frame):
            numbers = np.frombuffer(frame, dtype=np.uint8, offset=start).reshape(-1, 8)
            frame = frame[:start] + numbers.T.tobytes()
        return self._compressor.compress(frame)


class Unpacker(Generic[M]):
    """Turns blobs of one kind of message back. For one thread at a time.

    Args:
        kind: type of the messages.
    """

    def __init__(self, kind: type[M]) -> None:
        self._kind = kind
        self._decompressor = zstandard.ZstdDecompressor()

    def unpack_all(self, rows: Iterable[tuple[bytes]]) -> list[M]:
        """The messages in rows of one blob each; see `unpack`."""
        return [self.unpack(blob) for (blob,) in rows]

    def unpack(self, blob: bytes) -> M:
        """The message in a blob.

        Raises:
            StoreError: the blob is damaged, or written by a newer version.
        """
        try:
            frame = self._decompressor.decompress(blob, max_output_size=_MOST_BYTES)
            start = _matrix_start(frame)
            if start < len(frame):
                numbers = np.frombuffer(frame, dtype=np.uint8, offset=start).reshape(8, -1)
                frame = frame[:start] + numbers.T.tobytes()
            message = decode(frame)
        except (MessageDecodeError, zstandard.ZstdError, struct.error, ValueError) as error:
            raise StoreError(f"a stored {self._kind.__name__} cannot be read: {error}") from error
        if not isinstance(message, self._kind):
            raise StoreError(f"a stored {self._kind.__name__} turned out to be a {type(message).__name__}")
        return message
