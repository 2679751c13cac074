"""Readers of recorded option chains: files that exchanges' websites gave and people kept.

`read_file` tells the format by the content, never by the name, and normalises at this edge:
volatilities are fractions, absent is NaN, instants are UTC nanoseconds. What cannot be believed is
refused, row by row or as a whole, with a code and a sentence; it never becomes a plausible number.
"""

from deltastream.feeds.recorded._file import MAX_FILE_BYTES, list_files
from deltastream.feeds.recorded._model import ChainKey, FileFormat, Recorded, RowCounts
from deltastream.feeds.recorded._reader import FORMATS, Format, peek, read_bytes, read_file

__all__ = [
    "FORMATS",
    "MAX_FILE_BYTES",
    "ChainKey",
    "FileFormat",
    "Format",
    "Recorded",
    "RowCounts",
    "list_files",
    "peek",
    "read_bytes",
    "read_file",
]
