"""What a broken or hostile source sends: wrong types, absurd numbers, times, names and shapes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from msgspec.structs import replace

from deltastream.feeds.protocol import Delivered, Refusal
from deltastream.messages import CHAIN_ROWS, ROW, MarketStatus, OptionChain, UnderlyingTick

__all__ = ["GARBAGE", "Garbled", "make_garbage"]

Fate = Literal["refused", "condemned", "passes"]
"""What must become of it: refused by the feed; accepted, but condemned by one of its groups and not
in the store; accepted and stored, with nulls and flags where a number is not to be had."""

_HUGE_STRIKES: Final = 6_000
_YEAR_NS: Final = 365 * 86_400 * 10**9


class Garbled:
    """What the garbage is made of: a good tick and a good chain of some product."""

    def __init__(self, tick: UnderlyingTick, chain: OptionChain) -> None:
        self.tick = tick
        self.chain = chain

    def ticked(self, **fields: Any) -> UnderlyingTick:
        """The tick with other fields, of whatever type."""
        return replace(self.tick, **fields)

    def chained(self, **fields: Any) -> OptionChain:
        """The chain with other fields, of whatever type."""
        return replace(self.chain, **fields)

    def with_column(self, name: str, change: Callable[[np.ndarray], np.ndarray]) -> OptionChain:
        """The chain with one column changed."""
        columns = self.chain.columns.copy()
        columns[ROW[name]] = change(columns[ROW[name]])
        return self.chained(columns=columns)

    def told(self, **fields: Any) -> MarketStatus:
        """A status with other fields."""
        ts = self.tick.ts_event
        good = MarketStatus(
            product=self.tick.product, status="open", reason="in_session", since=ts, ts_event=ts, ts_recv=ts
        )
        return replace(good, **fields)


def _unsorted(strikes: np.ndarray) -> np.ndarray:
    return strikes[::-1].copy()


def _repeated(strikes: np.ndarray) -> np.ndarray:
    return np.full_like(strikes, strikes[0])


def _huge(g: Garbled) -> OptionChain:
    columns = np.full((CHAIN_ROWS, _HUGE_STRIKES), np.nan)
    columns[0] = np.arange(1.0, _HUGE_STRIKES + 1.0)
    columns[ROW["call_bid"]] = 1.0
    return g.chained(columns=columns)


def _poisoned(g: Garbled, value: float) -> OptionChain:
    """All that is quoted has one absurd value; the strikes are well."""
    columns = np.full_like(g.chain.columns, value)
    columns[0] = g.chain.strikes
    return g.chained(columns=columns)


GARBAGE: Final[dict[str, tuple[Fate, Callable[[Garbled], Any]]]] = {
    "refusal": ("refused", lambda g: Refusal("sim", "not_json", detail="a line that is no message")),
    "price_of_text": ("refused", lambda g: g.ticked(price="26,000")),
    "price_of_none": ("refused", lambda g: g.ticked(price=None)),
    "fractional_time": ("refused", lambda g: g.ticked(ts_event=1.5)),
    "time_beyond_64_bits": ("refused", lambda g: g.ticked(ts_event=1 << 70)),
    "product_no_symbol": ("refused", lambda g: g.ticked(product="NIFTY 50; DROP TABLE")),
    "product_of_bytes": ("refused", lambda g: g.ticked(product=b"NIFTY")),
    "product_empty": ("refused", lambda g: g.ticked(product="")),
    "product_surrogate": ("refused", lambda g: g.ticked(product="\ud800")),
    "unknown_status": ("refused", lambda g: g.told(status="lunch")),
    "columns_missing": ("refused", lambda g: g.chained(columns=None)),
    "columns_of_lists": ("refused", lambda g: g.chained(columns=[[1.0], [2.0]])),
    "columns_too_few": ("refused", lambda g: g.chained(columns=np.zeros((3, 2)))),
    "columns_of_integers": ("refused", lambda g: g.chained(columns=g.chain.columns.astype("f4"))),
    "flags_of_text": ("refused", lambda g: g.chained(flags="stale")),
    "key_with_nul": ("refused", lambda g: Delivered(g.tick, "a\0b")),
    "key_too_long": ("refused", lambda g: Delivered(g.tick, "k" * 600)),
    "not_a_message": ("refused", lambda g: Delivered({"price": 1.0})),  # type: ignore[arg-type]
    "price_nan": ("refused", lambda g: g.ticked(price=math.nan)),
    "price_infinite": ("refused", lambda g: g.ticked(price=math.inf)),
    "price_negative": ("refused", lambda g: g.ticked(price=-1.0)),
    "price_zero": ("refused", lambda g: g.ticked(price=0.0)),
    "volume_infinite": ("refused", lambda g: g.ticked(volume=math.inf)),
    "time_beyond_sqlite": ("refused", lambda g: g.ticked(ts_event=(1 << 63) + 5)),
    "strikes_unsorted": ("condemned", lambda g: g.with_column("strike", _unsorted)),
    "strikes_repeated": ("condemned", lambda g: g.with_column("strike", _repeated)),
    "strikes_nan": ("condemned", lambda g: g.with_column("strike", lambda k: k * math.nan)),
    "strikes_negative": ("condemned", lambda g: g.with_column("strike", lambda k: k - 2.0 * k.max())),
    "expiry_no_date": ("refused", lambda g: g.chained(expiry="tomorrow")),
    "time_negative": ("passes", lambda g: g.ticked(ts_event=-g.tick.ts_event)),
    "time_of_1970": ("passes", lambda g: g.ticked(ts_event=0)),
    "chain_empty": ("passes", lambda g: g.chained(columns=np.empty((CHAIN_ROWS, 0)))),
    "chain_of_one": ("passes", lambda g: g.chained(columns=g.chain.columns[:, :1].copy())),
    "chain_huge": ("passes", _huge),
    "chain_expired": ("passes", lambda g: g.chained(expiry_ts=g.chain.ts_event - _YEAR_NS)),
    "spot_nan": ("passes", lambda g: g.chained(spot=math.nan)),
    "spot_infinite": ("passes", lambda g: g.chained(spot=math.inf)),
    "quotes_nan": ("passes", lambda g: _poisoned(g, math.nan)),
    "quotes_infinite": ("passes", lambda g: _poisoned(g, math.inf)),
    "quotes_negative": ("passes", lambda g: _poisoned(g, -1.0)),
    "quotes_huge": ("passes", lambda g: _poisoned(g, 1.7e308)),
    "quotes_tiny": ("passes", lambda g: _poisoned(g, 5e-324)),
    "root_unknown": ("passes", lambda g: g.chained(root="NOSUCHROOT")),
    "currency_unknown": ("passes", lambda g: g.chained(currency="\N{EURO SIGN}")),
}
"""By name: what must become of it, and how it is made."""


def make_garbage(rng: random.Random, made_of: Garbled) -> tuple[str, Delivered | Refusal]:
    """Some garbage and its name."""
    name = rng.choice(list(GARBAGE))
    _, make = GARBAGE[name]
    item = make(made_of)
    return name, item if isinstance(item, Delivered | Refusal) else Delivered(item)
