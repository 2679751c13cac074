"""One run in virtual time: what a seed decides, what time does, and that no run hangs."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
from trio._core import _run

from deltastream.sim.schedule import Hung, VirtualClock, run


async def _interleaved(tasks=8, turns=5):
    order = []

    async def take_turns(name):
        for _ in range(turns):
            order.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for name in range(tasks):
            nursery.start_soon(take_turns, name)
    return order


def test_trio_still_has_the_names_that_make_its_schedule_deterministic():
    assert _run._ALLOW_DETERMINISTIC_SCHEDULING in (True, False)
    assert callable(_run._r.shuffle)


def test_the_seed_decides_the_schedule_and_nothing_else_does():
    first, again, other = (run(_interleaved, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_afterwards_trio_shuffles_as_before():
    before, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    run(_interleaved, seed=1)
    with pytest.raises(ZeroDivisionError):
        run(_fail, seed=1)
    assert _run._ALLOW_DETERMINISTIC_SCHEDULING is before
    assert _run._r.getstate() == state


async def _fail():
    raise ZeroDivisionError


def test_time_passes_only_when_nobody_works():
    async def main():
        times = []
        for seconds in (0.25, 3600.0, 1e-6):
            await trio.sleep(seconds)
            times.append(trio.current_time())
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        return times, trio.current_time()

    times, last = run(main, seed=0)
    assert times == [0.25, 3600.25, 3600.25 + 1e-6]
    assert last == times[-1]


def test_a_doze_ends_at_its_time_cancelled_or_not():
    async def main(clock):
        with trio.move_on_after(1) as scope:
            await clock.doze(5)
            woke = trio.current_time()
            await trio.lowlevel.checkpoint()
        return woke, scope.cancelled_caught

    clock = VirtualClock()
    assert run(main, clock, seed=0, clock=clock) == (5.0, True)


def test_dozes_and_deadlines_come_in_the_order_of_their_time():
    async def main(clock):
        order = []

        async def doze(seconds):
            await clock.doze(seconds)
            order.append(seconds)

        async def sleep(seconds):
            await trio.sleep(seconds)
            order.append(seconds)

        async with trio.open_nursery() as nursery:
            for seconds in (0.3, 0.1, 0.5):
                nursery.start_soon(doze, seconds)
            for seconds in (0.2, 0.4, 0.6):
                nursery.start_soon(sleep, seconds)
        return order

    clock = VirtualClock()
    assert run(main, clock, seed=3, clock=clock) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_sleeps_are_trios_sleeps():
    """While a simulation runs they go through its clock, without a cancel scope each."""

    async def main():
        order = []

        async def note(name, sleep, value):
            await sleep(value)
            order.append((name, trio.current_time()))

        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await trio.sleep(0)  # noqa: ASYNC115  this very call
        with trio.CancelScope() as late:
            late.cancel()
            await trio.sleep_until(-5)
        with trio.move_on_after(1) as timeout:
            await trio.sleep(3)
        assert all(scope.cancelled_caught for scope in (cancelled, late, timeout))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, "past", trio.sleep_until, 0.5)
            nursery.start_soon(note, "later", trio.sleep_until, 4)
            nursery.start_soon(note, "sooner", trio.sleep, 2)
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="negative or NaN"):
                await trio.sleep(wrong)
        with trio.move_on_after(1):
            await trio.sleep(float("inf"))
        return order

    before = trio.sleep, trio.sleep_until
    assert run(main, seed=0) == [("past", 1.0), ("sooner", 3.0), ("later", 4.0)]
    assert (trio.sleep, trio.sleep_until) == before


def test_a_jump_lets_time_pass_for_everybody_at_once():
    async def main(clock):
        woke = []

        async def sleep(seconds):
            await trio.sleep(seconds)
            woke.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
            nursery.start_soon(clock.doze, 2)
            nursery.start_soon(sleep, 30)
            await trio.lowlevel.checkpoint()
            clock.jump(10)
        return woke

    clock = VirtualClock()
    assert run(main, clock, seed=0, clock=clock) == [10.0, 30.0]
    with pytest.raises(ValueError, match="back"):
        clock.jump(-1)


async def _wait_for_nothing():
    await trio.Event().wait()


async def _never_rest():
    while True:
        await trio.lowlevel.checkpoint()


async def _never_end():
    for _ in range(10**9):
        await trio.sleep(10)


async def _ignore_cancellation():
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("endless", "reason"),
    [
        (_wait_for_nothing, "nobody for a time"),
        (_never_rest, "time stands still"),
        (_never_end, "not at its end after 100 s"),
        (_ignore_cancellation, "nobody for a time"),
    ],
)
def test_a_run_that_would_never_end_is_given_up(endless, reason):
    with pytest.raises(Hung, match=reason):
        run(endless, seed=0, clock=VirtualClock(limit=100))
    assert run(_interleaved, seed=0)


def test_a_wake_up_through_trios_socket_is_waited_for():
    async def main():
        woken = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(woken.set)
        await woken.wait()
        return trio.current_time()

    assert run(main, seed=0) == 0.0
