"""Hand-made chains whose numbers are known by construction."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from deltastream.messages import CHAIN_ROWS, ROW, OptionChain

DAY_NS = 86_400 * 1_000_000_000


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def black76(forward: float, strike: float, t: float, sigma: float, rate: float, call: bool) -> float:
    sd = sigma * math.sqrt(t)
    d1 = math.log(forward / strike) / sd + sd / 2
    d2 = d1 - sd
    sign = 1 if call else -1
    return math.exp(-rate * t) * sign * (forward * phi(sign * d1) - strike * phi(sign * d2))


@pytest.fixture(scope="session")
def make_chain():
    """Builds a chain of 11 strikes around 100 on a flat volatility, 30 days from expiry."""

    def build(*, sigma=0.2, forward=101.0, rate=0.05, days=30.0, half_spread=0.01, columns=None, **fields):
        ts = int(datetime(2026, 11, 2, 10, 0, tzinfo=UTC).timestamp()) * 1_000_000_000
        strikes = np.arange(90.0, 112.0, 2.0)
        table = np.full((CHAIN_ROWS, strikes.size), np.nan)
        table[0] = strikes
        for side, call in (("call", True), ("put", False)):
            mids = np.array([black76(forward, k, days / 365, sigma, rate, call) for k in strikes])
            table[ROW[f"{side}_bid"]] = mids - half_spread
            table[ROW[f"{side}_ask"]] = mids + half_spread
            table[ROW[f"{side}_last"]] = mids
            table[ROW[f"{side}_prev_close"]] = mids * 0.9
            table[ROW[f"{side}_oi"]] = np.arange(strikes.size) * 10.0 + (100 if call else 150)
            table[ROW[f"{side}_prev_oi"]] = table[ROW[f"{side}_oi"]] - 50.0
            table[ROW[f"{side}_volume"]] = 7.0
        for name, value in (columns or {}).items():
            table[ROW[name]] = value
        values = {
            "product": "TEST",
            "root": "TEST",
            "expiry": "2026-12-02",
            "expiry_ts": ts + int(days * DAY_NS),
            "ts_event": ts,
            "ts_recv": ts + 5,
            "spot": 100.5,
            "currency": "USD",
            "multiplier": 100.0,
            "lot": 1.0,
            "tick_size": 0.01,
            "exercise": "european",
            "settlement": "cash",
            "oi_unit": "contracts",
            "volume_unit": "contracts",
            "oi_cadence": "live",
        } | fields
        return OptionChain(columns=table, **values)

    return build
