"""A tree as a whole program: signals and exits."""

import random
import signal

import pytest
import trio

from supervisors import (
    Outcome,
    RestartIntensityExceeded,
    StartFailed,
    open_tree,
    run_tree,
    stop_on_signals,
)


def children_that_signal(world, *signals):
    """Return children of which the last one raises signals once it has started."""

    async def run(ctx, *, task_status):
        task_status.started()
        for number in signals:
            signal.raise_signal(number)
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    return world.supervisor(world.child("a"), world.child("b"), world.child("x", start=run))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_first_signal_stops_in_order(world, number):
    before = signal.getsignal(number)
    exit_ = await run_tree(
        children_that_signal(world, number), rng=random.Random(0), on_event=world.events.append
    )
    assert exit_.outcome is Outcome.STOPPED
    assert exit_.error is None
    assert world.log == ["+a", "+b", "-b", "-a"]
    assert signal.getsignal(number) is before


async def test_second_signal_cancels_all_at_once(world, autojump_clock):
    """A child that takes its time to stop does not delay the cancellation of the others."""
    ends = {}

    async def slow(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            ends[ctx.name] = trio.current_time()
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

    inner = world.supervisor(world.child("a", start=slow), world.child("b", start=slow), name="inner")
    spec = world.supervisor(inner, world.child("c", start=slow))
    async with trio.open_nursery() as nursery:
        tree = await nursery.start(
            lambda task_status: run_tree(spec, rng=random.Random(0), task_status=task_status)
        )
        began = trio.current_time()
        signal.raise_signal(signal.SIGINT)
        await trio.sleep(1)
        assert ends == {"c": began}
        signal.raise_signal(signal.SIGTERM)
    assert ends == {"c": began, "b": began + 1, "a": began + 1}
    assert tree.exit.outcome is Outcome.STOPPED
    assert trio.current_time() == began + 4


async def test_signal_during_the_start_is_a_stop_not_a_failure(world):
    async def run(ctx, *, task_status):
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    spec = world.supervisor(world.child("a"), world.child("x", start=run))
    exit_ = await run_tree(spec, rng=random.Random(0))
    assert exit_.outcome is Outcome.STOPPED
    assert world.log == ["+a", "-a"]


async def test_signals_stop_a_tree_opened_beside_other_code(world):
    async with world.open(world.child("a")) as tree, trio.open_nursery() as nursery:
        await nursery.start(stop_on_signals, tree, (signal.SIGUSR1,))
        signal.raise_signal(signal.SIGUSR1)
        assert (await tree.wait()).outcome is Outcome.STOPPED
        nursery.cancel_scope.cancel()


async def test_giving_up_is_a_result(world, autojump_clock):
    async def run(ctx, *, task_status):
        task_status.started()
        raise OSError("gone")

    exit_ = await run_tree(world.supervisor(world.child("x", start=run)), rng=random.Random(0), signals=())
    assert exit_.outcome is Outcome.GAVE_UP
    assert isinstance(exit_.error, RestartIntensityExceeded)
    assert isinstance(exit_.error.__cause__, OSError)


async def test_stuck_is_a_result(world, autojump_clock):
    async def deaf(ctx, *, task_status):
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    spec = world.supervisor(world.child("x", start=deaf, shutdown=1))
    async with trio.open_nursery() as nursery:
        tree = await nursery.start(
            lambda task_status: run_tree(spec, rng=random.Random(0), task_status=task_status)
        )
        exit_ = await tree.stop()
        assert exit_.outcome is Outcome.STUCK
    assert tree.exit is exit_


async def test_failed_start_is_raised(world):
    async def run(ctx, *, task_status):
        raise OSError("no port")

    with pytest.raises(StartFailed, match="no port"):
        await run_tree(world.supervisor(world.child("x", start=run)), rng=random.Random(0))


async def test_fatal_error_is_raised_bare(world):
    async def run(ctx, *, task_status):
        task_status.started()
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        await run_tree(world.supervisor(world.child("x", start=run)), rng=random.Random(0))


async def test_cancellation_is_completed_then_raised(world, autojump_clock):
    with trio.move_on_after(2) as scope:
        await run_tree(world.supervisor(world.child("a"), world.child("b")), rng=random.Random(0))
    assert scope.cancelled_caught
    assert world.log == ["+a", "+b", "-b", "-a"]


async def test_tree_and_body_that_fail_both(world):
    async def run(ctx, *, task_status):
        task_status.started()
        raise OSError

    with pytest.RaisesGroup(RestartIntensityExceeded, LookupError):
        async with open_tree(
            world.supervisor(world.child("x", start=run), intensity=world.none), rng=random.Random(0)
        ):
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError
