"""The price paths are properly scaled geometric Brownian motion."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from deltastream.feeds.synthetic._profiles import PROFILES
from deltastream.feeds.synthetic._underlying import Factor, Underlying

YEAR_S = 365 * 86_400.0
SECOND = 10**9


def make(symbol, factor=None, seed=3):
    factor = factor or Factor(random.Random(f"{seed}/factor"), YEAR_S, 0)
    return Underlying(PROFILES[symbol], random.Random(f"{seed}/{symbol}"), factor, year_s=YEAR_S, opened=0)


def path(underlying, instants):
    prices = [underlying.price]
    for now in instants:
        underlying.advance(now)
        prices.append(underlying.price)
    return np.array(prices)


@pytest.mark.parametrize("symbol", ["NIFTY", "SENSEX", "TSLA", "SPY"])
@pytest.mark.parametrize("step", [SECOND // 75, SECOND, 60 * SECOND])
def test_realised_volatility_is_the_configured_one_at_any_step(symbol, step):
    n = 20_000
    returns = np.diff(np.log(path(make(symbol), range(step, (n + 1) * step, step))))
    realised = math.sqrt(returns.var() / (step / 1e9 / YEAR_S))
    assert realised == pytest.approx(PROFILES[symbol].vol, rel=4 / math.sqrt(2 * n))


def test_uneven_steps_add_up():
    rng = random.Random(9)
    instants = np.cumsum([rng.randrange(SECOND // 100, 5 * SECOND) for _ in range(20_000)])
    prices = path(make("SPY"), instants.tolist())
    realised = math.sqrt((np.diff(np.log(prices)) ** 2).sum() / (instants[-1] / 1e9 / YEAR_S))
    assert realised == pytest.approx(PROFILES["SPY"].vol, rel=0.03)


def test_the_price_has_no_drift_and_stays_positive():
    ends = []
    for seed in range(200):
        prices = path(make("TSLA", seed=seed), [n * 86_400 * SECOND for n in range(1, 60)])
        assert (prices > 0).all()
        ends.append(prices[-1] / prices[0])
    spread = PROFILES["TSLA"].vol * math.sqrt(59 / 365)
    assert abs(np.mean(ends) - 1) < 4 * spread / math.sqrt(200)


def test_products_of_one_country_move_together():
    factor = Factor(random.Random("f"), YEAR_S, 0)
    one, other, bank = (make(symbol, factor) for symbol in ("NIFTY", "SENSEX", "BANKNIFTY"))
    prices = {"one": [], "other": [], "bank": []}
    for n in range(1, 8000):
        one.advance(n * SECOND - SECOND // 2)
        other.advance(n * SECOND)
        bank.advance(n * SECOND)
        for name, underlying in (("one", one), ("other", other), ("bank", bank)):
            prices[name].append(underlying.price)
    returns = {name: np.diff(np.log(values[::20])) for name, values in prices.items()}
    both = PROFILES["SENSEX"].beta * PROFILES["BANKNIFTY"].beta
    assert np.corrcoef(returns["other"], returns["bank"])[0, 1] == pytest.approx(both, abs=0.06)
    assert np.corrcoef(returns["one"], returns["other"])[0, 1] > 0.85


def test_no_time_passes_between_sessions():
    underlying = make("NIFTY")
    underlying.advance(3600 * SECOND)
    price, level = underlying.price, underlying.level
    underlying.begin_session(90_000 * SECOND)
    underlying.advance(90_000 * SECOND)
    assert (underlying.price, underlying.level) == (price, level)
    assert (underlying.session_price, underlying.session_level) == (price, level)
    underlying.advance(90_001 * SECOND)
    assert 0 < abs(underlying.price / price - 1) < 1e-3


def test_time_never_goes_back():
    underlying = make("NIFTY")
    underlying.advance(10 * SECOND)
    price = underlying.price
    underlying.advance(5 * SECOND)
    assert (underlying.price, underlying.at) == (price, 10 * SECOND)


def test_the_level_moves_against_an_index_and_stays_in_bounds():
    underlying = make("SPY")
    prices, levels = [], []
    for n in range(1, 4000):
        underlying.advance(n * 300 * SECOND)
        prices.append(underlying.price)
        levels.append(underlying.level)
    assert 0.5 <= min(levels) < max(levels) <= 2.0
    assert np.corrcoef(np.diff(prices), np.diff(levels))[0, 1] < -0.5


def test_published_prices_lie_on_the_tick():
    for symbol, profile in PROFILES.items():
        underlying = make(symbol)
        for n in range(1, 50):
            underlying.advance(n * SECOND)
            published = underlying.published()
            assert abs(published - underlying.price) <= 0.5 / profile.per_unit + 1e-9
            assert published == round(published * profile.per_unit) / profile.per_unit


def test_only_what_has_shares_has_a_volume():
    assert make("NIFTY").traded(1.0, 86_400.0) is None
    spy = make("SPY")
    traded = [spy.traded(1.0, 86_400.0) for _ in range(5000)]
    assert all(volume >= 0 and volume == int(volume) for volume in traded)
    assert np.mean(traded) == pytest.approx(PROFILES["SPY"].shares / 86_400, rel=0.05)
