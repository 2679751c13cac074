"""How long something takes, over a sliding window."""

from __future__ import annotations

import math
from statistics import median_low

import trio

from deltastream.latency import MOST, WINDOW_S, Latency


async def test_percentiles_are_of_the_samples(autojump_clock):
    latency = Latency()
    taken = [(number * 37 % 200) / 1000 for number in range(200)]
    for seconds in taken:
        latency.add(seconds)
    told = latency.statistics()
    assert (told.samples, told.maximum, told.window) == (200, 0.199, WINDOW_S)
    assert told.p50 == median_low(taken)
    assert told.p99 == sorted(taken)[197]


async def test_one_sample_is_all_of_them_and_none_is_nothing(autojump_clock):
    latency = Latency()
    assert latency.statistics().p99 is latency.statistics().maximum is None
    latency.add(0.5)
    told = latency.statistics()
    assert (told.p50, told.p99, told.maximum) == (0.5, 0.5, 0.5)


async def test_what_is_old_or_cannot_be_is_left_out(autojump_clock):
    latency = Latency()
    latency.add(9.0)
    await trio.sleep(WINDOW_S / 2)
    for seconds in (-0.001, math.nan, math.inf, 1.0):
        latency.add(seconds)
    await trio.sleep(WINDOW_S / 2 + 1)
    told = latency.statistics()
    assert (told.samples, told.maximum) == (1, 1.0)


async def test_it_keeps_only_so_many(autojump_clock):
    latency = Latency()
    for number in range(MOST + 10):
        latency.add(float(number))
    told = latency.statistics()
    assert (told.samples, told.maximum) == (MOST, MOST + 9)
    assert told.p50 == 10 + MOST // 2 - 1
