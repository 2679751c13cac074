"""Rows 9 to 18: how an incarnation ends, and which ends are followed by whose restart."""

import pytest
import trio

from supervisors import Backoff, ChildState, ExitReason, Outcome, Restart, RestartIntensityExceeded, Strategy


class Panic(BaseException):
    """What a native extension raises when it panics: no ``Exception``."""


async def test_exit_reasons(world, autojump_clock):
    """Row 9."""
    children = [world.child(name, restart=Restart.TRANSIENT) for name in ("returns", "raises", "goes_on")]
    async with world.open(*children) as tree:
        world.finish("returns")
        world.crash("raises")
        await world.settle()
        assert tree.find("root/returns").last_exit is ExitReason.NORMAL
        assert tree.find("root/returns").state is ChildState.STOPPED
        assert tree.find("root/raises").last_exit is ExitReason.CRASHED
        assert tree.find("root/goes_on").last_exit is None
    assert tree.find("root/goes_on").last_exit is ExitReason.STOPPED
    assert world.kinds("root/returns") == ["started", "finished"]
    assert world.kinds("root/raises") == ["started", "crashed", "backing off", "restarted", "stopped"]


async def test_panic_is_a_crash(world, autojump_clock):
    """Row 9: a BaseException that is no Exception does not kill the tree."""
    async with world.open(world.child("a"), world.child("x")) as tree:
        world.crash("x", Panic("index out of bounds"))
        await world.settle()
        child = tree.find("root/x")
        assert child.state is ChildState.RUNNING
        assert child.incarnation == 2
        assert child.last_error.type.endswith("Panic")
        assert tree.find("root/a").incarnation == 1


async def test_child_with_a_nursery_dies_of_an_exception_group(world, autojump_clock):
    """Row 9."""

    async def bad(error):
        raise error

    async def run(ctx, *, task_status):
        async with trio.open_nursery() as nursery:
            task_status.started()
            if ctx.incarnation == 1:
                nursery.start_soon(bad, ValueError("first"))
                nursery.start_soon(bad, KeyError("second"))
            await trio.sleep_forever()

    async with world.open(world.child("a"), world.child("x", start=run)) as tree:
        await world.settle()
        error = tree.find("root/x").last_error
        assert error.type == "ExceptionGroup"
        assert "with ValueError: first" in error.traceback
        assert "with KeyError: 'second'" in error.traceback
        assert tree.find("root/x").incarnation == 2


async def test_group_that_mixes_cancelled_with_an_error(world, autojump_clock):
    """Row 9: a cleanup bug in one task of a child that is stopped is told apart from Cancelled."""

    async def buggy_cleanup():
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleanup")

    async def run(ctx, *, task_status):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buggy_cleanup)
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            task_status.started()

    async with world.open(
        world.child("a"), world.child("x", start=run), strategy=Strategy.ONE_FOR_ALL
    ) as tree:
        await trio.lowlevel.checkpoint()
        world.crash("a")
        await world.settle()
        assert tree.find("root/x").state is ChildState.RUNNING
        assert tree.find("root/x").last_exit is ExitReason.CRASHED
        assert tree.statistics().restarts_counted == 1
        assert "OSError" in tree.find("root/x").last_error.traceback


async def test_error_raised_on_an_outer_cancellation(world, autojump_clock):
    """Row 9: the error of a cleanup is recorded, the outer scope still gets its Cancelled."""

    async def run(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise ValueError("instead of Cancelled") from None

    with trio.move_on_after(1) as scope:
        async with world.open(world.child("x", start=run)) as tree:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert tree.find("root/x").last_error.message == "instead of Cancelled"
    assert tree.exit.outcome is Outcome.STOPPED


async def test_child_that_swallows_the_request_to_stop_and_returns(world):
    """Row 9: it has done what it was asked to."""

    async def run(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return

    async with world.open(world.child("x", start=run)) as tree:
        pass
    assert tree.find("root/x").last_exit is ExitReason.STOPPED


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_fatal_errors_stop_the_tree_in_order_and_propagate(world, error):
    """Row 10, from a nested supervisor."""
    inner = world.supervisor(world.child("b"), world.child("x"), world.child("c"), name="inner")
    async with world.failing(type(error), world.child("a"), inner, world.child("d")):
        world.crash("x", error)
        await trio.sleep_forever()
    assert world.error is error
    assert world.log == ["+a", "+b", "+x", "+c", "+d", "-x", "-c", "-b", "-d", "-a"]


async def test_fatal_error_while_giving_up(world):
    """Row 10: it outranks the reason for giving up."""

    async def exits(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise SystemExit(5)

    children = [world.child("a"), world.child("x", start=exits), world.child("c")]
    async with world.failing(SystemExit, *children, intensity=world.none):
        world.crash("c")
        await trio.sleep_forever()
    assert world.log == ["+a", "+c", "-c", "-a"]
    assert world.kinds("root") == ["gave up", "gave up"]


async def test_fatal_error_in_a_start(world):
    """Row 10."""

    async def exits(ctx, *, task_status):
        raise SystemExit(2)

    with pytest.raises(SystemExit, match="2"):
        async with world.open(world.child("a"), world.child("x", start=exits)):
            pytest.fail("the body must not begin")
    assert world.log == ["+a", "-a"]


async def test_permanent_child_is_restarted_after_every_exit(world, autojump_clock):
    """Row 11: that it returned is told."""
    async with world.open(world.child("x")) as tree:
        world.finish("x")
        await world.settle()
        assert tree.find("root/x").incarnation == 2
        world.crash("x")
        await world.settle()
        assert tree.find("root/x").incarnation == 3
    details = [event.detail for event in world.events if event.kind.value == "finished"]
    assert details == ["a permanent child returned; it will be restarted"]


async def test_transient_child_is_restarted_after_a_crash_only(world, autojump_clock):
    """Row 12."""
    async with world.open(world.child("x", restart=Restart.TRANSIENT)) as tree:
        world.crash("x")
        await world.settle()
        assert tree.find("root/x").incarnation == 2
        world.finish("x")
        await world.settle()
        assert tree.find("root/x").incarnation == 2
        assert tree.find("root/x").state is ChildState.STOPPED


@pytest.mark.parametrize("end", ["crash", "finish"])
async def test_temporary_child_is_forgotten(world, autojump_clock, end):
    """Row 13."""
    async with world.open(world.child("x", restart=Restart.TEMPORARY), world.child("a")) as tree:
        getattr(world, end)("x")
        await world.settle()
        assert [child.name for child in tree.statistics().children] == ["a"]
        assert tree.statistics().restarts_counted == 0


async def test_temporary_child_stopped_for_a_sibling_is_forgotten(world, autojump_clock):
    """Row 13."""
    children = [world.child("a"), world.child("x", restart=Restart.TEMPORARY), world.child("b")]
    async with world.open(*children, strategy=Strategy.ONE_FOR_ALL) as tree:
        world.crash("b")
        await world.settle()
        assert [child.name for child in tree.statistics().children] == ["a", "b"]
        assert world.log == ["+a", "+x", "+b", "-b", "-x", "-a", "+a", "+b"]


async def test_one_for_one(world, autojump_clock):
    """Row 14."""
    async with world.open(*map(world.child, "abc"), strategy=Strategy.ONE_FOR_ONE):
        world.crash("b")
        await world.settle()
        assert world.log == ["+a", "+b", "+c", "-b", "+b"]


async def test_one_for_all(world, autojump_clock):
    """Row 15."""
    async with world.open(*map(world.child, "abc"), strategy=Strategy.ONE_FOR_ALL):
        world.crash("b")
        await world.settle()
        assert world.log == ["+a", "+b", "+c", "-b", "-c", "-a", "+a", "+b", "+c"]


async def test_rest_for_one(world, autojump_clock):
    """Row 16."""
    async with world.open(*map(world.child, "abcd"), strategy=Strategy.REST_FOR_ONE):
        world.crash("b")
        await world.settle()
        assert world.log == ["+a", "+b", "+c", "+d", "-b", "-d", "-c", "+b", "+c", "+d"]


async def test_dependants_are_stopped_before_the_back_off(world, autojump_clock):
    """Row 16: who depends on the failed child does not run without it in the meantime."""
    async with world.open(*map(world.child, "abc"), strategy=Strategy.REST_FOR_ONE) as tree:
        world.crash("b")
        await trio.sleep(0.01)
        states = [child.state for child in tree.statistics().children]
        assert states == [ChildState.RUNNING, ChildState.BACKING_OFF, ChildState.BACKING_OFF]


async def test_earlier_failure_takes_over_a_restart_in_waiting(world, autojump_clock):
    """Row 16: c waits for its restart when a fails; the pass begins at a, in order, once."""
    async with world.open(*map(world.child, "abcd"), strategy=Strategy.REST_FOR_ONE) as tree:
        world.crash("c")
        await trio.sleep(0.01)
        world.crash("a")
        await world.settle()
        assert world.log[4:] == ["-c", "-d", "-a", "-b", "+a", "+b", "+c", "+d"]
        assert tree.statistics().restarts_counted == 2


async def test_earlier_failure_does_not_shorten_a_later_back_off(world, autojump_clock):
    """Rows 16 and 23: a is back soon, c and d when the longer back-off of c is over."""
    backoff = Backoff(initial=0.1, factor=10, maximum=10, jitter=0)
    async with world.open(*map(world.child, "abcd"), strategy=Strategy.REST_FOR_ONE, backoff=backoff) as tree:
        world.crash("c")
        await world.settle()
        world.crash("c")
        await trio.sleep(0.01)
        world.crash("a")
        await world.settle()
        states = [child.state for child in tree.statistics().children]
        assert states == [ChildState.RUNNING] * 2 + [ChildState.BACKING_OFF] * 2
        await trio.sleep(0.6)
        assert world.log[-4:] == ["+a", "+b", "+c", "+d"]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_restart_pass_starts_what_had_finished_too(world, autojump_clock, strategy):
    """Row 17."""
    children = [world.child("a"), world.child("b", restart=Restart.TRANSIENT), world.child("c")]
    async with world.open(*children, strategy=strategy) as tree:
        world.finish("b")
        await tree.supervisor("root").terminate_child("c")
        await world.settle()
        assert tree.find("root/b").state is ChildState.STOPPED
        world.crash("a")
        await world.settle()
        assert world.log == ["+a", "+b", "+c", "-b", "-c", "-a", "+a", "+b", "+c"]


async def test_incarnation_starts_from_nothing_in_a_scope_of_its_own(world, autojump_clock):
    """Row 18: stopping one incarnation leaves no trace on the next."""
    seen = []

    async def run(ctx, *, task_status):
        seen.append((ctx.name, ctx.path, ctx.incarnation))
        ctx.degraded("not yet")
        task_status.started()
        await trio.sleep(1)
        ctx.running()
        raise ValueError

    async with world.open(world.child("x", start=run)) as tree:
        await trio.sleep(0.5)
        assert tree.find("root/x").state is ChildState.DEGRADED
        await trio.sleep(2)
    assert seen[:2] == [("x", "root/x", 1), ("x", "root/x", 2)]


async def test_two_children_crash_in_the_same_tick(world, autojump_clock):
    """Rows 14 and 20: two failures if neither stops the other, else one."""
    async with world.open(*map(world.child, "ab")) as tree:
        world.crash("a")
        world.crash("b")
        await world.settle()
        assert tree.statistics().restarts_counted == 2
        assert [child.incarnation for child in tree.statistics().children] == [2, 2]
    for strategy in (Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE):
        world.log.clear()
        async with world.open(*map(world.child, "ab"), strategy=strategy) as tree:
            world.crash("a")
            world.crash("b")
            await world.settle()
            b_died_first_alone = strategy is Strategy.REST_FOR_ONE and world.log[2] == "-b"
            assert tree.statistics().restarts_counted == 1 + b_died_first_alone
            assert world.log[4:] == ["+a", "+b"]


async def test_crash_of_a_starter_of_the_same_pass(world, autojump_clock):
    """Row 21: b fails while c, which follows it in the pass, is being started; c is started once more."""
    starts = []

    async def fragile(ctx, *, task_status):
        starts.append((ctx.name, ctx.incarnation))
        task_status.started()
        if ctx.incarnation == 2:
            await trio.sleep(0.2)
            raise ValueError
        await trio.sleep_forever()

    async def slow(ctx, *, task_status):
        starts.append((ctx.name, ctx.incarnation))
        if ctx.incarnation == 2:
            await trio.sleep(1)
        task_status.started()
        await trio.sleep_forever()

    children = [world.child("a"), world.child("b", start=fragile), world.child("c", start=slow)]
    async with world.open(*children, strategy=Strategy.REST_FOR_ONE) as tree:
        world.crash("a")
        await trio.sleep(5)
        assert starts == [("b", 1), ("c", 1), ("b", 2), ("c", 2), ("b", 3), ("c", 3)]
        assert tree.find("root/a").incarnation == 2


async def test_crash_right_after_the_handshake(world, autojump_clock):
    """Row 9: it has started, then crashed; the start did not fail."""

    async def run(ctx, *, task_status):
        task_status.started()
        raise ValueError

    async with world.failing(RestartIntensityExceeded, world.child("x", start=run)):
        await trio.sleep_forever()
    assert world.kinds("root/x")[:4] == ["started", "crashed", "backing off", "restarted"]
