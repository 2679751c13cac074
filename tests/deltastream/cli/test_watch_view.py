"""The live view of rooms: what a trader sees for which events, and how it fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltastream.cli._watch_view import Screen
from deltastream.client import (
    Chain,
    ChainSummary,
    ChainUpdate,
    Disconnected,
    Event,
    Interrupted,
    MarketStatus,
    Reconnected,
    RoomRefused,
    SurfaceUpdate,
    UnderlyingUpdate,
)

NOW = 1_800_000_000_000_000
"""Microseconds."""

HEAD: dict[str, Any] = {
    "product": "NIFTY",
    "root": "NIFTY",
    "expiry": "2026-11-24",
    "expiry_ts": NOW + 10**12,
    "spot": 26010.0,
    "forward": 26020.5,
    "atm_strike": 26000.0,
    "atm_iv": 0.1145,
    "pcr_oi": 1.06,
    "max_pain_strike": 26100.0,
    "atm_straddle_price": 207.88,
}


def chain(*, strikes: int = 41, ts: int = NOW, room: str = "chain:NIFTY", **head: Any) -> ChainUpdate:
    names = ("bid", "ask", "iv", "oi", "delta", "volume", "gamma", "theta")
    columns = {"strike": 25_000.0 + 50.0 * np.arange(strikes)}
    for side in ("call", "put"):
        for name in names:
            columns[f"{side}_{name}"] = np.full(strikes, 0.5)
    columns["put_bid"][20] = np.nan
    made = Chain(head={**HEAD, **head}, columns=columns, ts=ts)
    return ChainUpdate(room=room, stream="chain:NIFTY", seq=1, ts=ts, chain=made, rows=None)


def price(value: float, ts: int = NOW, product: str = "NIFTY") -> UnderlyingUpdate:
    room = f"product:{product}"
    return UnderlyingUpdate(room=room, stream=room, seq=1, ts=ts, product=product, price=value, volume=None)


def status(state: str, reason: str) -> MarketStatus:
    return MarketStatus(room="product:NIFTY", product="NIFTY", status=state, reason=reason, since=NOW)


def drawn(*events: Event, rooms: tuple[str, ...], width: int = 80, height: int = 24, later_s: float = 0.0):
    screen = Screen(rooms)
    for event in events:
        screen.take(event, NOW * 1000)
    return screen.lines(NOW * 1000 + round(later_s * 1e9), width, height)


def lines(*events: Event, **about: Any) -> list[str]:
    return [line.rstrip() for line in drawn(*events, **about).plain.split("\n")]


def styles(text: Any, part: str) -> set[str]:
    """The styles of the first place where a part stands."""
    at = text.plain.index(part)
    return {str(span.style) for span in text.spans if span.start <= at < span.end}


def test_before_anything_has_come():
    assert lines(rooms=("product:NIFTY",)) == ["waiting for data", "connected  Ctrl-C ends"]
    assert lines(rooms=("chain:NIFTY",))[0] == "chain:NIFTY  waiting"


def test_a_chain_has_calls_left_and_puts_right():
    shown = lines(chain(), rooms=("chain:NIFTY",), later_s=0.5)
    assert shown[0] == "NIFTY 2026-11-24  0.5 s  spot 26,010.00  forward 26,020.50  ATM IV 11.45%"
    heading = shown[1].split()
    middle = heading.index("strike")
    assert heading[:middle][::-1] == heading[middle + 1 :]
    assert heading[middle + 1 : middle + 4] == ["bid", "ask", "IV"]
    assert len(shown) == 24
    (money,) = [line for line in shown if "26,000" in line]
    assert money.split("26,000")[1].split()[:2] == ["-", "0.50"]
    assert shown.index(money) == 12


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 10, 24, 60])
def test_it_fits(width: int, height: int):
    rooms = ("chain:NIFTY", "chain:SPX", "general")
    events = [chain(), chain(room="chain:SPX", root="SPX"), price(1.0), status("stale", "feed_silent " * 20)]
    shown = lines(*events, rooms=rooms, width=width, height=height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width


def test_a_wide_terminal_shows_more_columns():
    narrow, wide = (lines(chain(), rooms=("chain:NIFTY",), width=width)[1].split() for width in (60, 160))
    assert set(narrow) < set(wide)
    assert "theta" in wide


@pytest.mark.parametrize("events", [(), (status("stale", "feed_silent"),)])
def test_stale_data_look_stale(events: tuple[Event, ...]):
    """By their age, or because the market's status says so."""
    late = 0.0 if events else 20.0
    text = drawn(chain(), price(1.0), *events, rooms=("chain:NIFTY", "product:NIFTY"), later_s=late)
    assert "dim" in styles(text, "25,900")
    fresh = drawn(chain(), price(1.0), rooms=("chain:NIFTY", "product:NIFTY"))
    assert "dim" not in styles(fresh, "25,900")
    assert ("feed_silent" in text.plain) is bool(events)


def test_a_lost_connection():
    text = drawn(chain(), Disconnected(room="", reason="closed with 4012"), rooms=("chain:NIFTY",), later_s=3)
    assert text.plain.split("\n")[-1] == "disconnected for 3.0 s: closed with 4012"
    assert "dim" in styles(text, "25,900")
    back = lines(chain(), Disconnected(room="", reason="x"), Reconnected(room=""), rooms=("chain:NIFTY",))
    assert back[-1].startswith("connected  data 0.0 s old")


def test_prices_up_and_down():
    text = drawn(
        price(1.0), price(2.0), price(9.0, product="SPY"), price(8.0, product="SPY"), rooms=("general",)
    )
    assert styles(text, "2.00") == {"bold green"}
    assert styles(text, "8.00") == {"bold red"}


def test_summaries_and_surfaces():
    summary = ChainSummary(room="general", stream="chain:NIFTY", seq=1, ts=NOW, head=HEAD)
    one = {
        "root": "NIFTY", "expiry": "2026-11-24", "forward": 1.0, "atm_iv": None, "avg_iv": 0.2,
        "strikes": [1.0, 2.0], "ivs": [None, 0.3],
    }  # fmt: skip
    surface = SurfaceUpdate(
        room="surface:NIFTY", stream="surface:NIFTY", seq=1, ts=NOW, product="NIFTY", slices=(one,)
    )
    shown = lines(summary, surface, rooms=("general", "surface:NIFTY"))
    assert "NIFTY  2026-11-24  26,020.50  11.45%    1.06    26,100    207.88" in shown
    assert "NIFTY    2026-11-24     1.00       -   20.00%  1 of 2" in shown


def test_what_has_expired_is_dropped():
    events = (chain(expiry="2026-11-17", expiry_ts=NOW + 1), chain(ts=NOW + 2))
    assert lines(*events, rooms=("chain:NIFTY",))[0].startswith("NIFTY 2026-11-24")


def test_trouble_of_a_room_is_told():
    gone = RoomRefused(room="chain:X", code="unknown_room", message="There is no X.", retryable=True)
    gap = Interrupted(room="product:NIFTY", stream="product:NIFTY", after=1, reason="epoch_changed")
    shown = lines(price(1.0), gone, gap, rooms=("product:NIFTY",), width=120)
    assert "chain:X: There is no X.  product:NIFTY: interrupted (epoch_changed)" in shown[-1]
