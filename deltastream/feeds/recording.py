"""DeltaStream's own recordings: messages of the bus in a file, in the order they were read.

All numbers are little-endian::

    file    8  magic b"DSREC\\r\\n\\x1a"      record  4  marker b"\\xd5REC"
            4  version                              4  length of the body
            4  CRC-32 of the 12 bytes before        4  CRC-32 of length and body
            …  records                              …  body: topic length (2), topic, frame

A frame is the bus's own encoding of a message. The marker lets a reader find its way again after a
damaged stretch; a record that its writer did not finish is a torn tail and ends the file.

Durability: a batch is handed to the operating system when `RecordingWriter.write` returns, so it
survives the death of the process; `RecordingWriter.close` waits until everything is on the disk.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

from deltastream.errors import DeltaStreamError, FileRefused

__all__ = ["MAX_RECORD_BYTES", "RecordedFrame", "RecordingReader", "RecordingWriter", "is_recording"]

MAGIC: Final = b"DSREC\r\n\x1a"
VERSION: Final = 1
MARKER: Final = b"\xd5REC"
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
_FILE_HEAD: Final = struct.Struct("<8sII")
_RECORD_HEAD: Final = struct.Struct("<4sII")
_LENGTH: Final = struct.Struct("<I")
_TOPIC_LENGTH: Final = struct.Struct("<H")
_SCAN_BYTES: Final = 1 << 20


class RecordedFrame(NamedTuple):
    """One message as it was on the bus."""

    topic: str
    frame: bytes


class RecordingWriter:
    """Writes a new recording. Blocking; one writer per file.

    Attributes:
        records: written so far.
        size: bytes of the file so far.

    Raises:
        DeltaStreamError: the file exists already or cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.records = 0
        head = _FILE_HEAD.pack(MAGIC, VERSION, 0)[:12]
        head += _LENGTH.pack(zlib.crc32(head))
        try:
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115  closed by close()
            _sync_directory(self.path.parent)
            self._write(head)
        except FileExistsError:
            raise DeltaStreamError(f"{self.path} exists already; a recording is a new file") from None
        except OSError as error:
            raise self._failed(error) from error
        self.size = len(head)

    def write(self, frames: Iterable[RecordedFrame | tuple[str, bytes]]) -> None:
        """Add messages; they survive the death of the process when this returns.

        Raises:
            DeltaStreamError: the disk is full or gone. What was written of the batch is cut off
                again where possible, else it is a torn tail.
            ValueError: a record is larger than `MAX_RECORD_BYTES`.
        """
        records = [_record(topic, frame) for topic, frame in frames]
        data = b"".join(records)
        try:
            self._write(data)
        except OSError as error:
            self._cut_back()
            raise self._failed(error) from error
        self.records += len(records)
        self.size += len(data)

    def close(self) -> None:
        """Wait until everything is on the disk and close the file; may be called twice.

        Raises:
            DeltaStreamError: the disk did not take it.
        """
        if self._file.closed:
            return
        try:
            with self._file:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _cut_back(self) -> None:
        try:
            self._file.truncate(self.size)
            self._file.seek(self.size)
        except OSError:
            pass  # readers take the half record for a torn tail

    def _failed(self, error: OSError) -> DeltaStreamError:
        return DeltaStreamError(f"{self.path} cannot be written: {error.strerror or error}")


class RecordingReader:
    """Iterates over the messages of a recording, once. Blocking.

    Attributes:
        damaged: damaged stretches that were skipped so far.
        torn: whether the file ended in the middle of a record.

    Raises:
        FileRefused: unreadable, not a recording, or of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.source = os.fspath(path)
        self.damaged = 0
        self.torn = False
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115  closed by close()
            head = self._file.read(_FILE_HEAD.size)
        except OSError as error:
            raise FileRefused(self.source, "unreadable", f"cannot be read: {error.strerror}") from error
        try:
            self._check(head)
        except FileRefused:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[RecordedFrame]:
        while True:
            start = self._file.tell()
            body = self._body(start)
            if body is not None:
                yield _unpacked(body)
                continue
            if start == self._end():
                return
            following = self._find_record(start + 1)
            if following is None:
                self.torn = True
                return
            self.damaged += 1
            self._file.seek(following)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, head: bytes) -> None:
        if not is_recording(head):
            raise FileRefused(self.source, "unknown_format", "is not a DeltaStream recording")
        if len(head) < _FILE_HEAD.size or zlib.crc32(head[:12]) != _LENGTH.unpack(head[12:])[0]:
            raise FileRefused(self.source, "damaged_header", "is a recording with a damaged header")
        version = _LENGTH.unpack_from(head, 8)[0]
        if version > VERSION:
            raise FileRefused(
                self.source,
                "newer_version",
                f"is a recording of version {version}; this program reads up to {VERSION}",
            )

    def _body(self, at: int) -> bytes | None:
        """The body of the whole, undamaged record that begins there, if one does; moves behind it."""
        self._file.seek(at)
        head = self._file.read(_RECORD_HEAD.size)
        if len(head) < _RECORD_HEAD.size or not head.startswith(MARKER):
            return None
        _, length, crc = _RECORD_HEAD.unpack(head)
        if length > MAX_RECORD_BYTES:
            return None
        body = self._file.read(length)
        if len(body) < length or zlib.crc32(body, zlib.crc32(head[4:8])) != crc:
            return None
        return body

    def _find_record(self, start: int) -> int | None:
        """Where the next whole, undamaged record begins."""
        while True:
            self._file.seek(start)
            chunk = self._file.read(_SCAN_BYTES)
            found = chunk.find(MARKER)
            while found >= 0:
                if self._body(start + found) is not None:
                    return start + found
                found = chunk.find(MARKER, found + 1)
            if len(chunk) < _SCAN_BYTES:
                return None
            start += len(chunk) - len(MARKER) + 1

    def _end(self) -> int:
        return os.fstat(self._file.fileno()).st_size


def is_recording(head: bytes) -> bool:
    """Whether a file that begins like this is a recording."""
    return head.startswith(MAGIC)


def _record(topic: str, frame: bytes) -> bytes:
    name = topic.encode()
    body = b"".join((_TOPIC_LENGTH.pack(len(name)), name, frame))
    if len(body) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(body)} bytes is larger than {MAX_RECORD_BYTES}")
    length = _LENGTH.pack(len(body))
    return b"".join((MARKER, length, _LENGTH.pack(zlib.crc32(body, zlib.crc32(length))), body))


def _unpacked(body: bytes) -> RecordedFrame:
    length = _TOPIC_LENGTH.unpack_from(body)[0] if len(body) >= _TOPIC_LENGTH.size else 0
    start = _TOPIC_LENGTH.size + length
    return RecordedFrame(body[_TOPIC_LENGTH.size : start].decode(errors="replace"), body[start:])


def _sync_directory(path: Path) -> None:
    """Make the new name durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
