"""Rows 4, 26 and 27: adding, terminating, restarting and removing children of a running supervisor."""

import pytest
import trio

from supervisors import (
    Backoff,
    ChildRunning,
    ChildState,
    DuplicateChild,
    Intensity,
    Mailbox,
    Outcome,
    Restart,
    StartFailed,
    Strategy,
    StuckChild,
    SupervisorStopped,
    UnknownChild,
    block,
)


async def broken(ctx, *, task_status):
    raise OSError("no port")


async def deaf(ctx, *, task_status):
    task_status.started()
    with trio.CancelScope(shield=True):
        await trio.sleep(10)


async def test_started_value_is_the_result(world):
    """Row 4."""
    async with world.open() as tree:
        root = tree.supervisor("root")
        assert await root.add_child(world.child("x")) == "x1"
        await root.terminate_child("x")
        assert await root.restart_child("x") == "x2"


async def test_added_child_is_the_last_and_restarted_like_any_other(world, autojump_clock):
    """Row 26."""
    async with world.open(world.child("a"), strategy=Strategy.REST_FOR_ONE) as tree:
        root = tree.supervisor("root")
        await root.add_child(world.child("x"))
        await root.add_child(world.supervisor(world.child("y"), name="inner"))
        assert [node.path for node in tree.statistics().walk()] == [
            "root",
            "root/a",
            "root/x",
            "root/inner",
            "root/inner/y",
        ]
        world.crash("x")
        await world.settle()
    assert world.log == ["+a", "+x", "+y", "-x", "-y", "+x", "+y", "-y", "-x", "-a"]


async def test_add_child_refusals(world, autojump_clock):
    """Row 26: a duplicate, and one that does not start, leave nothing behind."""
    async with world.open(world.child("a")) as tree:
        root = tree.supervisor("root")
        with pytest.raises(DuplicateChild, match="root/a"):
            await root.add_child(world.child("a"))
        with pytest.raises(StartFailed, match="no port") as caught:
            await root.add_child(world.child("x", start=broken))
        assert isinstance(caught.value.__cause__, OSError)
        assert [child.name for child in tree.statistics().children] == ["a"]
        assert tree.statistics().restarts_counted == 0
        await root.add_child(world.child("x"))


async def test_terminate_restart_remove(world, autojump_clock):
    """Row 26: none of it counts."""
    async with world.open(world.child("a"), world.child("b")) as tree:
        root = tree.supervisor("root")
        with pytest.raises(ChildRunning):
            await root.restart_child("a")
        with pytest.raises(ChildRunning):
            await root.remove_child("a")
        await root.terminate_child("a")
        await root.terminate_child("a")
        assert tree.find("root/a").state is ChildState.STOPPED
        await world.settle()
        assert tree.find("root/a").incarnation == 1
        await root.restart_child("a")
        assert tree.find("root/a").state is ChildState.RUNNING
        await root.terminate_child("a")
        await root.remove_child("a")
        for operation in (root.terminate_child, root.restart_child, root.remove_child):
            with pytest.raises(UnknownChild):
                await operation("a")
        assert tree.statistics().restarts_counted == 0
    assert world.log == ["+a", "+b", "-a", "+a", "-a", "-b"]


async def test_terminated_temporary_child_is_forgotten(world):
    """Rows 13 and 26."""
    async with world.open(world.child("a", restart=Restart.TEMPORARY)) as tree:
        await tree.supervisor("root").terminate_child("a")
        assert tree.statistics().children == ()


async def test_restart_child_that_does_not_start_is_kept(world):
    """Row 26."""

    async def run(ctx, *, task_status):
        if ctx.incarnation == 2:
            raise OSError
        task_status.started()
        await trio.sleep_forever()

    async with world.open(world.child("x", start=run)) as tree:
        root = tree.supervisor("root")
        await root.terminate_child("x")
        with pytest.raises(StartFailed):
            await root.restart_child("x")
        assert tree.find("root/x").state is ChildState.FAILED
        await root.restart_child("x")
        assert tree.find("root/x").incarnation == 3


async def test_terminate_and_restart_during_back_off(world, autojump_clock):
    """Row 26: terminating ends the waiting, restarting cuts it short."""
    async with world.open(
        world.child("a"), world.child("b"), backoff=Backoff(initial=50, maximum=50)
    ) as tree:
        root = tree.supervisor("root")
        world.crash("a")
        world.crash("b")
        await world.settle()
        await root.terminate_child("a")
        assert tree.find("root/a").state is ChildState.FAILED
        assert tree.find("root/a").restart_at is None
        await root.restart_child("b")
        assert tree.find("root/b").state is ChildState.RUNNING
        await trio.sleep(100)
        assert [child.incarnation for child in tree.statistics().children] == [1, 2]


async def test_child_terminates_itself_by_asking(world):
    """Row 26: no deadlock, it is cancelled while it waits."""

    async def run(ctx, *, task_status):
        task_status.started()
        await ctx.tree.supervisor("root").terminate_child(ctx.name)
        pytest.fail("cancelled while waiting")

    async with world.open(world.child("a"), world.child("x", start=run)) as tree:
        await trio.testing.wait_all_tasks_blocked()
        assert tree.find("root/x").state is ChildState.STOPPED
        assert tree.exit is None


@pytest.mark.parametrize("asks", ["stop", "request_stop"])
async def test_child_stops_its_own_tree(world, asks):
    """Row 26: likewise for the whole tree, which counts as started once its last child has started."""

    async def run(ctx, *, task_status):
        task_status.started()
        if asks == "stop":
            await ctx.tree.stop()
            pytest.fail("cancelled while waiting")
        ctx.tree.request_stop()
        await trio.sleep_forever()

    async with world.open(world.child("a"), world.child("x", start=run)) as tree:
        assert (await tree.wait()).outcome is Outcome.STOPPED
    assert world.log == ["+a", "-a"]


async def test_asking_while_starting_waits_for_the_timeout_only(world, autojump_clock):
    """The documented mistake is bounded: a child that adds a sibling before its own handshake."""

    async def run(ctx, *, task_status):
        await ctx.tree.supervisor("root").add_child(world.child("y"))

    with pytest.raises(StartFailed):
        async with world.open(world.child("x", start=run, start_timeout=3)):
            pytest.fail("the body must not begin")
    assert world.log == []


async def test_withdrawn_request_is_not_performed(world, autojump_clock):
    """Row 26: a request cancelled before its turn does nothing; one that has begun is completed."""

    async def slow(ctx, *, task_status):
        await trio.sleep(2)
        task_status.started()
        await trio.sleep_forever()

    async with world.open() as tree:
        root = tree.supervisor("root")
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                nursery.start_soon(root.add_child, world.child("slow", start=slow))
                await trio.testing.wait_all_tasks_blocked()
                await root.add_child(world.child("withdrawn"))
        with trio.move_on_after(1):
            await root.add_child(world.child("begun", start=slow))
        await trio.sleep(5)
        assert [child.name for child in tree.statistics().children] == ["slow", "begun"]
        assert tree.find("root/begun").state is ChildState.RUNNING


async def test_requests_to_a_stopped_supervisor(world):
    """Row 26: refused, those that wait too."""
    async with world.open(world.child("a")) as tree:
        root = tree.supervisor("root")
        async with trio.open_nursery() as nursery:

            async def late():
                with pytest.raises(SupervisorStopped):
                    await root.add_child(world.child("late"))

            tree.request_stop()
            nursery.start_soon(late)
        await tree.wait()
        with pytest.raises(SupervisorStopped):
            await root.terminate_child("a")


async def test_stop_during_add_child(world, autojump_clock):
    """Row 26: the start comes to nothing, who asked is told."""

    async def slow(ctx, *, task_status):
        await trio.sleep_forever()

    async with world.open(world.child("a")) as tree, trio.open_nursery() as nursery:

        async def add():
            with pytest.raises(SupervisorStopped):
                await tree.supervisor("root").add_child(world.child("slow", start=slow))

        nursery.start_soon(add)
        await trio.sleep(1)
        await tree.stop()


async def test_terminating_a_stuck_child(world, autojump_clock):
    """Rows 8 and 26: who asked is told; nobody needs its place, so the supervisor goes on."""
    async with world.open(world.child("a"), world.child("x", start=deaf, shutdown=1)) as tree:
        root = tree.supervisor("root")
        with pytest.raises(StuckChild, match="root/x: still running 1 s"):
            await root.terminate_child("x")
        assert tree.find("root/x").state is ChildState.STUCK
        with pytest.raises(ChildRunning):
            await root.restart_child("x")
        await trio.sleep(20)
        assert tree.find("root/x").state is ChildState.STOPPED
        assert tree.find("root/a").incarnation == 1
        await root.restart_child("x")
        await trio.sleep(10)


async def test_added_child_stuck_in_its_start(world, autojump_clock):
    """Rows 8 and 26."""

    async def deaf_start(ctx, *, task_status):
        with trio.CancelScope(shield=True):
            await trio.sleep(10)

    async with world.failing(StuckChild, world.child("a")) as tree:
        with pytest.raises(StuckChild):
            await tree.supervisor("root").add_child(
                world.child("x", start=deaf_start, start_timeout=1, shutdown=1)
            )
        await trio.sleep_forever()


async def test_restarted_supervisor_has_lost_its_added_children(world, autojump_clock):
    """Row 27: and has got back what had been removed."""
    box = Mailbox("box", block(1))
    inner = world.supervisor(world.child("a"), world.child("b"), name="inner", intensity=Intensity(0, 1))
    async with world.open(inner) as tree:
        first = tree.supervisor("root/inner")
        await first.add_child(world.child("x", mailboxes=(box,)))
        await first.terminate_child("b")
        await first.remove_child("b")
        world.crash("a")
        await world.settle()
        assert [child.name for child in tree.find("root/inner").children] == ["a", "b"]
        assert tree.supervisor("root/inner") is not first
        with pytest.raises(SupervisorStopped):
            await first.add_child(world.child("y"))
        with pytest.raises(trio.BrokenResourceError):
            box.send_nowait(1)


async def test_paths(world):
    """Finding supervisors by path."""
    async with world.open(world.child("a"), world.supervisor(name="inner")) as tree:
        assert tree.supervisor("root/inner").path == "root/inner"
        assert tree.supervisor("root/inner").statistics() == tree.find("root/inner")
        for path in ("", "inner", "root/a", "root/none", "root/a/b", "root/inner/x", "root/"):
            with pytest.raises(UnknownChild):
                tree.supervisor(path)
        with pytest.raises(UnknownChild):
            tree.find("root/none")
