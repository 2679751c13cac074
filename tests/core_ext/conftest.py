"""Fixtures of the core's tests: golden tables and realistic chains."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltastream import _core

ROWS = {
    "bid": 1,
    "bid_size": 2,
    "ask": 3,
    "ask_size": 4,
    "last": 5,
    "volume": 6,
    "oi": 7,
    "prev_close": 8,
    "prev_oi": 9,
}


@pytest.fixture(scope="session")
def golden_black() -> dict[str, np.ndarray]:
    """Columns of ``golden/black.csv``."""
    path = Path(__file__).parent / "golden" / "black.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.fixture
def parameters() -> dict[str, float]:
    """Keyword arguments of a sweep of `chain`."""
    return {
        "spot": 24512.3,
        "future": float("nan"),
        "t": 7 / 365,
        "rate": 0.065,
        "tick_size": 0.05,
        "lot": 75.0,
    }


@pytest.fixture
def chain(parameters: dict[str, float]) -> Callable[..., np.ndarray]:
    """Builds a quoted chain with a smile around the spot: ``chain(n=21, seed=0)``."""

    def build(n: int = 21, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        strikes = 24500.0 + 50.0 * (np.arange(n) - n // 2)
        smile = 0.12 + 0.6 * (strikes / parameters["spot"] - 1) ** 2
        sides = _core.black76_price(24537.0, strikes, parameters["t"], smile, parameters["rate"])
        columns = np.full((23, n), np.nan)
        columns[0] = strikes
        for offset, price in zip((0, 11), sides, strict=True):
            bid = np.maximum(np.floor(price / 0.05) * 0.05, 0.05)
            values: dict[str, Any] = {
                "bid": bid,
                "bid_size": 75.0,
                "ask": bid + 0.05 * rng.integers(1, 20, n),
                "ask_size": 150.0,
                "last": bid + 0.05,
                "volume": 75.0 * rng.integers(0, 1000, n),
                "oi": 75.0 * rng.integers(0, 5000, n),
                "prev_close": bid + 0.05 * rng.integers(-40, 40, n),
                "prev_oi": 75.0 * rng.integers(0, 5000, n),
            }
            for name, value in values.items():
                columns[offset + ROWS[name]] = value
        return columns

    return build
