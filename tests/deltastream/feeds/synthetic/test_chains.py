"""What the synthetic chains promise."""

from __future__ import annotations

import datetime as dt
import itertools
import math

import numpy as np
import pytest

from deltastream.analytics.enrich import enrich
from deltastream.analytics.settings import AnalyticsSettings
from deltastream.feeds.synthetic import SyntheticSettings
from deltastream.feeds.synthetic._product import ProductMarket
from deltastream.feeds.synthetic._profiles import PROFILES
from deltastream.feeds.synthetic._series import YEAR_NS, State
from deltastream.market import listed_expiries, strike_step, terms
from deltastream.messages import decode, encode

SECOND = 10**9
START = int(dt.datetime(2026, 11, 19, 9, 31, tzinfo=dt.UTC).timestamp()) * SECOND
SIDES = ("call", "put")
EVERY = sorted(PROFILES)


def market(symbol, start=START, **settings):
    return ProductMarket(symbol, SyntheticSettings(**settings), start, {})


def chains_of(this, ts=START):
    return [chain for slot in range(4) if (chain := this.chain(slot, ts)) is not None]


def utc(*when):
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp()) * SECOND


@pytest.mark.parametrize("symbol", EVERY)
def test_quotes_are_sane(symbol):
    this = market(symbol)
    for n in range(40):
        slot = n % 3
        chain = this.chain(slot, START + n * SECOND)
        strikes = chain.strikes
        assert len(strikes) == 41
        assert (np.diff(strikes) > 0).all()
        mids = this._series[slot].mids(strikes, this._state(), chain.ts_event)
        for mid, side in zip(mids, SIDES, strict=True):
            bid, ask = chain[f"{side}_bid"], chain[f"{side}_ask"]
            quoted = ~np.isnan(bid)
            assert (bid[quoted] > 0).all()
            assert (ask > 0).all()
            assert (bid[quoted] < ask[quoted]).all()
            assert (bid[quoted] <= mid[quoted]).all()
            assert (mid <= ask).all()
            assert (mid[~quoted] < 8 * chain.tick_size).all()
            assert (np.isnan(chain[f"{side}_bid_size"]) == ~quoted).all()
            assert (chain[f"{side}_bid_size"][quoted] >= 1).all()
            assert (chain[f"{side}_ask_size"] >= 1).all()
            assert np.isnan(chain[f"{side}_vendor_iv"]).all()
            last = chain[f"{side}_last"]
            traded = chain[f"{side}_volume"] > 0
            assert (traded == ~np.isnan(last)).all()
            assert (last[traded] > 0).all()
            assert (chain[f"{side}_last_trade_us"][traded] * 1000 <= chain.ts_event).all()


@pytest.mark.parametrize("symbol", EVERY)
def test_prices_lie_on_the_tick_of_their_level(symbol):
    chain = market(symbol).chain(1, START)
    steps = terms(chain.root, dt.date.fromisoformat(chain.expiry)).tick_steps
    checked = 0
    for side in SIDES:
        for column in ("bid", "ask", "last", "prev_close"):
            for price in chain[f"{side}_{column}"].tolist():
                if math.isnan(price):
                    continue
                tick = next(step for level, step in reversed(steps) if price >= level)
                assert price == pytest.approx(round(price / tick) * tick, rel=1e-12)
                assert price == float(f"{price:.2f}")
                checked += 1
    assert checked > 200


@pytest.mark.parametrize("symbol", EVERY)
def test_mids_admit_no_arbitrage(symbol):
    this = market(symbol)
    chains = chains_of(this)
    profile, state = PROFILES[symbol], this._state()
    scaled = []
    for series, chain in zip(this._series, chains, strict=True):
        strikes = chain.strikes.copy()
        calls, puts = series.mids(strikes, state, START)
        t = (chain.expiry_ts - START) / YEAR_NS
        discount, forward = math.exp(-profile.rate * t), state.price * (1 + profile.carry * t)
        assert calls - puts == pytest.approx(discount * (forward - strikes), abs=1e-7 * forward)
        slopes = np.diff(calls) / np.diff(strikes)
        assert (slopes <= 1e-12).all()
        assert (slopes >= -discount - 1e-12).all()
        assert (np.diff(slopes) >= -1e-10).all()
        moneyness = np.linspace(0.97, 1.03, 25)
        calls, _ = series.mids(moneyness * forward, state, START)
        scaled.append(calls / (discount * forward))
    for near, far in itertools.pairwise(scaled):
        assert (far >= near - 1e-12).all()


@pytest.mark.parametrize("symbol", EVERY)
def test_parity_holds_within_the_quotes(symbol):
    for chain in chains_of(market(symbol)):
        discount = math.exp(-PROFILES[symbol].rate * (chain.expiry_ts - START) / YEAR_NS)
        bids = {side: np.nan_to_num(chain[f"{side}_bid"]) for side in SIDES}
        low = (bids["call"] - chain["put_ask"]) / discount + chain.strikes
        high = (chain["call_ask"] - bids["put"]) / discount + chain.strikes
        assert low.max() <= high.min() + 1e-9
        assert low.max() == pytest.approx(chain.spot, rel=0.03)


@pytest.mark.parametrize("symbol", ["NIFTY", "FINNIFTY", "AAPL", "SPY"])
def test_relative_spreads_grow_out_of_the_money(symbol):
    this = market(symbol)
    chain = this.chain(1, START)
    quoted = ~np.isnan(chain["call_bid"]) & (chain.strikes >= chain.spot)
    bid, ask = chain["call_bid"][quoted], chain["call_ask"][quoted]
    relative = (ask - bid) / (ask + bid)
    third = len(relative) // 3
    assert relative[:third].mean() < relative[-third:].mean()


def test_spreads_are_tighter_where_more_trades():
    def at_the_money(symbol):
        chain = market(symbol).chain(0, START)
        middle = np.argsort(abs(chain.strikes - chain.spot))[:7]
        bid, ask = chain["call_bid"][middle], chain["call_ask"][middle]
        return np.mean((ask - bid) / (ask + bid)), chain["call_volume"][middle].sum()

    busy, quiet = at_the_money("NIFTY"), at_the_money("FINNIFTY")
    assert busy[0] < quiet[0]
    assert busy[1] > quiet[1]


@pytest.mark.parametrize("symbol", ["NIFTY", "FINNIFTY", "SENSEX"])
def test_volume_and_open_interest_obey_each_other(symbol):
    this = market(symbol)
    before = this.chain(0, START)
    refreshed = before
    refreshes = 0
    for n in range(1, 400):
        chain = this.chain(0, START + n * 5 * SECOND)
        assert (chain.strikes == before.strikes).all()
        for side in SIDES:
            volume, oi = chain[f"{side}_volume"], chain[f"{side}_oi"]
            assert (volume >= before[f"{side}_volume"]).all()
            assert (volume % 1 == 0).all()
            assert (oi >= 0).all()
            assert (oi % 1 == 0).all()
            assert (chain[f"{side}_prev_oi"] == before[f"{side}_prev_oi"]).all()
            assert (abs(oi - chain[f"{side}_prev_oi"]) <= volume).all()
            if chain.oi_as_of == before.oi_as_of:
                assert (oi == before[f"{side}_oi"]).all()
            else:
                change = abs(oi - refreshed[f"{side}_oi"])
                assert (change <= volume - refreshed[f"{side}_volume"]).all()
                assert change.max() > 0
        if chain.oi_as_of != before.oi_as_of:
            assert chain.oi_as_of % (180 * SECOND) == 0
            refreshed, refreshes = chain, refreshes + 1
        before = chain
    assert refreshes == 11
    assert (before["call_volume"] > 0).any()


def test_a_session_has_a_history_from_the_first_chain_on():
    chain = market("NIFTY").chain(0, START)
    for side in SIDES:
        assert (chain[f"{side}_volume"] > 0).all()
        assert (chain[f"{side}_oi"] != chain[f"{side}_prev_oi"]).mean() > 0.9
        assert not np.isnan(chain[f"{side}_prev_close"]).any()
    assert abs(chain["call_last"] - chain["call_prev_close"]).max() > chain.tick_size


def test_a_new_session_settles_the_last_one():
    this = market("NIFTY")
    evening = utc(2026, 11, 19, 18, 29, 59)
    before = this.chain(0, evening)
    after = this.chain(0, evening + 2 * SECOND)  # midnight in Mumbai between
    assert (before.strikes == after.strikes).all()
    for side in SIDES:
        assert (after[f"{side}_volume"] < before[f"{side}_volume"]).all()
        assert (after[f"{side}_prev_close"] >= np.nan_to_num(before[f"{side}_bid"]) - 2).all()
        assert (after[f"{side}_prev_close"] <= before[f"{side}_ask"] + 2).all()
        change = abs(after[f"{side}_prev_oi"] - before[f"{side}_prev_oi"])
        assert (change <= before[f"{side}_volume"] + after[f"{side}_volume"]).all()
        assert (abs(after[f"{side}_oi"] - after[f"{side}_prev_oi"]) <= after[f"{side}_volume"]).all()
    assert after.oi_as_of == utc(2026, 11, 19, 18, 30, 0)


def test_us_open_interest_changes_once_a_day():
    this = market("SPY")
    first = this.chain(2, START)
    evening = utc(2026, 11, 20, 4, 59, 59)
    before = this.chain(1, evening)  # one expiry has passed
    after = this.chain(1, evening + 2 * SECOND)  # and midnight in New York
    assert first.expiry == before.expiry == after.expiry
    assert first.oi_cadence == "daily"
    assert first.oi_as_of == before.oi_as_of == utc(2026, 11, 19, 5, 0, 0)
    assert after.oi_as_of == utc(2026, 11, 20, 5, 0, 0)
    shared = np.intersect1d(before.strikes, after.strikes)
    rows = [np.searchsorted(chain.strikes, shared) for chain in (before, after)]
    for side in SIDES:
        old, new = before[f"{side}_oi"][rows[0]], after[f"{side}_oi"][rows[1]]
        assert (after[f"{side}_prev_oi"][rows[1]] == old).all()
        assert (abs(new - old) <= before[f"{side}_volume"][rows[0]]).all()
        assert (new != old).any()


@pytest.mark.parametrize("symbol", EVERY)
def test_terms_come_from_the_tables(symbol):
    for slot, chain in enumerate(chains_of(market(symbol))):
        expiry = dt.date.fromisoformat(chain.expiry)
        facts = terms(symbol, expiry, on=dt.date(2026, 11, 19))
        assert expiry == listed_expiries(symbol, dt.date(2026, 11, 19))[slot]
        assert (chain.multiplier, chain.tick_size) == (facts.multiplier, facts.tick_size)
        assert (chain.exercise, chain.settlement) == (facts.exercise, facts.settlement)
        assert (chain.currency, chain.oi_cadence) == (facts.currency, facts.oi_cadence)
        step = strike_step(symbol, expiry, on=dt.date(2026, 11, 19))
        assert (np.diff(chain.strikes) == step).all()
        assert (chain.strikes % step == 0).all()
        assert (chain.oi_unit, chain.volume_unit, chain.lot) == ("contracts", "contracts", 1.0)
        assert chain.ts_event == chain.ts_recv == START < chain.expiry_ts


def test_lots_of_today():
    lots = {symbol: market(symbol).chain(0, START).multiplier for symbol in EVERY}
    assert lots == {
        "NIFTY": 65,
        "BANKNIFTY": 30,
        "FINNIFTY": 60,
        "SENSEX": 20,
        **dict.fromkeys(("AAPL", "TSLA", "SPY", "QQQ"), 100),
    }


def test_weekly_options_only_where_they_exist():
    for symbol in ("BANKNIFTY", "FINNIFTY"):
        this = market(symbol)
        months = [this.chain(slot, START).expiry[:7] for slot in range(3)]
        assert len(set(months)) == 3
    for symbol in ("NIFTY", "SENSEX"):
        this = market(symbol)
        expiries = [dt.date.fromisoformat(this.chain(slot, START).expiry) for slot in range(4)]
        assert (expiries[-1] - expiries[0]).days < 30


def test_fewer_expiries_than_asked_for_are_all_there_are():
    this = market("FINNIFTY", expiries=12)
    assert this.chain(2, START) is not None
    assert this.chain(3, START) is None


def test_an_expiry_leaves_at_its_instant():
    instant = utc(2026, 11, 23, 10, 10)  # 15:40 in Mumbai
    this = market("NIFTY", start=instant - 60 * SECOND)
    last = this.chain(0, instant - 1)
    following = this.chain(0, instant)
    assert (last.expiry, last.expiry_ts) == ("2026-11-23", instant)
    assert following.expiry == "2026-12-01"
    assert this.chain(3, instant).expiry == "2026-12-22"
    assert np.isfinite(last["call_ask"]).all()
    assert np.isfinite(last["put_ask"]).all()


def test_the_ladder_follows_the_price_and_remembers():
    this = market("NIFTY")
    before = this.chain(0, START)
    this._underlying.price *= 1.02
    moved = this.chain(0, START + SECOND)
    assert len(moved.strikes) == len(before.strikes)
    assert abs(moved.strikes[20] - moved.spot) <= 100
    assert (np.diff(moved.strikes) == 50).all()
    assert moved.strikes[0] > before.strikes[0]
    this._underlying.price /= 1.06
    assert this.chain(0, START + 2 * SECOND).strikes[0] < before.strikes[0]
    this._underlying.price *= 1.06 / 1.02
    back = this.chain(0, START + 3 * SECOND)
    shared = np.intersect1d(before.strikes, back.strikes)
    assert len(shared) > 25
    rows = [np.searchsorted(chain.strikes, shared) for chain in (before, back)]
    for side in SIDES:
        assert (back[f"{side}_volume"][rows[1]] >= before[f"{side}_volume"][rows[0]]).all()
        assert (back[f"{side}_prev_oi"][rows[1]] == before[f"{side}_prev_oi"][rows[0]]).all()
        assert (back[f"{side}_prev_close"][rows[1]] == before[f"{side}_prev_close"][rows[0]]).all()


def test_the_ladder_does_not_move_with_every_tick():
    this = market("NIFTY")
    ladders = {tuple(this.chain(0, START + n * SECOND).strikes) for n in range(300)}
    assert len(ladders) <= 2


def test_a_ladder_wider_than_the_price_begins_at_the_first_strike():
    chain = market("AAPL", strikes=400).chain(0, START)
    assert chain.strikes[0] == 2.5
    assert len(chain.strikes) == 400
    assert not np.isnan(chain["call_ask"]).any()


def test_a_long_pause_is_survived():
    this = market("SPY")
    this.chain(0, START)
    later = START + 40 * 86_400 * SECOND
    chain = this.chain(0, later)
    assert chain.expiry_ts > later
    assert np.isfinite(chain["call_ask"]).all()
    assert (chain["call_oi"] >= 0).all()


def test_a_clock_that_goes_back_finds_time_standing_still():
    this = market("NIFTY")
    tick, chain = this.tick(START + SECOND), this.chain(0, START + SECOND)
    again, older = this.tick(START), this.chain(0, START - 3 * SECOND)
    assert (again.ts_event, older.ts_event) == (tick.ts_event, chain.ts_event)
    assert again.price == tick.price
    assert (older["call_volume"] >= chain["call_volume"]).all()


@pytest.mark.parametrize("symbol", EVERY)
@pytest.mark.parametrize("interval", [SECOND // 20, 5 * SECOND])
def test_quotes_differ_from_chain_to_chain(symbol, interval):
    this = market(symbol, strikes=60)
    before = this.chain(0, START)
    columns = ("bid", "bid_size", "ask", "ask_size")
    prices, changed = [], []
    for n in range(1, 30):
        chain = this.chain(0, START + n * interval)
        for kept, names in ((prices, ("bid", "ask")), (changed, columns)):
            for side in SIDES:
                pairs = [(before[f"{side}_{name}"], chain[f"{side}_{name}"]) for name in names]
                kept.append(np.any([np.nan_to_num(a) != np.nan_to_num(b) for a, b in pairs], axis=0).mean())
        before = chain
    assert min(np.mean(pair) for pair in zip(changed[::2], changed[1::2], strict=True)) >= 0.3
    assert np.mean(prices) >= 0.3


def test_chains_do_not_share_memory():
    this = market("NIFTY")
    first = this.chain(0, START)
    kept = first.columns.copy()
    this.chain(0, START + SECOND)
    assert np.array_equal(first.columns, kept, equal_nan=True)
    assert first.columns.flags.c_contiguous
    assert decode(encode(first)).expiry_ts == first.expiry_ts


def test_states_of_the_market_price_alike():
    this = market("NIFTY")
    chain = this.chain(0, START)
    here = this._state()
    low, high = (
        this._series[0].mids(chain.strikes, State(here.price * x, here.level), START) for x in (0.99, 1.01)
    )
    assert (high[0] > low[0]).all()
    assert (high[1] < low[1]).all()


@pytest.mark.parametrize("symbol", EVERY)
def test_the_core_recovers_forward_and_volatility(symbol):
    this = market(symbol)
    profile, state = PROFILES[symbol], this._state()
    for chain in chains_of(this):
        enriched = enrich(chain, AnalyticsSettings(), ts_recv=START)
        forward = state.price * (1 + profile.carry * enriched.t)
        assert enriched.forward_source == "parity"
        assert enriched.forward == pytest.approx(forward, rel=1e-4)
        theta = profile.smile.theta(enriched.t, state.level)
        assert enriched.atm_iv == pytest.approx(math.sqrt(theta / enriched.t), rel=0.02)
        assert enriched.max_pain_strike == pytest.approx(chain.spot, rel=0.03)
        assert 0.4 < enriched.pcr_oi < 2.5


@pytest.mark.parametrize("day", [dt.date(2026, 11, 25), dt.date(2026, 11, 27)])  # the second closes early
def test_volatility_in_real_sessions_is_per_trading_year(day):
    opens = utc(day.year, day.month, day.day, 14, 30)
    this = market("SPY", start=opens, session="real")
    prices = []
    for n in range(1, 10_001):
        this._advance(opens + n * SECOND)
        prices.append(this._underlying.price)
    realised = np.diff(np.log(prices)).std() * math.sqrt(252 * 6.5 * 3600)
    assert realised == pytest.approx(PROFILES["SPY"].vol, rel=0.04)
