"""One fixed message of every kind, and a strategy that makes any message of a kind."""

from __future__ import annotations

import typing
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest

from deltastream.messages import (
    CHAIN_ROWS,
    ENRICHED_ROWS,
    Bar,
    ChainHead,
    DeadLetter,
    EnrichedChain,
    Health,
    LogRecord,
    MarketStatus,
    Message,
    OptionChain,
    OptionQuote,
    Position,
    Revocation,
    SurfaceSlice,
    UnderlyingTick,
    VolatilitySurface,
    encode,
)

T0 = 1_795_501_800_000_000_000  # 2026-11-24 11:50 IST


def chain_head(rows: int, strikes: int) -> dict[str, Any]:
    """Fields of a chain whose matrix counts up in quarters, with one value missing per row."""
    columns = np.arange(rows * strikes, dtype=np.float64).reshape(rows, strikes) / 4
    if strikes > 1:
        columns[1:, 1] = np.nan
    return {
        "product": "NIFTY",
        "root": "NIFTY",
        "expiry": "2026-11-24",
        "expiry_ts": T0 + 13_800_000_000_000,
        "ts_event": T0,
        "ts_recv": T0 + 1_500_000,
        "spot": 26_012.35,
        "currency": "INR",
        "multiplier": 1.0,
        "exercise": "european",
        "settlement": "cash",
        "oi_unit": "contracts",
        "volume_unit": "contracts",
        "oi_cadence": "3min",
        "oi_as_of": T0 - 60_000_000_000,
        "future": None,
        "lot": 65.0,
        "tick_size": 0.05,
        "flags": ("stale",),
        "columns": columns,
    }


@pytest.fixture(scope="session")
def examples() -> dict[str, Message]:
    """Tag → a hand-made message. Their encodings are pinned in golden.json."""
    tick = UnderlyingTick(product="SPY", price=612.25, ts_event=T0, ts_recv=T0 + 1, volume=300.0)
    messages: list[Message] = [
        tick,
        OptionQuote(
            symbol="NIFTY-20261124-26000-C",
            product="NIFTY",
            root="NIFTY",
            expiry="2026-11-24",
            strike=26_000.0,
            option_type="C",
            ts_event=T0,
            ts_recv=T0 + 1,
            oi_unit="contracts",
            volume_unit="contracts",
            bid=101.5,
            ask=102.0,
            open_interest=125_000.0,
            last_trade_us=T0 // 1000,
            iv=0.125,
            iv_status="converged",
            buildup="long_buildup",
        ),
        OptionChain(**chain_head(CHAIN_ROWS, 3)),
        EnrichedChain(
            **chain_head(ENRICHED_ROWS, 2),
            source=("market.chain.NIFTY", Position("e1", 42)),
            rate=0.0625,
            rate_source="configured",
            t=0.0004375,
            forward=26_015.5,
            forward_error=0.25,
            forward_source="parity",
            atm_strike=26_000.0,
            pcr_oi=0.96875,
            max_pain_strike=26_000.0,
            max_pain_interval=(25_950.0, 26_000.0),
            reasons={"atm_iv": "no_two_sided_quote"},
        ),
        Bar(
            product="SPY",
            interval_s=60,
            start=T0 - T0 % 60_000_000_000,
            open=612.0,
            high=612.5,
            low=611.75,
            close=612.25,
            ticks=59,
            volume=18_000.0,
        ),
        VolatilitySurface(
            product="SPY",
            ts_event=T0,
            ts_recv=T0 + 1,
            slices=(
                SurfaceSlice(
                    root="SPY",
                    expiry="2026-11-27",
                    t=0.0078125,
                    forward=612.5,
                    atm_iv=0.125,
                    avg_iv=None,
                    ts_event=T0,
                    strikes=(610.0, 615.0),
                    ivs=(0.1328125, None),
                ),
            ),
        ),
        MarketStatus(
            product="NIFTY", status="stale", reason="feed_silent", since=T0 - 5, ts_event=T0, ts_recv=T0
        ),
        LogRecord(
            ts=T0,
            level="warning",
            logger="deltastream.feeds",
            event="row refused: naïve Straße ✓",
            fields={"row": 7, "price": -1.5, "kept": False, "reason": None, "file": "a.csv"},
        ),
        Health(
            ts=T0,
            actor="enricher-0",
            state="degraded",
            reason="no_feed",
            restarts=1,
            mailbox_depth=12,
            lag_s=0.5,
        ),
        DeadLetter(
            id="00000000000000ab",
            group="storage",
            topic="market.tick.SPY",
            position=Position("e1", 7),
            ts=T0,
            attempts=5,
            error="ValueError: price",
            trace="Traceback …",
            frame=encode(tick),
        ),
        Revocation(
            id="00000000000000cd",
            ts=T0,
            user_id="00000000000000ef",
            reason="refresh_reused",
            session="0000000000000012",
        ),
    ]
    return {str(m.__struct_config__.tag): m for m in messages}


def _strategy_for(annotation: Any, floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    """Values of a field's type; covers the types that messages use and refuses any other."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (UnionType, typing.Union):
        return st.one_of([_strategy_for(arg, floats) for arg in args])
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(_strategy_for(args[0], floats), max_size=3).map(tuple)
        return st.tuples(*(_strategy_for(arg, floats) for arg in args))
    if origin is dict:
        return st.dictionaries(*(_strategy_for(arg, floats) for arg in args), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = typing.get_type_hints(annotation)
        return st.builds(
            annotation,
            **{f: _strategy_for(hints[f], floats) for f in annotation.__struct_fields__},
        )
    return {
        str: st.text(max_size=12),
        int: st.integers(-(2**63), 2**63 - 1),
        float: floats,
        bool: st.booleans(),
        bytes: st.binary(max_size=24),
        NoneType: st.none(),
    }[annotation]


@pytest.fixture(scope="session")
def any_message() -> Callable[..., st.SearchStrategy[Message]]:
    """Makes a strategy of messages of a kind: ``any_message(kind, scalars, elements)``."""

    def make(
        kind: type[Message], scalars: st.SearchStrategy[float], elements: st.SearchStrategy[float]
    ) -> st.SearchStrategy[Message]:
        hints = typing.get_type_hints(kind)
        fields = {
            name: _strategy_for(hints[name], scalars)
            for name in kind.__struct_fields__
            if name not in ("v", "columns")
        }
        if issubclass(kind, ChainHead):
            fields["columns"] = st.integers(0, 4).flatmap(
                lambda n: hnp.arrays(np.float64, (kind.ROWS, n), elements=elements)
            )
        return st.builds(kind, **fields)

    return make
