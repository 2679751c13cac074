"""Rows 1 to 7: ordered start with a handshake, reverse stop under a budget, cancellation."""

import pytest
import trio

from supervisors import (
    Backoff,
    ChildState,
    EventKind,
    Outcome,
    Restart,
    StartFailed,
    StartTimeout,
    StuckChild,
)


def refusing(error=None, before=None):
    """Return a service that raises before its handshake, or returns without one."""

    async def run(ctx, *, task_status):
        if before is not None:
            await before(ctx)
        if error is not None:
            raise error

    return run


async def never_started(ctx, *, task_status):
    await trio.sleep_forever()


def slow_to_stop(log, seconds):
    async def run(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            log.append((trio.current_time(), ctx.name))

    return run


async def test_children_start_in_order_each_after_the_handshake_of_the_one_before(world, autojump_clock):
    """Row 1."""
    began = []

    def slow(seconds):
        async def run(ctx, *, task_status):
            began.append((ctx.name, trio.current_time()))
            await trio.sleep(seconds)
            task_status.started()
            await trio.sleep_forever()

        return run

    start = trio.current_time()
    async with world.open(
        world.child("a", start=slow(1)), world.child("b", start=slow(2)), world.child("c", start=slow(0))
    ):
        assert began == [("a", start), ("b", start + 1), ("c", start + 3)]
        assert trio.current_time() == start + 3


async def test_nested_supervisors_start_as_one_child(world):
    """Row 1: the handshake of a supervisor is that of its last child."""
    inner = world.supervisor(world.child("b"), world.child("c"), name="inner")
    async with world.open(world.child("a"), inner, world.child("d")):
        assert world.log == ["+a", "+b", "+c", "+d"]
    assert world.log[4:] == ["-d", "-c", "-b", "-a"]


async def test_error_before_started_is_a_failed_start(world):
    """Row 2."""
    with pytest.raises(StartFailed, match="root/x: start failed: KeyError: 'k'") as caught:
        async with world.open(world.child("x", start=refusing(KeyError("k")))):
            pytest.fail("the body must not begin")
    assert type(caught.value) is StartFailed
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.path == "root/x"
    assert world.kinds("root/x") == ["start failed"]


async def test_return_without_started_is_a_failed_start(world):
    """Row 2."""
    with pytest.raises(StartFailed, match="returned without calling"):
        async with world.open(world.child("x", start=refusing())):
            pytest.fail("the body must not begin")


async def test_start_timeout(world, autojump_clock):
    """Row 2: the late child is cancelled."""
    before = trio.current_time()
    with pytest.raises(StartTimeout, match=r"no started\(\) within 3 s") as caught:
        async with world.open(world.child("x", start=never_started, start_timeout=3)):
            pytest.fail("the body must not begin")
    assert trio.current_time() == before + 3
    assert caught.value.timeout == 3


async def test_failed_start_of_a_service_that_is_no_coroutine_function(world):
    """Row 2."""
    with pytest.raises(StartFailed):
        async with world.open(world.child("x", start=lambda ctx, *, task_status: None)):
            pytest.fail("the body must not begin")


async def test_failed_initial_start_stops_those_started_in_reverse(world):
    """Row 3, over two levels: the chain of causes leads to the original error."""
    inner = world.supervisor(
        world.child("b"),
        world.child("x", start=refusing(OSError("no disk"))),
        world.child("never"),
        name="inner",
    )
    with pytest.raises(StartFailed) as caught:
        async with world.open(world.child("a"), world.child("a2"), inner, world.child("never")):
            pytest.fail("the body must not begin")
    assert world.log == ["+a", "+a2", "+b", "-b", "-a2", "-a"]
    assert caught.value.path == "root/inner"
    cause = caught.value.__cause__
    assert isinstance(cause, StartFailed)
    assert cause.path == "root/inner/x"
    assert isinstance(cause.__cause__, OSError)


async def test_temporary_child_that_does_not_start_fails_the_start_too(world):
    """Row 3: no restart type excuses an initial start."""
    with pytest.raises(StartFailed):
        async with world.open(world.child("x", start=refusing(OSError()), restart=Restart.TEMPORARY)):
            pytest.fail("the body must not begin")


async def test_stop_is_strictly_in_reverse_one_at_a_time(world, autojump_clock):
    """Row 5."""
    log = []
    names = ["a", "b", "c"]
    async with world.open(*(world.child(name, start=slow_to_stop(log, 2)) for name in names)):
        await trio.sleep(1)
        began = trio.current_time()
    assert log == [(began + 2, "c"), (began + 4, "b"), (began + 6, "a")]


async def test_each_child_is_waited_for_only_as_long_as_its_grace(world, autojump_clock):
    """Row 5."""
    log = []
    children = [
        world.child("a"),
        world.child("b", start=slow_to_stop(log, 4)),
        world.child("x", start=slow_to_stop(log, 9), shutdown=2),
    ]
    async with world.failing(StuckChild, *children) as tree:
        began = trio.current_time()
        await tree.stop()
        assert log == [(began + 6, "b")]


async def test_total_budget_of_a_stop(world, autojump_clock):
    """Row 6: what is left when the budget is spent is cancelled together."""
    log = []
    names = ["a", "b", "c", "d"]
    children = [world.child(name, start=slow_to_stop(log, 0.8)) for name in names]
    async with world.open(*children, shutdown=1.0) as tree:
        began = trio.current_time()
        exit_ = await tree.stop()
    assert [name for _, name in log[:1]] == ["d"]
    assert [at for at, _ in log] == pytest.approx([began + 0.8, began + 1.6, began + 1.8, began + 1.8])
    assert exit_.outcome is Outcome.STOPPED


async def test_default_budget_lets_every_child_use_up_its_grace(world, autojump_clock):
    """Row 6: two levels of children that need nearly all of their time are not stuck."""
    log = []
    inner = world.supervisor(
        *(world.child(f"i{n}", start=slow_to_stop(log, 4.9)) for n in range(3)), name="inner"
    )
    async with world.open(world.child("a", start=slow_to_stop(log, 4.9)), inner) as tree:
        exit_ = await tree.stop()
    assert exit_.outcome is Outcome.STOPPED
    assert [name for _, name in log] == ["i2", "i1", "i0", "a"]
    assert not [event for event in world.events if event.kind is EventKind.STUCK]


async def test_budget_spent_reaches_nested_children_at_once(world, autojump_clock):
    """Row 6."""
    log = []
    inner = world.supervisor(
        *(world.child(f"i{n}", start=slow_to_stop(log, 0.5)) for n in range(5)), name="inner"
    )
    late = world.child("late", start=slow_to_stop(log, 1.0))
    async with world.open(inner, late, shutdown=1.0) as tree:
        began = trio.current_time()
        exit_ = await tree.stop()
    assert exit_.outcome is Outcome.STOPPED
    assert {at for at, name in log if name != "late"} == {began + 1.5}


async def test_outer_cancellation_becomes_an_ordered_stop(world, autojump_clock):
    """Row 7."""
    log = []
    inner = world.supervisor(*(world.child(name, start=slow_to_stop(log, 1)) for name in "bc"), name="inner")
    with trio.move_on_after(5) as scope:
        async with world.open(world.child("a", start=slow_to_stop(log, 1)), inner) as tree:
            began = trio.current_time()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert [(name, at - began) for at, name in log] == [("c", 6), ("b", 7), ("a", 8)]
    assert tree.exit.outcome is Outcome.STOPPED


async def test_outer_cancellation_during_the_start(world, autojump_clock):
    """Row 7: the start in progress is interrupted, those started are stopped in reverse."""
    with trio.move_on_after(5) as scope:
        async with world.open(world.child("a"), world.child("b"), world.child("x", start=never_started)):
            pytest.fail("the body must not begin")
    assert scope.cancelled_caught
    assert world.log == ["+a", "+b", "-b", "-a"]
    assert world.kinds("root/x") == ["stopped"]


async def test_stop_during_the_start_of_a_nested_supervisor(world, autojump_clock):
    """Row 7."""
    inner = world.supervisor(
        world.child("b"), world.child("x", start=never_started, start_timeout=60), name="inner"
    )
    with trio.move_on_after(5) as scope:
        async with world.open(world.child("a"), inner):
            pytest.fail("the body must not begin")
    assert scope.cancelled_caught
    assert world.log == ["+a", "+b", "-b", "-a"]


async def test_a_child_stops_its_tree_while_it_starts(world):
    """Row 7: the tree has not started, says the opener; it was stopped, says its exit."""
    trees = []

    async def stopper(ctx, *, task_status):
        trees.append(ctx.tree)
        ctx.tree.request_stop()
        await trio.sleep_forever()

    with pytest.raises(StartFailed, match="stopped while it was starting"):
        async with world.open(world.child("a"), world.child("x", start=stopper)):
            pytest.fail("the body must not begin")
    assert trees[0].exit.outcome is Outcome.STOPPED
    assert world.log == ["+a", "-a"]


async def test_no_further_child_starts_after_a_stop(world):
    """Row 7: the request came between two starts."""

    async def stopper(ctx, *, task_status):
        task_status.started()
        ctx.tree.request_stop()
        await trio.sleep_forever()

    with pytest.raises(StartFailed, match="stopped while it was starting"):
        async with world.open(world.child("x", start=stopper), world.child("a")):
            pytest.fail("the body must not begin")
    assert world.log == []


async def test_outer_cancellation_during_a_restart(world, autojump_clock):
    """Row 7: the child that is being started again is cancelled, and nothing is left behind."""

    async def slow_second_start(ctx, *, task_status):
        if ctx.incarnation > 1:
            await trio.sleep(60)
        task_status.started()
        await trio.sleep(1)
        raise ValueError

    with trio.move_on_after(10) as scope:
        async with world.open(
            world.child("a"), world.child("x", start=slow_second_start, start_timeout=99)
        ) as tree:
            await trio.sleep(5)
            assert tree.find("root/x").state is ChildState.STARTING
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert world.log == ["+a", "-a"]
    assert tree.find("root/x").state is ChildState.STOPPED


async def test_stop_during_back_off(world, autojump_clock):
    """Row 7: nobody waits for the back-off to end."""
    async with world.open(
        world.child("a"), world.child("b"), backoff=Backoff(initial=60, maximum=60)
    ) as tree:
        world.crash("b")
        await world.settle()
        child = tree.find("root/b")
        assert child.state is ChildState.BACKING_OFF
        assert child.restart_at > trio.current_time() + 40
        before = trio.current_time()
    assert trio.current_time() == before
    assert world.log == ["+a", "+b", "-b", "-a"]
    assert tree.find("root/b").state is ChildState.FAILED


async def test_cancelled_is_raised_to_the_right_scope(world, autojump_clock):
    """Row 7: a scope inside of the body catches its own cancellation; the tree goes on."""
    async with world.open(world.child("a")) as tree:
        with trio.move_on_after(1):
            await trio.sleep_forever()
        assert tree.find("root/a").state is ChildState.RUNNING


async def test_crash_during_the_stop(world, autojump_clock):
    """Rows 5 and 9: an error raised while stopping is recorded; the stop goes on."""

    async def bad_cleanup(ctx, *, task_status):
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("in cleanup")

    async with world.open(world.child("a"), world.child("x", start=bad_cleanup), world.child("c")) as tree:
        exit_ = await tree.stop()
    assert exit_.outcome is Outcome.STOPPED
    assert world.log == ["+a", "+c", "-c", "-a"]
    assert tree.find("root/x").last_error.message == "in cleanup"
    assert world.kinds("root/x") == ["started", "crashed"]


async def test_child_that_ends_by_itself_during_the_stop_is_not_restarted(world, autojump_clock):
    """Row 5: nothing is restarted once the stop has begun."""
    log = []

    async def dies_with(ctx, *, task_status):
        task_status.started()
        await trio.sleep(1.5)
        raise ValueError

    async with world.open(
        world.child("a", start=dies_with), world.child("b", start=slow_to_stop(log, 1))
    ) as tree:
        await trio.sleep(1)
    assert tree.find("root/a").incarnation == 1
    assert world.kinds("root/a") == ["started", "crashed"]


async def test_empty_supervisor(world):
    """Row 1: it may be filled later."""
    async with world.open() as tree:
        assert tree.statistics().children == ()
        assert (await tree.stop()).outcome is Outcome.STOPPED


async def test_body_error_stops_the_tree_and_is_raised_as_it_is(world):
    """Row 7."""
    error = LookupError("in the body")
    with pytest.raises(LookupError) as caught:
        async with world.open(world.child("a"), world.child("b")):
            raise error
    assert caught.value is error
    assert world.log == ["+a", "+b", "-b", "-a"]


async def test_body_error_beside_an_outer_cancellation(world):
    """Row 7: a group that mixes Cancelled with an error loses neither."""
    with pytest.RaisesGroup(LookupError), trio.CancelScope() as scope:
        async with world.open(world.child("a")):
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("in the body")
    assert world.log == ["+a", "-a"]
