"""Cboe's quote table as CSV, as people save it from the site, in the language of their browser.

A name line with the last price, a date line, a header of 22 columns, then a row per strike. The
expiry is that of the symbols; the date column, which may be in any language, is not read. A row
stands on one line, so that a stray quotation mark damages its own line and no other.
"""

from __future__ import annotations

import csv
import re
from datetime import date
from typing import Final

from deltastream.errors import FileRefused
from deltastream.feeds.recorded._assemble import Assembly, FileFacts, Side
from deltastream.feeds.recorded._cboe import contract, parse_option
from deltastream.feeds.recorded._dates import NEW_YORK, read_date_line
from deltastream.feeds.recorded._model import Recorded
from deltastream.feeds.recorded._values import ABSENT, RowRefused, number, previous, shown

__all__ = ["is_cboe_table", "read_cboe_table", "table_time"]

_SIDE_NAMES: Final = (
    ("last sale", "last"),
    ("net", "change"),
    ("bid",),
    ("ask",),
    ("volume", "vol"),
    ("iv",),
    ("delta",),
    ("gamma",),
    ("open interest", "open int", "int"),
)
_HEADER: Final = (
    ("expiration date", "expiration"),
    ("calls",),
    *_SIDE_NAMES,
    ("strike",),
    ("puts",),
    *_SIDE_NAMES,
)
_COLUMNS: Final = len(_HEADER)
_ENGLISH_ONLY: Final = frozenset({"expiration date", "calls", "puts", "strike", "last sale", "open interest"})
_USED: Final = (2, 3, 4, 5, 6, 7, 10, 11, 13, 14, 15, 16, 17, 18, 21)
_NAMES: Final = tuple(_HEADER[column][0] for column in _USED)
_PLAIN_NUMBERS: Final = re.compile(r"[-+.0-9eE,]+", re.ASCII)
_GROUPED: Final = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_LABEL: Final = re.compile(r"[^:\d]+:")
_LINES_BEFORE_HEADER: Final = 12
_HEAD_CHARACTERS: Final = 20_000


def is_cboe_table(text: str) -> bool:
    """Whether text has, near its beginning, a header that could be the table's."""
    return _find_header(_lines(text[:_HEAD_CHARACTERS])) is not None


def read_cboe_table(source: str, text: str, *, digest: str, ts_recv: int) -> Recorded:
    """The chains of one table.

    Raises:
        FileRefused: no header, another header, no rows, or none that can be used.
    """
    lines = _lines(text)
    at = _find_header(lines)
    if at is None:
        raise FileRefused(source, "wrong_header", "has no header of a Cboe quote table")
    assembly = Assembly(source)
    _check_header(source, _fields(lines[at]), assembly)
    _add_rows(assembly, lines, at + 1, ends_well=text.endswith(("\n", "\r")))
    above = _above(lines[:at])
    ts_event = _time(above)
    if ts_event is None:
        written = _date_text(above[1]) if len(above) > 1 else ""
        assembly.remarks.append(f"its date line {shown(written)} cannot be read, so it has no time")
    facts = FileFacts(
        source=source,
        format="cboe_csv",
        tz=NEW_YORK.key,
        digest=digest,
        ts_recv=ts_recv,
        ts_event=ts_event,
        spot=_spot(above[0]) if above else None,
        oi_cadence="daily",
        contract=contract,
    )
    return assembly.finish(facts)


def table_time(text: str) -> int | None:
    """When a table's data were taken, nanoseconds UTC; None where its date line cannot be read."""
    lines = _lines(text[:_HEAD_CHARACTERS])
    at = _find_header(lines)
    return None if at is None else _time(_above(lines[:at]))


def _lines(text: str) -> list[str]:
    """Lines as editors number them; `str.splitlines` would also break at control characters."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _above(lines: list[str]) -> list[list[str]]:
    """The lines above the header that are not blank, as fields."""
    return [fields for line in lines if any(fields := [field.strip() for field in _fields(line)])]


def _time(above: list[list[str]]) -> int | None:
    return next((ts for fields in above if (ts := read_date_line(_date_text(fields)))), None)


def _find_header(lines: list[str]) -> int | None:
    """The first of the first lines that has the table's number of names."""
    for at, line in enumerate(lines[:_LINES_BEFORE_HEADER]):
        fields = _trimmed(_fields(line))
        if len(fields) == _COLUMNS and not any(any(c.isdigit() for c in field) for field in fields):
            return at
    return None


def _check_header(source: str, fields: list[str], assembly: Assembly) -> None:
    """English names must be the table's own; a header all in another language is read by position."""
    names = [field.strip().casefold() for field in fields[:_COLUMNS]]
    wrong = next((at for at, name in enumerate(names) if name not in _HEADER[at]), None)
    if wrong is None:
        return
    known = {name for allowed in _HEADER for name in allowed}
    misplaced = any(name in known and name not in _HEADER[at] for at, name in enumerate(names))
    if misplaced or _ENGLISH_ONLY & set(names):
        raise FileRefused(
            source,
            "wrong_header",
            f"has {shown(fields[wrong])} in column {wrong + 1} of its header, expected {_HEADER[wrong][0]!r}",
        )
    assembly.remarks.append("its header is in another language; its columns were read by their position")


def _add_rows(assembly: Assembly, lines: list[str], start: int, *, ends_well: bool) -> None:
    last: tuple[str, date] | None = None
    for at in range(start, len(lines)):
        line = lines[at]
        if not line.strip(", \t"):
            continue
        is_cut = at == len(lines) - 1 and not ends_well
        root = expiry = None
        try:
            fields = _trimmed(_fields(line))
            if len(fields) != _COLUMNS and is_cut:
                raise RowRefused("cut_off", "the file ends in the middle of this row")
            root, expiry, strike = _symbols(fields)
            numbers = _numbers(fields)
            if numbers[7] != strike:
                raise RowRefused("strike_mismatch", f"strike {numbers[7]:g} beside a symbol of {strike:g}")
        except RowRefused as refused:
            if refused.reason == "cut_off" and last is not None:
                assembly.mark(*last, "truncated")
            assembly.refuse(at + 1, refused, root, expiry)
            continue
        call = _side(numbers[0:7]) if fields[1].strip() else None
        put = _side(numbers[8:15]) if fields[12].strip() else None
        assembly.add(root, expiry, at + 1, strike, call, put)
        last = root, expiry
        if is_cut:
            assembly.mark(root, expiry, "truncated")
            assembly.remarks.append("it does not end with a line break: its last number may be cut off")


def _symbols(fields: list[str]) -> tuple[str, date, float]:
    if len(fields) != _COLUMNS:
        raise RowRefused("wrong_column_count", f"{len(fields)} columns, expected {_COLUMNS}")
    call, put = fields[1].strip(), fields[12].strip()
    root, expiry, side, strike = parse_option(call or put)
    if side != ("C" if call else "P"):
        raise RowRefused("bad_symbol", f"{shown(call or put)} is on the other side's place")
    if call and put and put != f"{call[:-9]}P{call[-8:]}":
        raise RowRefused("symbol_mismatch", f"{shown(put)} is not the put to {shown(call)}")
    return root, expiry, strike


def _numbers(fields: list[str]) -> list[float]:
    """The fifteen numbers of a row that are used: seven of the call, the strike, seven of the put."""
    texts = [fields[column] for column in _USED]
    if _PLAIN_NUMBERS.fullmatch(",".join(texts)):
        try:
            return list(map(float, texts))
        except ValueError:
            pass
    return [number(text, name) for text, name in zip(texts, _NAMES, strict=True)]


def _side(numbers: list[float]) -> Side:
    last, net, bid, ask, volume, iv, oi = numbers
    return bid, ABSENT, ask, ABSENT, last, volume, oi, previous(last, net), ABSENT, ABSENT, iv


def _fields(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]))
    except (csv.Error, StopIteration):
        return []


def _trimmed(fields: list[str]) -> list[str]:
    """Without the empty columns that some spreadsheets add on the right."""
    while len(fields) > _COLUMNS and not fields[-1].strip():
        fields.pop()
    return fields


def _date_text(fields: list[str]) -> str:
    """The date that a line begins with, its own commas included, up to the next labelled field."""
    end = next((at for at, field in enumerate(fields) if at and _LABEL.match(field)), len(fields))
    return ", ".join(fields[:end]).strip(", ")


def _spot(fields: list[str]) -> float | None:
    """The number after the label of the second field, ``Last: 6,448.28``."""
    text = fields[1].rpartition(":")[2].strip() if len(fields) > 1 else ""
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        price = number(text, "Last")
    except RowRefused:
        return None
    return price if 0.0 < price < float("inf") else None
