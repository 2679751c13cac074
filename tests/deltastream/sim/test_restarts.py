"""Supervision followed by a model: what OTP would not do is told, what it would do is not."""

from __future__ import annotations

import random

import pytest
import trio

from deltastream.sim.restarts import Restarts
from supervisors import (
    Backoff,
    ChildSpec,
    Event,
    EventKind,
    Intensity,
    RestartIntensityExceeded,
    StartFailed,
    Strategy,
    SupervisorSpec,
    open_tree,
)
from supervisors._statistics import ErrorRecord

K = EventKind


async def idle(ctx, /, *, task_status):
    task_status.started()
    await trio.sleep_forever()


SPEC = SupervisorSpec(
    name="root",
    strategy=Strategy.REST_FOR_ONE,
    intensity=Intensity(max_restarts=2, period=10.0),
    backoff=Backoff(initial=0.1, maximum=1.0),
    children=(
        ChildSpec(name="a", start=idle),
        SupervisorSpec(
            name="sub",
            intensity=Intensity(max_restarts=1, period=5.0),
            children=(ChildSpec(name="x", start=idle), ChildSpec(name="y", start=idle)),
        ),
        ChildSpec(name="c", start=idle),
    ),
)


@pytest.fixture
def shape():
    async def look():
        async with open_tree(SPEC, rng=random.Random(1)) as tree:
            return tree.statistics()

    return trio.run(look)


@pytest.fixture
def judge(shape):
    """What a model complains of, given (kind, path) or (kind, path, at), all started before."""

    def judged(*events, begin=True):
        codes = []
        model = Restarts(shape, lambda code, detail: codes.append(code))
        first = ["root/a", "root/sub/x", "root/sub/y", "root/sub", "root/c"]
        told = [Event(K.STARTED, path, 0.0, 1) for path in first] if begin else []
        exceeded = ErrorRecord.of(RestartIntensityExceeded("root/sub", "root/sub/x", 1, 5.0))
        for kind, path, *at in events:
            error = exceeded if kind is K.GAVE_UP else None
            told.append(Event(kind, path, at[0] if at else 1.0, 1, error=error))
        model.follow(told)
        return codes

    return judged


def failure(path, at=1.0):
    return [(K.CRASHED, path, at), (K.BACKING_OFF, path, at), (K.RESTARTED, path, at + 0.2)]


def test_a_restart_within_the_intensity(judge):
    assert judge(*failure("root/sub/x", 1.0), *failure("root/sub/x", 6.1)) == []


def test_one_restart_too_many(judge):
    assert judge(*failure("root/sub/x", 1.0), *failure("root/sub/y", 6.0)) == ["intensity_exceeded"]


def test_giving_up_is_right_when_there_were_too_many(judge):
    gave_up = [(K.CRASHED, "root/sub/x", 2.0), (K.GAVE_UP, "root/sub", 2.0)]
    assert judge(*failure("root/sub/x", 1.0), *gave_up) == []
    assert judge(*gave_up) == ["gave_up_early"]


def test_giving_up_must_reach_the_parent(shape):
    model = Restarts(shape, lambda *_: None)
    model.follow([Event(K.GAVE_UP, "root/sub", 2.0, 1)])
    assert model.unresolved(10.0) == []
    assert model.unresolved(20.0) == ["root/sub"]
    model.follow([Event(K.CRASHED, "root/sub", 20.0, 1)])
    assert model.unresolved(99.0) == []


def test_a_restart_after_giving_up(judge):
    events = [*failure("root/sub/x", 1.0), (K.GAVE_UP, "root/sub", 2.0), *failure("root/sub/y", 2.0)]
    assert set(judge(*events)) == {"intensity_exceeded"}


def test_a_new_incarnation_of_a_supervisor_counts_anew(judge):
    events = [
        *failure("root/sub/x", 1.0),
        (K.STOPPED, "root/c"),
        (K.CRASHED, "root/sub", 2.0),
        (K.BACKING_OFF, "root/sub", 2.0),
        (K.STARTED, "root/sub/x", 2.2),
        (K.STARTED, "root/sub/y", 2.2),
        (K.RESTARTED, "root/sub", 2.2),
        (K.RESTARTED, "root/c", 2.2),
        *failure("root/sub/x", 2.5),
    ]
    assert judge(*events) == []


def test_the_rest_is_stopped_in_reverse_and_started_in_order(judge):
    down = [(K.CRASHED, "root/a"), (K.BACKING_OFF, "root/a"), (K.STOPPED, "root/c"), (K.STOPPED, "root/sub")]
    up = [(K.RESTARTED, path, 1.2) for path in ("root/a", "root/sub", "root/c")]
    assert judge(*down, *up) == []
    assert judge(*down[:2], down[3], down[2], *up) == ["stop_order"]
    assert judge(*down, up[0], up[2], up[1]) == ["start_order", "start_order"]
    assert judge(*down[:2], up[0]) == ["start_order"]


def test_a_child_that_fails_again_and_again_waits_longer_each_time(judge):
    again = [(K.CRASHED, "root/a", 1.3), (K.BACKING_OFF, "root/a", 1.3)]
    first = [(K.CRASHED, "root/a"), (K.STOPPED, "root/c"), (K.STOPPED, "root/sub"), (K.BACKING_OFF, "root/a")]
    assert judge(*first, (K.RESTARTED, "root/a", 1.07)) == ["backoff_missing"]
    assert judge(*first, (K.RESTARTED, "root/a", 1.08), *again, (K.RESTARTED, "root/a", 1.46)) == []
    assert judge(*first, (K.RESTARTED, "root/a", 1.08), *again, (K.RESTARTED, "root/a", 1.44)) == [
        "backoff_missing"
    ]


@pytest.mark.parametrize(("share", "codes"), [(1.0, ["backoff_regular"]), (0.99, [])])
def test_chance_decides_how_long_a_child_waits(shape, share, codes):
    found = []
    model = Restarts(shape, lambda code, detail: found.append(code))
    for failures in range(1, 6):
        told = f"restart in {0.1 * 2 ** (failures - 1) * share:.3g} s"
        model.follow([Event(K.BACKING_OFF, "root/a", 20.0 * failures, 1, told)])
    assert found == codes


def test_a_child_that_was_healthy_begins_a_new_row_of_failures(judge):
    healthy = [(K.CRASHED, "root/sub/x", 40.0), (K.BACKING_OFF, "root/sub/x", 40.0)]
    assert judge(*failure("root/sub/x"), *healthy, (K.RESTARTED, "root/sub/x", 40.08)) == []


def test_two_incarnations_at_once(judge):
    assert judge((K.RESTARTED, "root/sub/x")) == ["two_incarnations"]


def test_a_child_is_known_to_run_from_its_start_to_its_end(shape):
    model = Restarts(shape, print)
    model.follow([Event(K.STARTED, "root/a", 3.0, 1)])
    assert model.running_since("root/a") == 3.0
    model.follow([Event(K.CRASHED, "root/a", 4.0, 1)])
    assert model.running_since("root/a") is None


@pytest.mark.parametrize("seed", range(10))
async def test_the_real_supervisors_do_nothing_wrong(autojump_clock, seed):
    """A chaotic tree, its own events: the model has nothing to say, and sees every restart."""
    rng = random.Random(seed)
    codes, events = [], []

    async def crashing(ctx, /, *, task_status):
        if rng.random() < 0.8:
            task_status.started()
        await trio.sleep(rng.expovariate(1.0))
        raise RuntimeError("chaos")

    spec = SupervisorSpec(
        name="root",
        strategy=rng.choice(list(Strategy)),
        intensity=Intensity(max_restarts=20, period=3.0),
        children=(
            ChildSpec(name="a", start=idle),
            SupervisorSpec(name="sub", children=(ChildSpec(name="x", start=crashing),)),
            ChildSpec(name="b", start=crashing),
            ChildSpec(name="c", start=idle),
        ),
    )
    shape = None
    try:
        async with open_tree(spec, rng=rng, on_event=events.append) as tree:
            shape = tree.statistics()
            await trio.sleep(60)
    except (RestartIntensityExceeded, StartFailed):
        pass
    if shape is not None:
        model = Restarts(shape, lambda code, detail: codes.append((code, detail)))
        model.follow(events)
        assert codes == []
        assert model.restarts == sum(event.kind is K.RESTARTED for event in events) > 3
