"""Bars against a plain model, in any order, with repeats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream import _core

COLUMNS = (
    "start",
    "open",
    "high",
    "low",
    "close",
    "count",
    "first_ts",
    "first_order",
    "last_ts",
    "last_order",
)
INT64_MIN = -(2**63)
Tick = tuple[int, int, float]

ticks = st.dictionaries(
    st.tuples(st.integers(-(10**12), 10**12) | st.integers(0, 50), st.integers(-3, 3)),
    st.floats(0.05, 1e6),
    max_size=40,
).map(lambda by_key: [(ts, order, price) for (ts, order), price in by_key.items()])


def ohlc(rows: list[Tick], interval: int) -> list[tuple]:
    bars = _core.ohlc(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
        interval,
    )
    result = list(zip(*(getattr(bars, name).tolist() for name in COLUMNS), strict=True))
    assert len(bars) == len(result)
    return result


def model(rows: list[Tick], interval: int) -> list[tuple]:
    groups: dict[int, list[Tick]] = {}
    for row in sorted(set(rows)):
        groups.setdefault(row[0] // interval * interval, []).append(row)
    return [
        (
            start,
            group[0][2],
            max(row[2] for row in group),
            min(row[2] for row in group),
            group[-1][2],
            len(group),
            *group[0][:2],
            *group[-1][:2],
        )
        for start, group in sorted(groups.items())
    ]


@given(ticks, st.sampled_from([1, 7, 10, 60_000_000_000]), st.randoms(use_true_random=False))
def test_equals_the_model_in_any_order_with_repeats(rows, interval, random) -> None:
    expected = model(rows, interval)
    repeated = rows + random.sample(rows, len(rows) // 2)
    random.shuffle(repeated)
    assert ohlc(repeated, interval) == expected


def test_dtypes_and_emptiness() -> None:
    bars = _core.ohlc(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 60)
    assert len(bars) == 0
    dtypes = {name: getattr(bars, name).dtype for name in COLUMNS}
    assert {name for name, dtype in dtypes.items() if dtype == np.float64} == {"open", "high", "low", "close"}
    assert all(dtype in (np.float64, np.int64) for dtype in dtypes.values())


@pytest.mark.parametrize("price", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_bad_price_is_named(price: float) -> None:
    with pytest.raises(ValueError, match="price 2 is "):
        ohlc([(1, 0, 5.0), (2, 0, 5.0), (3, 0, price)], 10)


def test_a_contradiction_is_named() -> None:
    with pytest.raises(ValueError, match="tick 1 repeats the time and order"):
        ohlc([(1, 0, 5.0), (1, 0, 6.0)], 10)


@pytest.mark.parametrize("interval", [0, -60])
def test_a_bad_interval(interval: int) -> None:
    with pytest.raises(ValueError, match=f"interval_ns must be positive, but is {interval}"):
        ohlc([(1, 0, 5.0)], interval)


def test_ends_of_time() -> None:
    assert ohlc([(2**63 - 1, 0, 5.0)], 2)[0][0] == 2**63 - 2
    assert ohlc([(INT64_MIN, 0, 5.0)], 2)[0][0] == INT64_MIN
    with pytest.raises(ValueError, match="tick 0 would begin before"):
        ohlc([(INT64_MIN, 0, 5.0)], 7)
