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


def bars_of(rows: list[Tick], interval: int) -> _core.Bars:
    return _core.ohlc(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
        interval,
    )


def ohlc(rows: list[Tick], interval: int) -> list[tuple]:
    bars = bars_of(rows, interval)
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


@given(ticks, st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_merged_parts_equal_the_whole_in_any_order(rows, places) -> None:
    parts: list[list[Tick]] = [[], [], []]
    for row, place in zip(rows, places, strict=False):
        parts[place].append(row)
    a, b, c = (bars_of(part, 10) for part in parts)
    whole = bars_of(rows, 10)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == whole
    assert c.merge(b).merge(a) == b.merge(a.merge(c)) == whole


def test_merging_with_nothing_changes_nothing() -> None:
    bars, nothing = bars_of([(3, 0, 5.0), (14, 0, 6.0)], 10), bars_of([], 10)
    assert bars.merge(nothing) == nothing.merge(bars) == bars
    assert nothing.merge(nothing) == nothing
    assert bars != nothing


def test_a_late_part_takes_its_place() -> None:
    early, late = (
        bars_of([(3, 0, 5.0), (7, 0, 9.0), (31, 0, 2.0)], 10),
        bars_of([(1, 0, 4.0), (22, 0, 3.0)], 10),
    )
    merged = early.merge(late)
    assert merged.start.tolist() == [0, 20, 30]
    assert merged.open.tolist() == [4.0, 3.0, 2.0]
    assert merged.close.tolist() == [9.0, 3.0, 2.0]
    assert merged.count.tolist() == [3, 1, 1]
    assert (early.count.tolist(), late.count.tolist()) == ([2, 1], [1, 1])


def test_merges_that_are_refused() -> None:
    bars = bars_of([(3, 0, 5.0)], 10)
    with pytest.raises(ValueError, match="bars of 10 ns cannot be merged with bars of 20 ns"):
        bars.merge(bars_of([(4, 0, 5.0)], 20))
    with pytest.raises(ValueError, match="both parts of the bar that starts at 0 hold the same tick"):
        bars.merge(bars)
    with pytest.raises(TypeError):
        bars.merge(None)


def test_bars_cannot_be_changed_and_describe_themselves() -> None:
    bars = bars_of([(3, 0, 5.0)], 10)
    with pytest.raises(AttributeError):
        bars.open = np.zeros(1)
    bars.open[0] = 7.0
    assert bars.open.tolist() == [5.0]
    assert (bars.interval_ns, repr(bars)) == (10, "<Bars: 1 of 10 ns>")
