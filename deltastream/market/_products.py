"""The products that the tables know."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from deltastream.market import _tables
from deltastream.market._calendars import calendar

__all__ = ["Product", "product", "products"]


@dataclass(frozen=True, slots=True)
class Product:
    """An underlying and the option roots listed on it.

    Attributes:
        symbol: such as NIFTY or SPY.
        kind: "index", "etf", "equity" or "crypto".
        roots: contract families, such as ("SPX", "SPXW").
        exchange: as in `Terms`.
        calendar: name for `market.calendar`; tz its time zone.
        currency: of the underlying's price.
    """

    symbol: str
    name: str
    kind: str
    roots: tuple[str, ...]
    exchange: str
    calendar: str
    tz: str
    currency: str


@functools.cache
def products() -> tuple[Product, ...]:
    """Every product of the tables, in their order."""
    table = _tables.contracts()
    return tuple(
        _product(symbol, facts, table["venues"][facts["venue"]])
        for symbol, facts in table["products"].items()
    )


def product(symbol: str) -> Product:
    """The product of that symbol.

    Raises:
        KeyError: the tables do not know it.
    """
    for one in products():
        if one.symbol == symbol:
            return one
    raise KeyError(f"no product named {symbol!r}")


def _product(symbol: str, facts: dict[str, object], venue: dict[str, str]) -> Product:
    return Product(
        symbol=symbol,
        name=str(facts["name"]),
        kind=str(facts["kind"]),
        roots=tuple(facts["roots"]),  # type: ignore[arg-type]  # untyped TOML
        exchange=str(facts["venue"]),
        calendar=venue["calendar"],
        tz=calendar(venue["calendar"]).tz,
        currency=venue["currency"],
    )
