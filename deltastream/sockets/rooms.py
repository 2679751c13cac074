"""Rooms: what a client can subscribe to, by name.

``general``                  every underlying update and every chain summary
``product:NIFTY``            underlying updates of a product
``chain:NIFTY``              chains of a product, or of one root, such as SPXW
``chain:NIFTY:2026-11-24``   chains of one expiry
``surface:NIFTY``            volatility surfaces of a product
"""

from __future__ import annotations

import datetime
import re
from typing import Final, Literal

import msgspec

__all__ = ["GENERAL", "BadRoom", "Room", "parse"]

Kind = Literal["general", "product", "chain", "surface"]

_LONGEST: Final = 80
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9&_.-]{0,31}")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class BadRoom(ValueError):
    """Not the name of a room; the text says what is."""


class Room(msgspec.Struct, frozen=True):
    """A room that a name names; whether there is such a product is for the hub to say.

    Attributes:
        symbol: a product or, for chains, a root; empty for ``general``.
        expiry: as YYYY-MM-DD; None: every expiry.
    """

    kind: Kind
    symbol: str = ""
    expiry: str | None = None

    def __str__(self) -> str:
        return ":".join(part for part in (self.kind, self.symbol, self.expiry) if part)


GENERAL: Final = Room("general")


def parse(name: str) -> Room:
    """The room of that name.

    Raises:
        BadRoom: not a name of a room.
    """
    if name == "general":
        return GENERAL
    kind, _, rest = name[:_LONGEST].partition(":")
    symbol, separator, expiry = rest.partition(":")
    if kind not in ("product", "chain", "surface"):
        raise BadRoom(
            "A room is general, product:SYMBOL, chain:SYMBOL, chain:SYMBOL:EXPIRY or surface:SYMBOL."
        )
    if len(name) > _LONGEST or not _SYMBOL.fullmatch(symbol):
        raise BadRoom(f"{kind}: is followed by a symbol in capital letters, as in {kind}:NIFTY.")
    if not separator:
        return Room(kind, symbol)  # type: ignore[arg-type]  # narrowed above, which mypy does not see
    if kind != "chain":
        raise BadRoom(f"{kind}:{symbol} takes no expiry.")
    if not _is_date(expiry):
        raise BadRoom(f"An expiry is a date, as in chain:{symbol}:2026-11-24.")
    return Room("chain", symbol, expiry)


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True
