"""Nobody gets more than a bucket and what flows into it, and whoever waits as told is let in."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from deltastream.gateway.limits import LocalBuckets, Policy

POLICY = Policy("user", per_minute=60, burst=10)


def test_a_policy_tells_itself():
    assert POLICY.header == b'"user";q=10;w=10'
    assert Policy("address", per_minute=600, burst=120).header == b'"address";q=120;w=12'
    assert Policy("slow", per_minute=7, burst=1).header == b'"slow";q=1;w=9'


async def test_a_burst_and_then_one_each_second(autojump_clock: Any):
    buckets = LocalBuckets()
    left = [(await buckets.take(POLICY, "ann", 1)).remaining for _ in range(10)]
    assert left == list(range(9, -1, -1))
    refused = await buckets.take(POLICY, "ann", 1)
    assert (refused.granted, refused.remaining, refused.retry_s) == (False, 0, pytest.approx(1.0))
    assert (await buckets.take(POLICY, "bob", 1)).granted  # has a bucket of his own
    await trio.sleep(refused.retry_s)
    assert (await buckets.take(POLICY, "ann", 1)).granted
    assert not (await buckets.take(POLICY, "ann", 1)).granted


async def test_a_refusal_costs_nothing(autojump_clock: Any):
    buckets = LocalBuckets()
    assert (await buckets.take(POLICY, "ann", 8)).remaining == 2
    for _ in range(5):
        refused = await buckets.take(POLICY, "ann", 3)
        assert (refused.granted, refused.remaining, refused.retry_s) == (False, 2, pytest.approx(1.0))
    assert (await buckets.take(POLICY, "ann", 2)).granted


async def test_a_cost_beyond_the_bucket_takes_all_of_it(autojump_clock: Any):
    buckets = LocalBuckets()
    assert (await buckets.take(POLICY, "ann", 1000)).granted
    refused = await buckets.take(POLICY, "ann", 1000)
    assert refused.retry_s == pytest.approx(10.0)
    await trio.sleep(refused.retry_s)
    assert (await buckets.take(POLICY, "ann", 1000)).granted


async def test_the_longest_untouched_is_forgotten(autojump_clock: Any):
    buckets = LocalBuckets(entries=3)
    for owner in ("a", "b", "c", "a", "d"):
        await buckets.take(POLICY, owner, 10)
    assert not (await buckets.take(POLICY, "c", 1)).granted
    assert (await buckets.take(POLICY, "b", 1)).granted
    other = Policy("address", per_minute=60, burst=10)
    for n in range(10):  # strangers, however many, push no user out
        await buckets.take(other, str(n), 1)
    assert not (await buckets.take(POLICY, "d", 10)).granted


@given(
    per_minute=st.integers(1, 100_000),
    burst=st.integers(1, 1000),
    asked=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50)), min_size=1, max_size=40),
)
@settings(max_examples=60)
def test_no_window_holds_more_than_a_bucket_and_its_inflow(
    per_minute: int, burst: int, asked: list[tuple[float, int]]
):
    policy = Policy("user", per_minute, burst)
    granted: list[tuple[float, int]] = []

    async def main() -> None:
        buckets = LocalBuckets()
        for pause, cost in asked:
            await trio.sleep(pause)
            taken = await buckets.take(policy, "ann", cost)
            assert 0 <= taken.remaining <= burst
            if taken.granted:
                granted.append((trio.current_time(), min(cost, burst)))
            else:
                await trio.sleep(taken.retry_s)
                assert (await buckets.take(policy, "ann", cost)).granted
                granted.append((trio.current_time(), min(cost, burst)))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            span = granted[last][0] - granted[first][0]
            taken = sum(cost for _, cost in granted[first : last + 1])
            assert taken <= burst + span * per_minute / 60 + 1e-3 * per_minute
