"""A recorded file as bytes and as text."""

from __future__ import annotations

import codecs
import os
import stat
import zlib
from pathlib import Path
from typing import Final

from deltastream.errors import FileRefused

__all__ = ["MAX_FILE_BYTES", "decode_text", "list_files", "load"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Larger files are refused, before and after decompression."""

_GZIP: Final = b"\x1f\x8b"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def list_files(path: str | os.PathLike[str]) -> list[str]:
    """The file itself, or all files below a directory in order of their names, hidden ones left out.

    Raises:
        FileRefused: there is nothing of that name, or the directory cannot be read.
    """
    top = Path(path)
    try:
        if not top.is_dir():
            top.stat()
            return [os.fspath(path)]
        below = [file for file in top.rglob("*") if file.is_file()]  # seam: sorted below
    except FileNotFoundError:
        raise FileRefused(os.fspath(path), "not_found", "there is no such file or directory") from None
    except (OSError, ValueError) as error:
        raise FileRefused(os.fspath(path), "unreadable", f"cannot be read: {error}") from error
    return [
        str(file)
        for file in sorted(below)
        if not any(part.startswith(".") for part in file.relative_to(top).parts)
    ]


def load(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file, decompressed where they are gzip.

    Raises:
        FileRefused: missing, unreadable, not a regular file, empty, too large or damaged gzip.
    """
    source = os.fspath(path)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileRefused(source, "not_a_file", "is not a regular file")
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise FileRefused(source, "not_found", "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileRefused(source, "unreadable", f"cannot be read: {reason}") from error
    _check_size(source, data)
    if data.startswith(_GZIP):
        data = _gunzip(source, data)
    if not data.strip():
        raise FileRefused(source, "empty", "is empty")
    return data


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting, as a pipe that nobody writes to would make us do for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_size(source: str, data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // (1024 * 1024)
        raise FileRefused(
            source, "too_large", f"is larger than {limit} MiB, the most that is read as one file"
        )


def _gunzip(source: str, data: bytes) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while data:
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(data, MAX_FILE_BYTES + 1 - size))
            size += len(parts[-1])
            if size > MAX_FILE_BYTES:
                break
            if not member.eof:
                raise FileRefused(source, "truncated", "ends in the middle of its compressed data")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise FileRefused(source, "damaged_gzip", f"is damaged gzip: {error}") from error
    whole = b"".join(parts)
    _check_size(source, whole)
    return whole


def decode_text(data: bytes) -> str:
    """The bytes as text: by byte-order mark, else the first that fits of UTF-8, Windows-1252, Latin-1.

    Never fails: every byte has a meaning in the last.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, errors="replace")
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
