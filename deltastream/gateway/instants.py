"""Moments as requests name them: ISO-8601 text with an offset outside, nanoseconds UTC inside."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

__all__ = ["EARLIEST", "LATEST", "Instant", "instant_of"]

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
_FORM: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))?", re.ASCII
)

EARLIEST: Final = (date(1900, 1, 1).toordinal() - _EPOCH) * _DAY * _SECOND
LATEST: Final = (date(2200, 1, 1).toordinal() - _EPOCH) * _DAY * _SECOND
"""Between these two there is room on both sides to add and subtract within 64 bits."""


class Instant(int):
    """Nanoseconds UTC since 1970, in requests alone: a field of this type takes RFC 3339 text.

    What lies before `EARLIEST` or after `LATEST` is taken as these: nothing is recorded there, so a
    range that begins in the year 1 begins with the oldest there is.
    """

    __slots__ = ()


def instant_of(text: str) -> Instant:
    """The moment that RFC 3339 text names; digits after the nanosecond are cut off.

    Raises:
        ValueError: with the end of a sentence that begins with the field's name.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, utc, sign, *offset = match.groups()[6:]
    if utc is None and sign is None:
        raise ValueError("has no offset from UTC: end it with Z or with one such as +05:30")
    hours, minutes = map(int, offset) if sign else (0, 0)
    try:
        days = date(year or 4, month, day).toordinal() - _EPOCH  # the year 0, a leap year, is long before
    except ValueError:
        raise ValueError("names a day that no calendar has") from None
    ahead = (hours * 60 + minutes) * 60 * (-1 if sign == "-" else 1)
    seconds = days * _DAY + (hour * 60 + minute) * 60 + second - ahead
    leap = second == 60 and seconds % _DAY == 0  # what follows 23:59:59 UTC
    if hour > 23 or minute > 59 or hours > 23 or minutes > 59 or (second > 59 and not leap):
        raise ValueError("names a time that no clock shows")
    return Instant(min(max(seconds * _SECOND + int((fraction or "")[:9].ljust(9, "0")), EARLIEST), LATEST))
