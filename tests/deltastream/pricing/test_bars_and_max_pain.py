"""The public ways to bars and max pain: any numbers in, the core's answers out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from deltastream import _core
from deltastream.pricing import MaxPain, max_pain, ohlc

STRIKES, CALL_OI, PUT_OI = [90, 100, 110, 120], [5, 5, 0, 0], [0, 0, 5, 5]


@pytest.mark.parametrize("kind", [list, tuple, np.array, np.float32, pd.Series, pl.Series])
def test_max_pain_of_any_columns(kind: Any) -> None:
    found = max_pain(kind(STRIKES), kind(CALL_OI), kind(PUT_OI), spot=105)
    assert found == MaxPain(low=100.0, high=110.0, point=105.0, pain=200.0)


def test_max_pain_without_spot_or_open_interest() -> None:
    assert max_pain(STRIKES, CALL_OI, PUT_OI).point == 100.0
    nothing = max_pain(STRIKES, [0] * 4, [math.nan] * 4, spot=100.0)
    assert all(math.isnan(value) for value in (nothing.low, nothing.high, nothing.point, nothing.pain))
    assert math.isnan(max_pain([], [], []).low)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (STRIKES, CALL_OI, PUT_OI[:2]),
            ValueError,
            r"put_oi has shape \(2,\), but strikes has shape \(4,\)",
        ),
        ((STRIKES[::-1], CALL_OI, PUT_OI), ValueError, "strike 1 is not above the one before it"),
        (([STRIKES], CALL_OI, PUT_OI), ValueError, r"strikes must have 1 dimension, but has shape \(1, 4\)"),
        ((STRIKES, 5.0, PUT_OI), ValueError, r"call_oi must have 1 dimension, but has shape \(\)"),
        ((STRIKES, CALL_OI, "abcd"), TypeError, "put_oi must hold real numbers, but its dtype is <U4"),
    ],
)
def test_max_pain_refusals(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        max_pain(*arguments)


TICKS = ([3, 1, 12], [0, 0, 0], [101.0, 100.0, 99.5])


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series])
def test_bars_of_any_columns(kind: Any) -> None:
    bars = ohlc(*map(kind, TICKS), interval_ns=10)
    assert isinstance(bars, _core.Bars)
    assert (bars.start.tolist(), bars.open.tolist(), bars.close.tolist()) == (
        [0, 10],
        [100.0, 99.5],
        [101.0, 99.5],
    )


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, ">i8"])
def test_times_of_other_integers(dtype: Any) -> None:
    ts, order, price = TICKS
    bars = ohlc(np.array(ts, dtype), np.array(order, dtype), price, 10)
    assert bars.first_ts.tolist() == [1, 12]


def test_nullable_integers() -> None:
    ts, order, price = TICKS
    assert ohlc(pd.Series(ts, dtype="Int64"), pd.Series(order, dtype="UInt8"), price, 10).start.tolist() == [
        0,
        10,
    ]
    with pytest.raises(ValueError, match="ts_ns has absent elements: "):
        ohlc(pd.Series([1, None, 2], dtype="Int64"), order, price, 10)


def test_columns_with_steps() -> None:
    ts, order, price = (np.repeat(column, 3)[::3] for column in TICKS)
    assert ohlc(ts, order, price, 10).close.tolist() == [101.0, 99.5]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([1.0], [0], [1.0]),
            TypeError,
            "ts_ns must hold integers that fit into int64, but its dtype is float64",
        ),
        ((np.ones(1, "u8"), [0], [1.0]), TypeError, "ts_ns must hold integers .* but its dtype is uint64"),
        ((np.ones(1, "M8[ns]"), [0], [1.0]), TypeError, r"ts_ns must hold .* its dtype is datetime64\[ns\]"),
        (
            ([1], [True], [1.0]),
            TypeError,
            "order must hold integers that fit into int64, but its dtype is bool",
        ),
        (([1], [0], ["1"]), TypeError, "price must hold real numbers, but its dtype is <U1"),
        (([1, 2], [0], [1.0, 1.0]), ValueError, r"order has shape \(1,\), but ts_ns has shape \(2,\)"),
        (([1], [0], [0.0]), ValueError, "price 0 is 0"),
        (([[1]], [0], [1.0]), ValueError, r"ts_ns must have 1 dimension, but has shape \(1, 1\)"),
    ],
)
def test_ohlc_refusals(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ohlc(*arguments, 10)


def test_no_ticks_make_no_bars() -> None:
    assert len(ohlc([], [], [], 10)) == 0
    assert len(ohlc(np.empty(0, np.int64), [], pd.Series([], dtype=float), 10)) == 0


def test_parts_merge_to_the_whole() -> None:
    ts, price = np.arange(100) * 7 % 101, 50.0 + np.arange(100) % 13
    whole = ohlc(ts, np.zeros(100, int), price, 20)
    parts = [ohlc(ts[i::3], np.zeros(len(ts[i::3]), int), price[i::3], 20) for i in range(3)]
    assert parts[2].merge(parts[0]).merge(parts[1]) == whole
