"""Numbers, dates and whole JSON documents out of files that cannot be trusted."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import Any, Final

from deltastream.errors import FileRefused

__all__ = ["ABSENT", "RowRefused", "fraction", "number", "parse_json", "previous", "shown", "trading_date"]

ABSENT: Final = math.nan
"""What a column holds where the file holds nothing."""

_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_NOTHING: Final = frozenset({"", "-", "--", "nan", "null", "none"})
_DAY_MONTH_YEAR: Final = re.compile(r"(\d{1,2})-(\d{1,2}|[A-Za-z]{3})-(\d{4})", re.ASCII)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LITERALS: Final = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_YEARS: Final = range(1990, 2100)


class RowRefused(Exception):
    """One row cannot be used; args are the reason code and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def parse_json(source: str, text: str) -> Any:
    """The document, every number a float; NaN is let through, for it is how some tools write null.

    Raises:
        FileRefused: not JSON, cut off, or nested too deeply.
    """
    try:
        return json.loads(text, parse_int=float)
    except RecursionError:
        raise FileRefused(source, "nested_too_deeply", "is nested too deeply") from None
    except ValueError as error:
        rest = text[getattr(error, "pos", 0) :].strip()
        if any(literal.startswith(rest) for literal in _LITERALS) or "Unterminated" in str(error):
            raise FileRefused(source, "truncated", "ends in the middle of its JSON") from None
        raise FileRefused(source, "not_json", f"is not valid JSON: {error}") from None


def number(value: object, name: str) -> float:
    """A float, NaN where there is nothing. Infinity is passed on for the plausibility checks.

    Raises:
        RowRefused: neither a number, nor the text of one, nor nothing.
    """
    if isinstance(value, float):
        return value
    if value is None:
        return ABSENT
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        if text.casefold() in _NOTHING:
            return ABSENT
    raise RowRefused("not_a_number", f"{name} is {shown(value)}")


def previous(now: float, change: float) -> float:
    """The value before a change, NaN where either is absent or `now` is 0, which means absent.

    Rounded to six decimals, which is finer than any price step, to take back the noise of the
    subtraction.
    """
    before = now - change
    return round(before, 6) if now > 0.0 and 0.0 < before < math.inf else ABSENT


def fraction(percent: float) -> float:
    """A percentage as a fraction, without the noise of the division."""
    return round(percent / 100.0, 12)


def trading_date(text: object) -> date:
    """An expiry written as 09-Dec-2025 or 09-12-2025, day first.

    Raises:
        RowRefused: not such a date.
    """
    found = _DAY_MONTH_YEAR.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is not None:
        day, name, year = found.groups()
        month = (
            _MONTHS.index(name.lower()) + 1 if name.lower() in _MONTHS else int(name) if name.isdigit() else 0
        )
        try:
            return date(int(year) if int(year) in _YEARS else 0, month, int(day))
        except ValueError:
            pass
    raise RowRefused("bad_expiry", f"{shown(text)} is not an expiry date")


def shown(value: object) -> str:
    """A value for a sentence, shortened, without characters that could disturb a terminal."""
    text = ascii(value[:40] if isinstance(value, str) else value)
    return text if len(text) <= 40 else f"{text[:37]}..."
