"""Rows 29 to 31: states, statistics at any time, and events that break nothing."""

import dataclasses
import random

import pytest
import trio

from supervisors import (
    ChildState,
    ErrorRecord,
    EventKind,
    InvalidSpec,
    Mailbox,
    SupervisorStatistics,
    UnknownChild,
    block,
    open_tree,
)


async def test_expected_outage_is_a_state(world):
    """Row 29: degraded with a reason, told once, and over again."""
    contexts = []

    async def run(ctx, *, task_status):
        contexts.append(ctx)
        task_status.started()
        await trio.sleep_forever()

    async with world.open(world.child("feed", start=run)) as tree:
        (ctx,) = contexts
        ctx.running()
        ctx.degraded("exchange is down")
        ctx.degraded("exchange is down")
        child = tree.find("root/feed")
        assert (child.state, child.reason) == (ChildState.DEGRADED, "exchange is down")
        ctx.degraded("exchange says: maintenance")
        ctx.running()
        ctx.running()
        child = tree.find("root/feed")
        assert (child.state, child.reason) == (ChildState.RUNNING, None)
        ctx.emit("reconnected to 2 of 3")
    ctx.emit("said after the end of the tree, heard by nobody")
    assert world.kinds("root/feed") == ["started", "degraded", "degraded", "recovered", "note", "stopped"]
    assert [event.detail for event in world.events if event.kind is EventKind.NOTE] == [
        "reconnected to 2 of 3"
    ]
    assert tree.statistics().restarts_counted == 0


async def test_degraded_from_the_start_and_forgotten_by_the_next_incarnation(world, autojump_clock):
    """Rows 18 and 29."""

    async def run(ctx, *, task_status):
        if ctx.incarnation == 1:
            ctx.degraded("cold cache")
        task_status.started()
        await trio.sleep(1)
        raise ValueError

    async with world.open(world.child("x", start=run)) as tree:
        assert tree.find("root/x").state is ChildState.DEGRADED
        await trio.sleep(1.5)
        assert tree.find("root/x").state is ChildState.RUNNING


async def test_statistics_show_the_whole_tree_while_it_runs(world, autojump_clock):
    """Row 30."""
    box = Mailbox("orders", block(5))
    inner = world.supervisor(world.child("b", mailboxes=(box,)), world.child("c"), name="inner")
    async with world.open(world.child("a"), inner) as tree:
        began = trio.current_time()
        box.send_nowait("x")
        await trio.sleep(3)
        world.crash("b", OSError("disk"))
        await trio.sleep(0.01)
        stats = tree.statistics()
        assert isinstance(stats, SupervisorStatistics)
        assert stats == tree.supervisor("root").statistics()
        assert [node.path for node in stats.walk()] == [
            "root",
            "root/a",
            "root/inner",
            "root/inner/b",
            "root/inner/c",
        ]
        assert [node.state.value for node in stats.walk()] == [
            "running",
            "running",
            "running",
            "backing off",
            "running",
        ]
        child = stats.find("root/inner/b")
        assert child.started_at == began
        assert 0 < child.restart_at - trio.current_time() < 0.1
        assert (child.incarnation, child.restarts, child.failures) == (1, 0, 1)
        assert child.last_error.type == "OSError"
        assert child.last_error.message == "disk"
        assert "in World.crash.<locals>.order" in child.last_error.traceback.splitlines()[-1]
        assert child.mailboxes[0].depth == 1
        assert child.mailboxes[0].oldest_age == pytest.approx(3.01)
        inner_stats = stats.find("root/inner")
        assert (inner_stats.restarts_in_window, inner_stats.restarts_counted) == (1, 1)
        assert (inner_stats.strategy, inner_stats.max_restarts, inner_stats.period) == ("one for one", 3, 5.0)
        await world.settle()
        child = tree.find("root/inner/b")
        assert (child.state, child.incarnation, child.restarts) == (ChildState.RUNNING, 2, 1)
        assert child.last_error.message == "disk"
        await trio.sleep(10)
        assert tree.find("root/inner").restarts_in_window == 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            stats.path = "mine"
        with pytest.raises(UnknownChild, match="root/none"):
            stats.find("root/none")
        assert dataclasses.asdict(stats)["children"][1]["children"][0]["name"] == "b"
    assert {node.state for node in tree.statistics().walk()} == {ChildState.STOPPED}


async def test_statistics_during_start_and_stop(world, autojump_clock):
    """Row 30: a child looks at its own tree while it comes up and goes down."""
    seen = []

    async def run(ctx, *, task_status):
        def look():
            seen.append([child.state.value for child in ctx.tree.statistics().children])

        look()
        task_status.started()
        look()
        try:
            await trio.sleep_forever()
        finally:
            look()

    async with world.open(world.child("a"), world.child("x", start=run), world.child("c")) as tree:
        assert tree.statistics().state is ChildState.RUNNING
    assert seen == [
        ["running", "starting", "stopped"],
        ["running", "running", "stopped"],
        ["running", "stopping", "stopped"],
    ]


async def test_events_arrive_in_order(world, autojump_clock):
    """Row 31."""
    inner = world.supervisor(world.child("b"), name="inner")
    async with world.open(world.child("a"), inner):
        await trio.sleep(1)
        world.crash("b", OSError("disk"))
        await world.settle()
    told = [(event.kind.value, event.path, event.incarnation) for event in world.events]
    assert told == [
        ("started", "root/a", 1),
        ("started", "root/inner/b", 1),
        ("started", "root/inner", 1),
        ("crashed", "root/inner/b", 1),
        ("backing off", "root/inner/b", 1),
        ("restarted", "root/inner/b", 2),
        ("stopped", "root/inner/b", 2),
        ("stopped", "root/inner", 1),
        ("stopped", "root/a", 1),
    ]
    times = [event.at for event in world.events]
    assert times == sorted(times)
    assert world.events[3].error.message == "disk"


class Panic(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("bad callback"), Panic("worse")])
async def test_callback_that_raises_is_contained_and_counted(world, autojump_clock, error):
    """Row 31."""

    def callback(event):
        world.events.append(event)
        raise error

    spec = world.supervisor(world.child("a"))
    async with open_tree(spec, rng=random.Random(0), on_event=callback) as tree:
        world.crash("a")
        await world.settle()
        assert tree.find("root/a").incarnation == 2
    assert len(world.events) == 5
    events = tree.events()
    assert (events.delivered, events.failed, events.dropped, events.waiting) == (5, 5, 0, 0)
    assert events.last_error.message == str(error)


async def test_too_many_events_lose_the_oldest(world):
    """Row 31: the queue is bounded, the loss counted."""
    contexts = []

    async def run(ctx, *, task_status):
        contexts.append(ctx)
        task_status.started()
        await trio.sleep_forever()

    async with world.open(world.child("x", start=run)) as tree:
        for number in range(5000):
            contexts[0].emit(str(number))
        assert tree.events().dropped >= 5000 - 1024
    events = tree.events()
    assert events.delivered == len(world.events)
    assert events.delivered + events.dropped == 5002
    assert [event.detail for event in world.events if event.kind is EventKind.NOTE][-1] == "4999"


async def test_fatal_error_of_the_callback_propagates(world):
    """Rows 10 and 31."""

    def callback(event):
        raise SystemExit(4)

    with pytest.RaisesGroup(SystemExit, flatten_subgroups=True):
        async with open_tree(world.supervisor(world.child("a")), rng=random.Random(0), on_event=callback):
            await trio.sleep_forever()
    assert world.log == ["+a", "-a"]


async def test_without_a_callback_nothing_is_kept(world):
    """Row 31."""
    async with open_tree(world.supervisor(world.child("a")), rng=random.Random(0)) as tree:
        pass
    assert dataclasses.astuple(tree.events()) == (0, 0, 0, 0, None)


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("not even printable")


def test_record_of_hostile_and_huge_errors():
    """Bounded in space and time, whatever the error is."""
    assert ErrorRecord.of(Hostile()).message == "<its __str__ raised RuntimeError>"
    assert len(ErrorRecord.of(ValueError("x" * 10**6)).message) == 500
    group = ExceptionGroup("many", [ValueError(n) for n in range(1000)])
    assert "with 997 more" in ErrorRecord.of(group).traceback
    chain: BaseException = ValueError("end")
    for n in range(100):
        link = ValueError(f"link {n}")
        link.__cause__ = chain
        chain = link
    assert ErrorRecord.of(chain).traceback.count("caused by") == 3
    loop = ValueError("loop")
    loop.__cause__ = loop
    assert len(ErrorRecord.of(loop).traceback) < 1000


def test_record_of_a_deep_recursion_is_short_and_quick():
    def down(n):
        if n == 0:
            raise ValueError("bottom")
        down(n - 1)

    try:
        down(500)
    except ValueError as error:
        record = ErrorRecord.of(error)
    assert len(record.traceback.splitlines()) == 8


async def test_hostile_error_is_but_a_crash(world, autojump_clock):
    """Row 9: the supervisor formats nothing and survives."""
    async with world.open(world.child("a")) as tree:
        world.crash("a", Hostile())
        await world.settle()
        assert tree.find("root/a").incarnation == 2
        assert tree.find("root/a").last_error.type.endswith("Hostile")


async def test_callback_runs_in_a_task_of_its_own(world, autojump_clock):
    """Row 31: no supervisor waits for it, and it may look at the tree and stop it."""
    tasks = set()

    def callback(event):
        tasks.add(trio.lowlevel.current_task().name)
        if event.kind is EventKind.CRASHED:
            assert trees[0].find(event.path).last_error == event.error
            trees[0].request_stop()

    trees = []
    async with open_tree(
        world.supervisor(*map(world.child, "abc")), rng=random.Random(0), on_event=callback
    ) as tree:
        trees.append(tree)
        world.crash("b")
        await tree.wait()
        assert tree.find("root/b").incarnation == 1
    assert tree.events().failed == 0
    assert tasks == {"supervisors._tree.Tree._deliver"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "must not be empty"),
        ({"name": "a/b"}, "must not be empty or contain"),
        ({"name": "a", "start": "nothing"}, "start must be callable"),
        ({"name": "a", "start_timeout": 0}, "start_timeout must be positive"),
        ({"name": "a", "start_timeout": float("nan")}, "start_timeout must be positive"),
        ({"name": "a", "shutdown": 0}, "shutdown must be positive"),
        (
            {"name": "a", "mailboxes": (Mailbox("m", block(1)), Mailbox("m", block(1)))},
            "two mailboxes named 'm'",
        ),
    ],
)
def test_child_specifications_are_checked(world, options, message):
    with pytest.raises(InvalidSpec, match=message):
        world.child(**options)


def test_supervisor_specifications_are_checked(world):
    with pytest.raises(InvalidSpec, match="two children named 'a'"):
        world.supervisor(world.child("a"), world.child("a"))
    with pytest.raises(InvalidSpec, match="shutdown must be positive"):
        world.supervisor(shutdown=-1)
    box = Mailbox("m", block(1))
    inner = world.supervisor(world.child("b", mailboxes=(box,)), name="inner")
    with pytest.raises(InvalidSpec, match="read by two children"):
        world.supervisor(world.child("a", mailboxes=(box,)), inner)
