"""Rows 19 to 25: intensity, back-off and significant children."""

import random
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisors import (
    NO_BACKOFF,
    AutoShutdown,
    Backoff,
    ChildState,
    ExitReason,
    Intensity,
    InvalidSpec,
    Outcome,
    Restart,
    RestartIntensityExceeded,
    StartFailed,
    Strategy,
)
from supervisors._intensity import RestartWindow


@given(
    gaps=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 5.0]), max_size=40),
    most=st.integers(0, 4),
    period=st.sampled_from([0.5, 1.0, 2.5, 5.0]),
)
def test_window_agrees_with_a_naive_model(gaps, most, period):
    """Row 19: the window slides, both ends included; more than ``max_restarts`` is too many."""
    window = RestartWindow(Intensity(most, period))
    now = 100.0
    stamps = []
    for gap in gaps:
        now += gap
        stamps.append(now)
        in_window = [stamp for stamp in stamps if now - period <= stamp <= now]
        assert window.add(now) == (len(in_window) > most)
        assert window.count(now) == len(in_window)


@pytest.mark.parametrize(("gap", "gives_up"), [(5.0, True), (5.001, False)])
async def test_window_is_inclusive(world, autojump_clock, gap, gives_up):
    """Row 19: two failures 5 s apart are within a period of 5 s."""

    async def run(ctx, *, task_status):
        task_status.started()
        await trio.sleep(gap)
        raise ValueError

    with trio.move_on_after(gap * 2.5):
        if gives_up:
            async with world.failing(
                RestartIntensityExceeded,
                world.child("x", start=run),
                intensity=Intensity(1, 5.0),
                backoff=NO_BACKOFF,
            ):
                await trio.sleep_forever()
        else:
            async with world.open(
                world.child("x", start=run), intensity=Intensity(1, 5.0), backoff=NO_BACKOFF
            ):
                await trio.sleep_forever()
    assert world.kinds("root").count("gave up") == gives_up


async def test_no_restart_allowed(world):
    """Row 19: with ``max_restarts=0`` the first failure is one too many."""
    async with world.failing(RestartIntensityExceeded, world.child("a"), intensity=Intensity(0, 1)):
        world.crash("a")
        await trio.sleep_forever()
    assert world.log == ["+a", "-a"]


async def test_siblings_stopped_by_the_strategy_do_not_count(world, autojump_clock):
    """Row 20."""
    async with world.open(*map(world.child, "abcdef"), strategy=Strategy.ONE_FOR_ALL) as tree:
        for expected in (1, 2, 3):
            world.crash("c")
            await world.settle()
            assert tree.statistics().restarts_in_window == expected
            assert all(child.state is ChildState.RUNNING for child in tree.statistics().children)
        await trio.sleep(10)
        assert tree.statistics().restarts_in_window == 0
        assert tree.statistics().restarts_counted == 3


async def test_failed_restart_counts_again(world, autojump_clock):
    """Row 21."""

    async def run(ctx, *, task_status):
        if ctx.incarnation > 1:
            raise OSError(f"attempt {ctx.incarnation}")
        task_status.started()
        raise ValueError

    async with world.failing(RestartIntensityExceeded, world.child("x", start=run), world.child("a")):
        await trio.sleep_forever()
    assert world.kinds("root/x").count("start failed") == 3
    assert isinstance(world.error.__cause__, StartFailed)
    assert str(world.error.__cause__.__cause__) == "attempt 4"


async def test_failed_restart_of_a_sibling_begins_the_next_pass_there(world, autojump_clock):
    """Row 21: REST_FOR_ONE goes on with the one that failed, what was restarted before it keeps running."""

    async def run(ctx, *, task_status):
        world.log.append(f"?{ctx.name}")
        if ctx.incarnation == 2:
            raise OSError
        task_status.started()
        await trio.sleep_forever()

    children = [world.child("a"), world.child("x", start=run), world.child("c")]
    async with world.open(*children, strategy=Strategy.REST_FOR_ONE) as tree:
        world.crash("a")
        await trio.sleep(2)
        assert world.log == ["+a", "?x", "+c", "-a", "-c", "+a", "?x", "?x", "+c"]
        assert tree.statistics().restarts_counted == 2


async def test_stop_between_failing_restarts(world, autojump_clock):
    """Row 21: retries without a pause do not keep the supervisor from hearing."""

    async def run(ctx, *, task_status):
        if ctx.incarnation > 1:
            await trio.lowlevel.checkpoint()
            raise OSError
        task_status.started()
        raise ValueError

    async with world.open(
        world.child("x", start=run), intensity=Intensity(10**6, 1), backoff=NO_BACKOFF
    ) as tree:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
    assert tree.find("root/x").incarnation > 5
    assert tree.exit.outcome is Outcome.STOPPED


async def test_giving_up_stops_all_then_raises_with_the_cause(world, autojump_clock):
    """Row 22, at the root."""
    async with world.failing(RestartIntensityExceeded, *map(world.child, "abc"), backoff=NO_BACKOFF) as tree:
        for _ in range(3):
            world.crash("b", OSError("gone"))
            await world.settle()
        world.crash("b", OSError("gone"))
        exit_ = await tree.wait()
        assert exit_.outcome is Outcome.GAVE_UP
    assert exit_.error is world.error
    assert str(world.error) == "root: more than 3 restarts within 5 s, the last for root/b"
    assert isinstance(world.error.__cause__, OSError)
    assert world.log[-3:] == ["-b", "-c", "-a"]
    assert world.kinds("root") == ["gave up"]


async def test_parent_sees_a_crash_and_restarts_the_whole_subtree(world, autojump_clock):
    """Row 22, one level down: escalation, with a fresh window."""
    inner = world.supervisor(*map(world.child, "bc"), name="inner", intensity=Intensity(1, 5))
    async with world.open(world.child("a"), inner) as tree:
        world.crash("b")
        await world.settle()
        world.crash("b")
        await world.settle()
        node = tree.find("root/inner")
        assert node.incarnation == 2
        assert node.last_exit is ExitReason.CRASHED
        assert node.last_error.type == "supervisors._errors.RestartIntensityExceeded"
        assert node.restarts_in_window == 0
        assert tree.statistics().restarts_in_window == 1
        assert world.log == ["+a", "+b", "+c", "-b", "+b", "-b", "-c", "+b", "+c"]


async def test_intensities_multiply_over_levels(world, autojump_clock):
    """Row 22: (1 + 1) * (2 + 1) failures end a tree of two levels."""
    deaths = []

    async def run(ctx, *, task_status):
        task_status.started()
        deaths.append(trio.current_time())
        raise ValueError

    inner = world.supervisor(
        world.child("x", start=run), name="inner", intensity=Intensity(1, 5), backoff=NO_BACKOFF
    )
    async with world.failing(RestartIntensityExceeded, inner, intensity=Intensity(2, 5), backoff=NO_BACKOFF):
        await trio.sleep_forever()
    assert len(deaths) == 6
    assert isinstance(world.error.__cause__, RestartIntensityExceeded)
    assert isinstance(world.error.__cause__.__cause__, ValueError)


@given(
    initial=st.floats(0, 10),
    factor=st.floats(1, 10),
    room=st.floats(0, 100),
    jitter=st.floats(0, 1),
    failures=st.integers(1, 10_000),
    seed=st.integers(0, 99),
)
def test_delay_stays_within_its_bounds(initial, factor, room, jitter, failures, seed):
    """Row 23."""
    backoff = Backoff(initial, factor, initial + room, jitter)
    delay = backoff.delay(failures, random.Random(seed))
    longest = Backoff(initial, factor, initial + room, 0).delay(failures, random.Random(seed))
    assert longest * (1 - jitter) * (1 - 1e-12) <= delay <= longest <= initial + room
    assert longest <= Backoff(initial, factor, initial + room, 0).delay(failures + 1, random.Random(seed))


def test_delays_double_up_to_the_maximum():
    """Row 23."""
    backoff = Backoff(initial=1, factor=2, maximum=10, jitter=0)
    assert [backoff.delay(n, random.Random()) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert NO_BACKOFF.delay(10_000, random.Random()) == 0


async def test_back_off_grows_and_starts_anew_after_a_healthy_time(world, autojump_clock):
    """Row 23."""
    began = []

    async def run(ctx, *, task_status):
        began.append(trio.current_time())
        task_status.started()
        await trio.sleep(50 if ctx.incarnation == 4 else 1)
        raise ValueError

    backoff = Backoff(initial=1, factor=2, maximum=60, jitter=0, reset_after=30)
    async with world.open(world.child("x", start=run), backoff=backoff) as tree:
        await trio.sleep(63)
        assert tree.find("root/x").failures == 2
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert gaps == pytest.approx([1 + 1, 1 + 2, 1 + 4, 50 + 1])


async def test_back_off_does_not_hold_up_siblings(world, autojump_clock):
    """Row 23: other children are served while one waits."""
    backoff = Backoff(initial=10, maximum=10, jitter=0)
    async with world.open(*map(world.child, "ab"), backoff=backoff) as tree:
        world.crash("a")
        await trio.sleep(5)
        world.crash("b")
        await trio.sleep(6)
        assert tree.find("root/a").incarnation == 2
        assert tree.find("root/b").state is ChildState.BACKING_OFF
        await trio.sleep(5)
        assert tree.find("root/b").incarnation == 2


async def test_jitter_comes_from_the_generator_handed_in(world, autojump_clock):
    """Row 23: equal seeds, equal delays."""
    runs = []
    for _ in range(2):
        world.events.clear()
        async with world.open(world.child("a")):
            world.crash("a")
            await world.settle()
        runs.append([event.detail for event in world.events if event.kind.value == "backing off"])
    assert runs[0] == runs[1] != []


@pytest.mark.parametrize(
    ("auto", "ended"), [(AutoShutdown.ANY_SIGNIFICANT, 1), (AutoShutdown.ALL_SIGNIFICANT, 2)]
)
async def test_end_of_significant_children_ends_the_supervisor(world, autojump_clock, auto, ended):
    """Row 24."""
    options = {"significant": True, "restart": Restart.TRANSIENT}
    children = [world.child("a"), world.child("s", **options), world.child("t", **options)]
    async with world.open(*children, auto_shutdown=auto) as tree:
        world.finish("s")
        await world.settle()
        assert (tree.exit is not None) == (ended == 1)
        if ended == 2:
            world.finish("t")
        exit_ = await tree.wait()
        assert exit_.outcome is Outcome.FINISHED
        await trio.sleep(1)  # the body goes on
    assert world.log[-1] == "-a"


async def test_crash_of_a_transient_significant_child_is_not_its_end(world, autojump_clock):
    """Row 24: it is restarted; while it waits for that it is not gone."""
    options = {"significant": True, "restart": Restart.TRANSIENT}
    children = [world.child("s", **options), world.child("t", **options)]
    async with world.open(*children, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT) as tree:
        world.crash("s")
        await trio.sleep(0.01)
        assert tree.find("root/s").state is ChildState.BACKING_OFF
        world.finish("t")
        await world.settle()
        assert tree.exit is None
        assert tree.find("root/s").incarnation == 2
        world.finish("s")
        assert (await tree.wait()).outcome is Outcome.FINISHED


async def test_crash_of_a_temporary_significant_child_is_its_end(world):
    """Row 24."""
    child = world.child("s", significant=True, restart=Restart.TEMPORARY)
    async with world.open(child, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT) as tree:
        world.crash("s")
        assert (await tree.wait()).outcome is Outcome.FINISHED


@pytest.mark.parametrize(("restart", "again"), [(Restart.TRANSIENT, False), (Restart.PERMANENT, True)])
async def test_auto_shutdown_of_a_nested_supervisor_is_a_normal_exit(world, autojump_clock, restart, again):
    """Row 24: what follows is up to its own restart type."""
    inner = world.supervisor(
        world.child("s", significant=True, restart=Restart.TRANSIENT),
        name="inner",
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
        restart=restart,
    )
    async with world.open(inner) as tree:
        world.finish("s")
        await world.settle()
        assert tree.find("root/inner").last_exit is ExitReason.NORMAL
        assert tree.find("root/inner").incarnation == 1 + again


async def test_stops_by_the_supervisor_are_no_end_of_a_significant_child(world, autojump_clock):
    """Row 25: neither a terminated child nor one stopped for its sibling."""
    significant = {"significant": True}
    children = [
        world.child("a"),
        world.child("s", restart=Restart.TRANSIENT, **significant),
        world.child("t", restart=Restart.TEMPORARY, **significant),
    ]
    async with world.open(
        *children, strategy=Strategy.ONE_FOR_ALL, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT
    ) as tree:
        world.crash("a")
        await world.settle()
        assert [child.name for child in tree.statistics().children] == ["a", "s"]
        await tree.supervisor("root").terminate_child("s")
        await world.settle()
        assert tree.exit is None


async def test_significance_is_checked(world):
    """Row 25: not for permanent children, and not where it would mean nothing."""
    with pytest.raises(InvalidSpec, match="permanent"):
        world.child("s", significant=True)
    temporary = world.child("s", significant=True, restart=Restart.TEMPORARY)
    with pytest.raises(InvalidSpec, match="NEVER"):
        world.supervisor(temporary)
    async with world.open() as tree:
        with pytest.raises(InvalidSpec, match="NEVER"):
            await tree.supervisor("root").add_child(temporary)
