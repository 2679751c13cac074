"""Row 8: children that ignore their cancellation."""

import random
import threading

import pytest
import trio

from supervisors import ChildState, EventKind, Outcome, Strategy, StuckChild, open_tree


def deaf(seconds):
    """Return a service that ignores cancellation for so many seconds."""

    async def run(ctx, *, task_status):
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)

    return run


async def test_stuck_child_is_recorded_and_told_and_blocks_only_the_end(world, autojump_clock):
    """Row 8: at a stop, the others are stopped all the same; ``stop()`` returns, the context waits."""
    async with world.failing(
        StuckChild, world.child("a"), world.child("x", start=deaf(30), shutdown=2)
    ) as tree:
        began = trio.current_time()
        exit_ = await tree.stop()
        assert trio.current_time() == began + 2
        assert exit_.outcome is Outcome.STUCK
        assert exit_.error.path == "root/x"
        assert exit_.error.grace == 2
        assert tree.find("root/x").state is ChildState.STUCK
        assert world.log == ["+a", "-a"]
        await trio.sleep(1)  # the body is not cancelled: it has asked for the stop
        lasted = trio.current_time() - began
    assert lasted == 3
    assert world.error is exit_.error
    assert trio.current_time() == began + 30
    assert world.kinds("root/x") == ["started", "stuck", "stopped"]
    assert tree.find("root/x").state is ChildState.STOPPED


async def test_child_stuck_in_a_blocking_thread(world):
    """Row 8, with a real thread and the real clock."""
    release = threading.Event()

    async def run(ctx, *, task_status):
        task_status.started()
        await trio.to_thread.run_sync(release.wait)

    async with world.failing(
        StuckChild, world.child("a"), world.child("x", start=run, shutdown=0.02)
    ) as tree:
        assert (await tree.stop()).outcome is Outcome.STUCK
        assert world.log == ["+a", "-a"]
        release.set()
    assert world.kinds("root/x") == ["started", "stuck", "stopped"]


async def test_stuck_sibling_makes_its_supervisor_give_up(world, autojump_clock):
    """Row 8: it cannot make way for its next incarnation, which is never started."""
    children = [world.child("a"), world.child("x", start=deaf(40), shutdown=2)]
    async with world.failing(StuckChild, *children, strategy=Strategy.REST_FOR_ONE) as tree:
        world.crash("a")
        exit_ = await tree.wait()
        assert exit_.outcome is Outcome.STUCK
        await trio.sleep_forever()  # the body is cancelled
    assert world.error.path == "root/x"
    assert tree.find("root/x").incarnation == 1
    assert world.kinds("root") == ["gave up"]
    assert world.log == ["+a", "-a"]


async def test_stuck_child_escalates_to_the_root(world, autojump_clock):
    """Row 8: level by level, each waits for the one below as long as that may take, then gives up."""
    inner = world.supervisor(
        world.child("a"),
        world.child("x", start=deaf(60), shutdown=2),
        name="inner",
        strategy=Strategy.ONE_FOR_ALL,
    )
    middle = world.supervisor(world.child("b"), inner, name="middle")
    async with world.failing(StuckChild, world.child("c"), middle) as tree:
        world.crash("a")
        exit_ = await tree.wait()
        stuck = [node.path for node in tree.statistics().walk() if node.state is ChildState.STUCK]
    assert exit_.outcome is Outcome.STUCK
    assert stuck == ["root/middle", "root/middle/inner", "root/middle/inner/x"]
    assert world.error.path == "root/middle"
    assert world.error.__cause__.path == "root/middle/inner"
    assert world.error.__cause__.__cause__.path == "root/middle/inner/x"
    assert world.log == ["+c", "+b", "+a", "-a", "-b", "-c"]


async def test_escalation_ends_where_the_stuck_child_does(world, autojump_clock):
    """Row 8: ended while the parent waited, it is but a crash of the nested supervisor."""
    starts = []

    async def deaf_once(ctx, *, task_status):
        starts.append(ctx.incarnation)
        await deaf(4.5 if len(starts) == 1 else 0)(ctx, task_status=task_status)
        await trio.sleep_forever()

    inner = world.supervisor(
        world.child("a"),
        world.child("x", start=deaf_once, shutdown=2),
        name="inner",
        strategy=Strategy.ONE_FOR_ALL,
    )
    async with world.open(world.child("b"), inner) as tree:
        world.crash("a")
        await trio.sleep(20)
        node = tree.find("root/inner")
        assert (node.state, node.incarnation) == (ChildState.RUNNING, 2)
        assert node.last_error.type.endswith("StuckChild")
        assert starts == [1, 1]
    assert world.log == ["+b", "+a", "-a", "+a", "-a", "-b"]


async def test_stuck_in_its_start(world, autojump_clock):
    """Row 8: a start that misses its timeout and ignores its cancellation, below a nested supervisor."""

    async def deaf_start(ctx, *, task_status):
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    inner = world.supervisor(world.child("x", start=deaf_start, start_timeout=1, shutdown=2), name="inner")
    stuck_at = {}

    def note(event):
        if event.kind is EventKind.STUCK:
            stuck_at[event.path] = event.at

    began = trio.current_time()
    with pytest.raises(StuckChild):
        async with open_tree(world.supervisor(world.child("a"), inner), rng=random.Random(0), on_event=note):
            pytest.fail("the body must not begin")
    assert stuck_at == {"root/inner/x": began + 3, "root/inner": began + 6}
    assert world.log == ["+a", "-a"]
