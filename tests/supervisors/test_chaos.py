"""Random trees, random failures, random ends: no orphan, never two incarnations, strictly reverse stops."""

import contextlib
import random

import pytest
import trio
import trio.testing
from hypothesis import event, given, settings
from hypothesis import strategies as st

from supervisors import (
    Backoff,
    ChildSpec,
    ChildState,
    Intensity,
    Restart,
    RestartIntensityExceeded,
    StartFailed,
    Strategy,
    SupervisorSpec,
    open_tree,
)

STOP_AT = 20.55


class Panic(BaseException):
    pass


class Chaos:
    """A tree of three levels whose leaves draw their fates."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.alive: dict[str, int] = {}
        self.stopped: list[str] = []
        self.order: list[str] = []
        self.ending = False
        self.running: set[str] = set()
        self.began = 0.0

    def spec(self, name: str, path: str, depth: int) -> ChildSpec | SupervisorSpec:
        path = f"{path}/{name}" if path else name
        restart = self.rng.choice(
            [Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]
        )
        if depth == 0 or (depth < 3 and self.rng.random() < 0.3):
            self.order.append(path)
            self.alive[path] = 0
            return ChildSpec(name=name, start=self.leaf, restart=restart, start_timeout=0.2, shutdown=3)
        children = tuple(self.spec(f"{name}{n}", path, depth - 1) for n in range(self.rng.randint(1, 3)))
        return SupervisorSpec(
            name=name,
            children=children,
            strategy=self.rng.choice(list(Strategy)),
            intensity=Intensity(self.rng.randint(1, 6), self.rng.choice([2.0, 5.0])),
            backoff=Backoff(initial=self.rng.choice([0.0, 0.1]), maximum=0.1),
            restart=restart,
        )

    async def leaf(self, ctx, *, task_status):
        self.alive[ctx.path] += 1
        assert self.alive[ctx.path] == 1, "two incarnations at once"
        try:
            await self.live(ctx, task_status)
        except trio.Cancelled:
            if self.ending:
                self.stopped.append(ctx.path)
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.rng.choice([0, 0, 1, 2]))
                if self.rng.random() < 0.2:
                    raise OSError("in cleanup") from None
            raise
        finally:
            self.alive[ctx.path] -= 1

    async def live(self, ctx, task_status):
        """Fail to start early in a second, crash at whole ones, and neither once the end has come."""
        elapsed = trio.current_time() - self.began
        fate = self.rng.random() if elapsed % 1 < 0.3 and not self.ending else 1
        if fate < 0.03:
            raise OSError("no start")
        if fate < 0.05:
            await trio.sleep_forever()
        if fate < 0.3:
            await trio.sleep(0.1)
        task_status.started()
        elapsed = trio.current_time() - self.began
        await trio.sleep(int(elapsed) + self.rng.choice([1, 2, 5, 9, 99]) - elapsed)
        if self.ending:
            await trio.sleep_forever()
        end = self.rng.choice(
            [OSError("gone"), Panic(), ExceptionGroup("two", [ValueError(), KeyError()]), None]
        )
        if end is not None:
            raise end

    async def note_the_end(self):
        await trio.sleep_until(self.began + STOP_AT - 0.01)
        self.ending = True
        self.running = {path for path, count in self.alive.items() if count}


async def play(seed: int, end: str) -> None:
    chaos = Chaos(seed)
    spec = chaos.spec("r", "", 3)
    before = trio.lowlevel.current_statistics().tasks_living
    chaos.began = trio.current_time()
    tree = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chaos.note_the_end)
        with (
            contextlib.suppress(StartFailed, RestartIntensityExceeded, LookupError),
            trio.move_on_after(STOP_AT if end == "cancellation" else 1000),
        ):
            async with open_tree(spec, rng=chaos.rng, on_event=lambda _: None) as tree:
                await trio.sleep(STOP_AT + (end == "cancellation"))
                if end == "stop":
                    await tree.stop()
                elif end == "body error":
                    raise LookupError
        nursery.cancel_scope.cancel()
    assert not any(chaos.alive.values())
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert [path for path in reversed(chaos.order) if path in chaos.stopped] == chaos.stopped
    assert chaos.running <= set(chaos.stopped)
    if tree is not None:
        assert {n.state for n in tree.statistics().walk()} <= {ChildState.STOPPED, ChildState.FAILED}
        event(f"ended {tree.exit.outcome.value} with {len(chaos.running)} running")


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), end=st.sampled_from(["leave", "stop", "cancellation", "body error"]))
def test_random_lives_end_in_order_and_leave_nothing_behind(seed, end):
    """Rows 5, 7, 18 under everything at once."""
    trio.run(play, seed, end, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.slow
@settings(deadline=None, max_examples=2000)
@given(seed=st.integers(0, 2**32), end=st.sampled_from(["leave", "stop", "cancellation", "body error"]))
def test_thousands_of_random_lives(seed, end):
    """Rows 5, 7, 18 under everything at once, for long."""
    trio.run(play, seed, end, clock=trio.testing.MockClock(autojump_threshold=0))
