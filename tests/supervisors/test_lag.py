"""Loop lag: lateness of wake-ups over a sliding window."""

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisors import InvalidSpec, LoopLag


async def test_lag_is_measured_by_a_child_like_any_other(world, autojump_clock):
    lag = LoopLag(interval=0.1, window=10)
    async with world.open(world.child("lag", start=lag.run)):
        empty = lag.statistics()
        assert (empty.samples, empty.last, empty.mean, empty.p99, empty.maximum) == (
            0,
            None,
            None,
            None,
            None,
        )
        await trio.sleep(1.05)
        idle = lag.statistics()
        assert (idle.samples, idle.maximum, idle.holds) == (10, 0, 0)
        autojump_clock.jump(0.08)  # somebody holds the loop from 1.05 to 1.13 s; 1.10 was due
        await trio.sleep(0.001)
        held = lag.statistics()
        assert held.last == held.maximum == pytest.approx(0.03)
        assert (held.holds, held.holds_total, held.threshold) == (1, 1, 0.005)
        assert held.mean == pytest.approx(held.maximum / held.samples)
        await trio.sleep(11)
        past = lag.statistics()
        assert (past.holds, past.holds_total, past.maximum) == (0, 1, pytest.approx(0, abs=1e-9))
        assert past.samples in (99, 100, 101)


async def test_window_is_empty_when_nothing_was_measured_for_its_length(world, autojump_clock):
    lag = LoopLag(interval=1, window=5)
    async with world.open(world.child("lag", start=lag.run)):
        await trio.sleep(3.5)
        assert lag.statistics().samples == 3
    await trio.sleep(10)
    assert lag.statistics().samples == 0


@given(lags=st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_percentile_agrees_with_its_definition(lags):
    """The smallest lateness that at least 99 % of the wake-ups do not exceed."""

    async def measure():
        lag = LoopLag()
        now = trio.current_time()
        for late in lags:
            lag._record(now, now - late)
        return lag.statistics(), [now - (now - late) for late in lags]

    stats, measured = trio.run(measure)
    enough = [x for x in measured if 100 * sum(y <= x for y in measured) >= 99 * len(measured)]
    assert stats.p99 == min(enough)
    assert stats.maximum == max(measured)
    assert stats.mean == math.fsum(measured) / len(measured)
    assert stats.holds == sum(x > 0.005 for x in measured)


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"interval": math.nan},
        {"threshold": -1},
        {"interval": 2, "window": 1},
        {"window": math.inf},
    ],
)
def test_settings_are_checked(options):
    with pytest.raises(InvalidSpec):
        LoopLag(**options)
