"""Who speaks when: pace, sessions, load mode and determinism."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import trio

from deltastream.feeds.synthetic import SyntheticProvider, SyntheticSettings
from deltastream.messages import MarketStatus, OptionChain, UnderlyingTick, encode

# Golden: neither the processor nor a new version of a library may change the path of a seed.
PINNED = [
    ("NIFTY", 26172.0, None),
    ("SPY", 776.26, 43933.0),
    ("NIFTY", 26178.15, None),
    ("SPY", 776.1, 87814.0),
    ("NIFTY", 26179.9, None),
    ("SPY", 776.09, 22648.0),
]
EIGHT = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ")
START = dt.datetime(2026, 11, 19, 9, 31, tzinfo=dt.UTC)


def of(kind, heard):
    return [(at, message) for at, message in heard if isinstance(message, kind)]


def ns(*when):
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp()) * 10**9


def digest(heard):
    return hashlib.sha256(b"".join(encode(message) for _, message in heard)).hexdigest()


async def test_defaults_speak_of_eight_products(listen, autojump_clock):
    heard = await listen(START, 20.02)
    assert list(Counter(message.product for _, message in of(MarketStatus, heard))) == list(EIGHT)
    assert Counter(message.product for _, message in of(UnderlyingTick, heard)) == {
        symbol: 21 if symbol == "NIFTY" else 20 for symbol in EIGHT
    }
    per_series = Counter((message.product, message.expiry) for _, message in of(OptionChain, heard))
    assert len(per_series) == 31  # FINNIFTY lists three expiries
    assert set(per_series.values()) <= {4, 5}
    assert {status.reason for _, status in of(MarketStatus, heard)} == {"around_the_clock"}


async def test_the_first_chain_comes_at_once_and_the_others_spread(listen, autojump_clock):
    heard = of(OptionChain, await listen(START, 5.0))
    assert heard[0][0] == 0.0
    assert [message.product for _, message in heard[:8]] == list(EIGHT)
    instants = [at for at, _ in heard]
    gaps = [later - earlier for earlier, later in pairwise(instants)]
    assert min(gaps) > 0.15
    assert max(gaps) < 0.32  # a slot that FINNIFTY leaves empty
    first_round = {message.product: at for at, message in reversed(heard)}
    assert max(first_round.values()) < 1.3


async def test_stamps_are_the_clock_s_and_never_drift(listen, autojump_clock):
    heard = await listen(START, 300.0, products=("SPY",))
    base = int(START.timestamp()) * 10**9
    for at, message in heard:
        assert message.ts_event == message.ts_recv == base + round(at * 1e9)
    ticks = [at for at, _ in of(UnderlyingTick, heard)]
    assert ticks == pytest.approx(range(300), abs=1e-6)
    chains = [at for at, _ in of(OptionChain, heard)]
    assert chains == pytest.approx(np.arange(240) * 1.25, abs=1e-6)


async def test_settings_are_followed(listen, autojump_clock):
    settings = {"products": ("AAPL", "NIFTY"), "tick_interval_s": 0.5, "chain_interval_s": 2.0}
    heard = await listen(START, 10.0, **settings, expiries=2, strikes=15)
    assert {message.product for _, message in heard} == {"AAPL", "NIFTY"}
    assert len(of(UnderlyingTick, heard)) == 2 * 20
    assert len(of(OptionChain, heard)) == 2 * 2 * 5
    assert {chain.columns.shape for _, chain in of(OptionChain, heard)} == {(23, 15)}


async def test_load_mode_keeps_its_rate_evenly(listen, autojump_clock):
    seconds = 2.0
    heard = of(OptionChain, await listen(START, seconds, load_chains_per_s=640, strikes=60))
    assert len(heard) == pytest.approx(640 * seconds, abs=1)
    instants = np.array([at for at, _ in heard])
    assert np.diff(instants).min() > 0.9 / 640
    per_second = np.histogram(instants, bins=np.arange(0, seconds + 0.1, 0.1))[0]
    assert per_second.max() - per_second.min() <= 4
    per_series = Counter((chain.product, chain.expiry) for _, chain in heard)
    twice = per_series.pop(("FINNIFTY", "2026-11-23"))  # its fourth turn: it lists three expiries
    assert twice == 2 * max(per_series.values())
    assert max(per_series.values()) - min(per_series.values()) <= 1


async def test_load_mode_changes_the_quotes(listen, autojump_clock):
    heard = of(OptionChain, await listen(START, 1.0, load_chains_per_s=600, strikes=60))
    rows = ("call_bid", "call_ask", "put_bid", "put_ask")
    latest, shares = {}, []
    for _, chain in heard:
        series = (chain.product, chain.expiry)
        before = latest.get(series)
        if before is not None:
            old, new = (
                np.nan_to_num([one[row] for row in rows]).reshape(2, 2, -1) for one in (before, chain)
            )
            shares.append((old != new).any(axis=1).mean())
        latest[series] = chain
    assert len(shares) > 500
    assert np.mean(shares) > 0.5
    assert np.quantile(shares, 0.05) >= 0.3


async def test_a_slow_consumer_skips_and_is_not_flooded(seams_at, autojump_clock):
    provider = SyntheticProvider(SyntheticSettings(), seams_at(START))
    async with provider.stream() as messages:
        for _ in range(30):
            await anext(messages)
        await trio.sleep(60.0)
        before = trio.current_time()
        heard = []
        with trio.move_on_after(1.0):
            while True:
                heard.append(((await anext(messages)).message, trio.current_time()))
        heard = [(at, message) for message, at in heard]
    assert provider.skipped == pytest.approx(60 * (8 + 32 / 5), abs=20)
    assert len(heard) <= 8 + 32 / 5 + 3
    assert sum(at == before for at, _ in heard) <= 2
    assert len(of(UnderlyingTick, heard)) >= 7


async def test_a_hiccup_loses_nothing(seams_at, autojump_clock):
    provider = SyntheticProvider(SyntheticSettings(load_chains_per_s=640, products=("SPY",)), seams_at(START))
    chains = 0
    with trio.move_on_after(2.0):
        async with provider.stream() as messages:
            async for delivered in messages:
                if isinstance(delivered.message, OptionChain):
                    chains += 1
                    if chains % 100 == 0:
                        await trio.sleep(0.05)
    assert provider.skipped == 0
    assert chains >= 640 * 2 - 35


async def test_the_market_goes_on_where_a_stream_ended(seams_at, listen, autojump_clock):
    provider = SyntheticProvider(SyntheticSettings(products=("NIFTY",)), seams_at(START))
    first = of(UnderlyingTick, await listen(START, 100.0, provider))
    second = await listen(START, 10.0, provider)
    ticks = of(UnderlyingTick, second)
    assert abs(ticks[0][1].price / first[-1][1].price - 1) < 0.001
    assert ticks[0][1].ts_event > first[-1][1].ts_event
    chains = of(OptionChain, second)
    assert chains[0][0] == 0.0


async def test_statuses_are_told_anew_to_every_stream(seams_at, listen, autojump_clock):
    provider = SyntheticProvider(SyntheticSettings(products=("NIFTY",)), seams_at(START))
    for _ in range(2):
        heard = await listen(START, 3.0, provider)
        assert [message.status for _, message in of(MarketStatus, heard)] == ["open"]
        assert isinstance(heard[0][1], MarketStatus)


async def test_a_real_session_closes_and_opens(listen, autojump_clock):
    friday = dt.datetime(2026, 11, 20, 10, 9, 50, tzinfo=dt.UTC)  # 15:39:50 in Mumbai
    weekend = dt.datetime(2026, 11, 23, 3, 45, tzinfo=dt.UTC) - friday
    heard = await listen(friday, weekend.total_seconds() + 5, products=("NIFTY",), session="real")
    statuses = [message for _, message in of(MarketStatus, heard)]
    assert [(s.status, s.reason) for s in statuses] == [
        ("open", "in_session"),
        ("closed", "after_close"),
        ("open", "in_session"),
    ]
    assert [s.since for s in statuses] == [
        ns(2026, 11, 20, 3, 45),
        ns(2026, 11, 20, 10, 10),
        ns(2026, 11, 23, 3, 45),
    ]
    assert statuses[1].ts_event - statuses[1].since < 1.5e9
    assert statuses[2].ts_event == statuses[2].since
    close, opening = ns(2026, 11, 20, 10, 10), ns(2026, 11, 23, 3, 45)
    prices = [message for _, message in heard if not isinstance(message, MarketStatus)]
    assert not [message for message in prices if close <= message.ts_event < opening]
    ticks = [message for message in prices if isinstance(message, UnderlyingTick)]
    evening = [tick.price for tick in ticks if tick.ts_event < close]
    morning = [tick.price for tick in ticks if tick.ts_event >= opening]
    assert len(evening) == 10
    assert len(morning) == 5
    assert abs(morning[0] / evening[-1] - 1) < 1e-3  # no gap overnight
    chains = [message for message in prices if isinstance(message, OptionChain)]
    last, first = (
        next(chain for chain in found if chain.expiry == "2026-11-23")
        for found in (
            [chain for chain in reversed(chains) if chain.ts_event < close],
            [chain for chain in chains if chain.ts_event >= opening],
        )
    )
    assert first["call_volume"].sum() < 0.01 * last["call_volume"].sum()
    assert first.ts_event - opening < 1e9


async def test_the_nearest_expiry_ends_with_its_session(listen, autojump_clock):
    monday = dt.datetime(2026, 11, 23, 10, 9, 30, tzinfo=dt.UTC)
    heard = of(OptionChain, await listen(monday, 60.0, products=("NIFTY",), session="real"))
    assert heard[0][1].expiry == "2026-11-23"
    assert all(chain.ts_event < chain.expiry_ts for _, chain in heard)
    assert all(chain.ts_event < ns(2026, 11, 23, 10, 10) for _, chain in heard)


@pytest.mark.parametrize(
    ("start", "reason", "since"),
    [
        (dt.datetime(2026, 11, 21, 6, 0, tzinfo=dt.UTC), "weekend", ns(2026, 11, 20, 10, 10)),
        (dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC), "holiday", ns(2026, 11, 23, 10, 10)),
        (dt.datetime(2026, 11, 25, 1, 0, tzinfo=dt.UTC), "before_open", ns(2026, 11, 23, 10, 10)),
        (dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC), "after_close", ns(2026, 11, 25, 10, 10)),
    ],
)
async def test_a_closed_market_says_why_and_since_when(listen, autojump_clock, start, reason, since):
    heard = await listen(start, 30.0, products=("NIFTY", "SENSEX"), session="real")
    assert [(m.product, m.status, m.reason, m.since) for _, m in heard] == [
        ("NIFTY", "closed", reason, since),
        ("SENSEX", "closed", reason, since),
    ]


async def test_one_market_trades_while_another_is_closed(listen, autojump_clock):
    start = dt.datetime(2026, 11, 20, 14, 29, 50, tzinfo=dt.UTC)  # New York opens at 14:30
    heard = await listen(start, 20.0, products=("NIFTY", "SPY"), session="real")
    assert [(m.product, m.status, m.reason) for _, m in of(MarketStatus, heard)] == [
        ("NIFTY", "closed", "after_close"),
        ("SPY", "closed", "before_open"),
        ("SPY", "open", "in_session"),
    ]
    assert {message.product for _, message in of(UnderlyingTick, heard)} == {"SPY"}
    assert len(of(UnderlyingTick, heard)) == 10


async def test_early_close_before_christmas(listen, autojump_clock):
    start = dt.datetime(2026, 12, 24, 17, 59, 55, tzinfo=dt.UTC)  # 12:59:55 in New York
    heard = await listen(start, 10.0, products=("SPY",), session="real")
    closed = [m for _, m in of(MarketStatus, heard) if m.status == "closed"]
    assert [m.since for m in closed] == [ns(2026, 12, 24, 18, 0)]


async def test_same_seed_same_bytes(listen, autojump_clock):
    first = await listen(START, 12.0)
    assert digest(first) == digest(await listen(START, 12.0))
    assert digest(first) != digest(await listen(START, 12.0, seed=1))
    assert digest(first) != digest(await listen(START + dt.timedelta(seconds=1), 12.0))


SCRIPT = """
import datetime, hashlib, random, trio
from deltastream.feeds.synthetic import SyntheticProvider, SyntheticSettings
from deltastream.messages import encode
from deltastream.seams import InlineThreads, Seams
from trio.testing import MockClock

class Clock:
    def now_ns(self):
        return {start} + round(trio.current_time() * 1e9)

async def main():
    seams = Seams(clock=Clock(), rng=random.Random(0), ids=None, threads=InlineThreads())
    digest = hashlib.sha256()
    with trio.move_on_after(12.0):
        async with SyntheticProvider(SyntheticSettings(), seams).stream() as messages:
            async for delivered in messages:
                digest.update(encode(delivered.message))
    print(digest.hexdigest())

trio.run(main, clock=MockClock(autojump_threshold=0))
"""


async def test_same_bytes_in_another_process(listen, autojump_clock):
    script = SCRIPT.format(start=int(START.timestamp()) * 10**9)
    result = subprocess.run(  # noqa: ASYNC221 - virtual time stands still meanwhile
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == digest(await listen(START, 12.0))


async def test_the_path_is_pinned(listen, autojump_clock):
    heard = of(UnderlyingTick, await listen(START, 180.0, products=("NIFTY", "SPY"), tick_interval_s=60.0))
    prices = [(message.product, message.price, message.volume) for _, message in heard]
    assert prices == PINNED


@pytest.mark.parametrize(
    "settings",
    [
        {"products": ["NIFTY", "GOLD"]},
        {"products": []},
        {"products": ["SPY", "SPY"]},
        {"seed": -1},
        {"tick_interval_s": 0},
        {"chain_interval_s": -1},
        {"strikes": 0},
        {"expiries": 0},
        {"session": "sometimes"},
        {"load_chains_per_s": 0},
        {"speed": 3},
    ],
)
def test_settings_are_checked(settings):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, SyntheticSettings)
