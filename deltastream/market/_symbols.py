"""Contract symbols: our own, and the OCC's."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Final, Literal, cast

__all__ = ["contract_symbol", "is_product_symbol", "parse_contract_symbol", "parse_occ"]

Side = Literal["C", "P"]

_PRODUCT: Final = re.compile(r"[A-Za-z0-9._&-]{1,64}")
_OURS: Final = re.compile(r"(?P<root>\S+)-(?P<date>[0-9]{8})-(?P<strike>[0-9]+(?:\.[0-9]+)?)-(?P<side>[CP])")
_OCC: Final = re.compile(
    r"(?P<root>[A-Z][A-Z0-9.]{0,5}) {0,5}(?P<date>[0-9]{6})(?P<side>[CP])(?P<strike>[0-9]{8})"
)


def is_product_symbol(text: str) -> bool:
    """Whether this can name a product: 1 to 64 of the characters ``A-Z a-z 0-9 . _ & -``."""
    return _PRODUCT.fullmatch(text) is not None


def contract_symbol(root: str, expiry: dt.date, strike: float, side: str) -> str:
    """``ROOT-YYYYMMDD-STRIKE-C|P``, the strike without trailing zeros: ``NIFTY-20261124-26000-C``.

    Raises:
        ValueError: strike not positive and finite, side not C or P, root empty or with white space.
    """
    if not (math.isfinite(strike) and strike > 0):
        raise ValueError(f"a strike is positive and finite, not {strike}")
    if side not in ("C", "P"):
        raise ValueError(f"the side of an option is C or P, not {side!r}")
    if not root or any(letter.isspace() for letter in root):
        raise ValueError(f"{root!r} is not a root")
    digits = f"{Decimal(repr(float(strike))):f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{root}-{expiry:%Y%m%d}-{digits}-{side}"


def parse_contract_symbol(symbol: str) -> tuple[str, dt.date, float, Side]:
    """(root, expiry, strike, side) of a symbol made by `contract_symbol`, parsed from the right.

    Raises:
        ValueError: not such a symbol; the text says what is wrong.
    """
    match = _OURS.fullmatch(symbol)
    if not match:
        raise ValueError(f"{symbol!r} is not of the form ROOT-YYYYMMDD-STRIKE-C|P")
    strike = float(match["strike"])
    if not (math.isfinite(strike) and strike > 0):
        raise ValueError(f"{symbol!r} has no positive strike")
    return match["root"], _date(match["date"], symbol), strike, cast("Side", match["side"])


def parse_occ(symbol: str) -> tuple[str, dt.date, Side, float]:
    """(root, expiry, side, strike) of an OCC symbol, padded or not: ``SPY260821C00640000``.

    The last 15 characters are fixed: YYMMDD, C or P, strike x 1000. A leading ``O:`` is ignored.

    Raises:
        ValueError: not such a symbol; the text says what is wrong.
    """
    match = _OCC.fullmatch(symbol.removeprefix("O:"))
    if not match:
        raise ValueError(f"{symbol!r} is not an OCC symbol: root, YYMMDD, C or P, strike in 8 digits")
    thousandths = int(match["strike"])
    if thousandths == 0:
        raise ValueError(f"{symbol!r} has strike 0")
    return match["root"], _date(f"20{match['date']}", symbol), cast("Side", match["side"]), thousandths / 1000


def _date(digits: str, symbol: str) -> dt.date:
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError as error:
        raise ValueError(f"{symbol!r}: {digits} is not a date") from error
