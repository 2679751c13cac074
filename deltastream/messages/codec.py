"""Messages as bytes: a compact frame for the bus, JSON for the edge.

A frame is little-endian and begins on an 8-byte boundary::

    0   4  magic "DSM1"
    4   1  kind, see KINDS
    5   1  schema version of that kind
    6   2  rows of the matrix (0: none)
    8   4  strikes, the matrix's second dimension
    12  4  length of the head
    16     head: MessagePack map of every field but the matrix, zero-padded to 8 bytes
           matrix: float64, row-major

Decoding makes no copy of the matrix: the message's columns are a read-only view of the frame.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import msgspec
import numpy as np

from deltastream.errors import MessageDecodeError, NewerSchema
from deltastream.messages.columns import ENRICHED_COLUMNS
from deltastream.messages.types import (
    Bar,
    ChainHead,
    DeadLetter,
    EnrichedChain,
    Health,
    LogRecord,
    MarketStatus,
    Message,
    OptionChain,
    OptionQuote,
    Revocation,
    UnderlyingTick,
    VolatilitySurface,
)

__all__ = ["KINDS", "decode", "decode_json", "encode", "encode_json", "kind_of", "to_builtins"]

KINDS: Final[tuple[type[Message], ...]] = (
    UnderlyingTick,
    OptionQuote,
    OptionChain,
    EnrichedChain,
    Bar,
    VolatilitySurface,
    MarketStatus,
    LogRecord,
    Health,
    DeadLetter,
    Revocation,
)
"""Kinds by number. Only ever append: the numbers are on disk."""

MAGIC: Final = b"DSM1"
_FIXED: Final = struct.Struct("<4sBBHII")
_NUMBERS: Final = np.dtype("<f8")
_NUMBER: Final = {kind: number for number, kind in enumerate(KINDS)}
_EMPTY: Final = np.empty((0, 0))
# Broken text is a ValueError, an absurd number an OverflowError, deep nesting a RecursionError.
_REFUSALS: Final = (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError)


def _drop_matrix(value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a message cannot hold a {type(value).__name__}")


def _no_matrix(expected: type, value: Any) -> Any:
    if value is None and expected is not type(None):
        return _EMPTY
    raise TypeError(f"expected nothing here, got {type(value).__name__}")


_head_encoder = msgspec.msgpack.Encoder(enc_hook=_drop_matrix)
_head_decoders = tuple(msgspec.msgpack.Decoder(kind, dec_hook=_no_matrix) for kind in KINDS)


def kind_of(frame: bytes) -> str:
    """The tag of the message in a frame, without decoding it.

    Raises:
        MessageDecodeError: not a frame, or of a kind that this version does not know.
    """
    kind, _, _, _, _ = _fixed(frame)
    return str(KINDS[kind].__struct_config__.tag)


def encode(message: Message) -> bytes:
    """The message as a frame. Its columns, if any, must be a float64 matrix of the kind's rows.

    Raises:
        ValueError: the columns are not of the right type or shape.
    """
    head = _head_encoder.encode(message)
    rows = strikes = 0
    matrix: bytes | memoryview = b""
    if isinstance(message, ChainHead):
        rows, strikes = _checked_shape(message)
        matrix = np.ascontiguousarray(message.columns, dtype=_NUMBERS).data
    padding = -(_FIXED.size + len(head)) % 8
    fixed = _FIXED.pack(MAGIC, _NUMBER[type(message)], message.v, rows, strikes, len(head))
    return b"".join((fixed, head, b"\0" * padding, matrix))


def decode(frame: bytes) -> Message:
    """The message in a frame; its columns are a read-only view into `frame`.

    Raises:
        NewerSchema: written by a version that knows more than this one.
        MessageDecodeError: anything else that is not a frame of ours; the text says what.
    """
    kind, version, rows, strikes, length = _fixed(frame)
    cls = KINDS[kind]
    if version > cls.SCHEMA:
        raise NewerSchema(
            f"{cls.__struct_config__.tag} has schema {version}; this version reads up to {cls.SCHEMA}"
        )
    start = _FIXED.size + length + -(_FIXED.size + length) % 8
    if len(frame) != start + rows * strikes * 8:
        raise MessageDecodeError(
            f"frame of {len(frame)} bytes, its header tells of {start + rows * strikes * 8}"
        )
    try:
        message = _head_decoders[kind].decode(memoryview(frame)[_FIXED.size : _FIXED.size + length])
    except _REFUSALS as error:
        raise MessageDecodeError(f"{cls.__struct_config__.tag}: {error}") from error
    if isinstance(message, ChainHead):
        if rows != message.ROWS:
            raise MessageDecodeError(f"{cls.__struct_config__.tag} with {rows} rows, expected {message.ROWS}")
        matrix = np.frombuffer(frame, dtype=_NUMBERS, offset=start).reshape(rows, strikes)
        msgspec.structs.force_setattr(message, "columns", matrix)
    return message


def _fixed(frame: bytes) -> tuple[int, int, int, int, int]:
    if len(frame) < _FIXED.size:
        raise MessageDecodeError(f"frame of {len(frame)} bytes is shorter than its header")
    magic, kind, version, rows, strikes, length = _FIXED.unpack_from(frame)
    if magic != MAGIC:
        raise MessageDecodeError(f"frame begins with {magic!r}, not with {MAGIC!r}")
    if kind >= len(KINDS):
        raise NewerSchema(f"message kind {kind} is not known to this version")
    return kind, version, rows, strikes, length


def _checked_shape(message: ChainHead) -> tuple[int, int]:
    columns = message.columns
    if not isinstance(columns, np.ndarray):
        raise ValueError(f"columns must be a float64 matrix, got a {type(columns).__name__}")
    if columns.dtype != np.float64 or columns.ndim != 2 or columns.shape[0] != message.ROWS:
        raise ValueError(
            f"columns must be float64[{message.ROWS}, n], got {columns.dtype}{list(columns.shape)}"
        )
    return columns.shape[0], columns.shape[1]


def to_builtins(message: Message) -> dict[str, Any]:
    """The message as plain dicts, lists and scalars; columns by name, NaN as None.

    Nanosecond times stay integers; `decode_json` reads the result back.
    """
    plain: dict[str, Any] = msgspec.to_builtins(message, enc_hook=_drop_matrix)
    if isinstance(message, ChainHead):
        _checked_shape(message)
        plain["columns"] = {
            name: [None if math.isnan(x) else x for x in row]
            for name, row in zip(ENRICHED_COLUMNS, message.columns.tolist(), strict=False)
        }
    return plain


def encode_json(message: Message) -> bytes:
    """The message as one JSON object without line breaks."""
    return msgspec.json.encode(to_builtins(message))


def decode_json(data: bytes | str) -> Message:
    """The message in a JSON object made by `encode_json`.

    Raises:
        NewerSchema: written by a version that knows more than this one.
        MessageDecodeError: not JSON, not a message, or columns missing, unknown or of unequal length.
    """
    try:
        plain = msgspec.json.decode(data)
        kind = _BY_TAG[plain["type"]]
        if plain.get("v", 1) > kind.SCHEMA:
            raise NewerSchema(
                f"{plain['type']} has schema {plain['v']}; this version reads up to {kind.SCHEMA}"
            )
        if issubclass(kind, ChainHead):
            plain["columns"] = _matrix(kind, plain["columns"])
        return msgspec.convert(plain, kind, dec_hook=_keep_matrix)
    except (*_REFUSALS, KeyError, AttributeError) as error:
        raise MessageDecodeError(f"not a message: {error}") from error


_BY_TAG: Final = {str(kind.__struct_config__.tag): kind for kind in KINDS}


def _keep_matrix(expected: type, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"expected columns, got {type(value).__name__}")


def _matrix(kind: type[ChainHead], plain: Any) -> np.ndarray:
    columns = msgspec.convert(plain, dict[str, list[float | None]])
    names = ENRICHED_COLUMNS[: kind.ROWS]
    if set(columns) != set(names):
        raise ValueError(f"columns differ by {sorted(set(columns) ^ set(names))}")
    return np.array([columns[name] for name in names], dtype=np.float64).reshape(kind.ROWS, -1)
