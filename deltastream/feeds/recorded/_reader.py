"""Tells a file's format by its content and reads it."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final, Literal

from deltastream.errors import FileRefused
from deltastream.feeds.recorded._cboe_csv import is_cboe_table, read_cboe_table, table_time
from deltastream.feeds.recorded._cboe_json import cboe_time, is_cboe, read_cboe_json
from deltastream.feeds.recorded._file import decode_text, load
from deltastream.feeds.recorded._model import Recorded
from deltastream.feeds.recorded._nse import is_nse, nse_time, read_nse
from deltastream.feeds.recorded._values import parse_json
from deltastream.feeds.recording import is_recording

__all__ = ["FORMATS", "Format", "peek", "read_bytes", "read_file"]

Format = Literal["auto", "nse", "cboe"]
_TIMESTAMP: Final = re.compile(r'"timestamp"\s*:\s*"([^"\\]{1,40})"')
FORMATS: Final[tuple[Format, ...]] = ("auto", "nse", "cboe")


def read_file(path: str | os.PathLike[str], *, format: Format = "auto", ts_recv: int) -> Recorded:
    """The chains of one recorded file, gzip or plain. Blocking.

    Args:
        path: a regular file of at most `MAX_FILE_BYTES`.
        format: "auto", or whose format it must be.
        ts_recv: when it is read, nanoseconds UTC; by convention also `ts_event` of chains whose file
            does not tell its time; those are flagged "timestamp_unknown".

    Returns:
        What could be used, and why the rest could not.

    Raises:
        FileRefused: the file as a whole cannot be used; it says why. Nothing else is raised for
            anything a file can hold.
    """
    return read_bytes(load(path), source=os.fspath(path), format=format, ts_recv=ts_recv)


def read_bytes(data: bytes, *, source: str, format: Format = "auto", ts_recv: int) -> Recorded:
    """As `read_file`, of a file's decompressed content; `source` names it in refusals."""
    digest = hashlib.sha256(data).hexdigest()[:16]
    if is_recording(data):
        raise FileRefused(source, "recording", "is a recording of DeltaStream's own: replay it instead")
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileRefused(source, "binary", "is not text")
    text = decode_text(data)
    if text.lstrip()[:1] in ("{", "["):
        document = parse_json(source, text)
        if format != "cboe" and is_nse(document):
            return read_nse(source, document, digest=digest, ts_recv=ts_recv)
        if format != "nse" and is_cboe(document):
            return read_cboe_json(source, document, digest=digest, ts_recv=ts_recv)
    elif format != "nse" and is_cboe_table(text):
        return read_cboe_table(source, text, digest=digest, ts_recv=ts_recv)
    raise _unknown(source, text, format)


def peek(path: str | os.PathLike[str], *, format: Format = "auto") -> int | None:
    """When the data of a file were taken, mostly without reading its rows. Blocking.

    Returns:
        Nanoseconds UTC, as in `Recorded.ts_event`; None where the file does not tell.

    Raises:
        FileRefused: as `read_file`, though a file that passes here may still be refused there.
    """
    data = load(path)
    text = decode_text(data)
    if text.lstrip()[:1] not in ("{", "["):
        return table_time(text)
    found = _TIMESTAMP.search(text)
    told = (nse_time(found[1]) or cboe_time(found[1])) if found is not None else None
    return told or read_bytes(data, source=os.fspath(path), format=format, ts_recv=0).ts_event


def _unknown(source: str, text: str, format: Format) -> FileRefused:
    if text.lstrip()[:1] == "<":
        return FileRefused(source, "html", "is a web page, not data")
    wanted = {
        "auto": "an NSE option chain, a Cboe quote table or Cboe delayed quotes",
        "nse": "an NSE option chain",
        "cboe": "a Cboe quote table or Cboe delayed quotes",
    }
    return FileRefused(source, "unknown_format", f"is not {wanted[format]}")
