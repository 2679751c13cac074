"""A supervisor against a model of OTP's rules: any order of crashes, ends, waits and requests.

Rules act on the model, which tells at once what must come of it; what they did is then played to a real
tree in virtual time, and compared after every step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisors import (
    NO_BACKOFF,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    RestartIntensityExceeded,
    StartFailed,
    Strategy,
    SupervisorSpec,
    SupervisorStopped,
    open_tree,
)

BACKOFF = Backoff(initial=1.0, factor=2.0, maximum=4.0, jitter=0.0, reset_after=10.0)
NAMES = ("a", "b", "c", "d", "e")


@dataclass
class Child:
    """One child as OTP would see it.

    Attributes:
        since: when it started, while it runs; `last` the same of its last life.
        due: when it is to be started again.
        failures: in a row.
    """

    name: str
    restart: Restart
    since: float | None = None
    last: float | None = None
    due: float | None = None
    failures: int = 0


@dataclass
class Model:
    """The supervisor ``root/sub``, and as much of its parent as it takes.

    Attributes:
        log: starts and ends, in order.
        unable: children whose next start fails.
        lives: how often the supervisor may still give up.
    """

    strategy: Strategy
    intensity: Intensity
    spec: tuple[tuple[str, Restart], ...]
    now: float = 0.0
    children: list[Child] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    unable: set[str] = field(default_factory=set)
    lives: int = 1
    ended: bool = False

    def begin(self) -> None:
        """Start all, from the specification."""
        self.stamps = []
        self.children = [Child(name, restart) for name, restart in self.spec]
        for child in self.children:
            if not self.start(child):
                self.stop_all()
                return self.fall()
        return None

    def start(self, child: Child) -> bool:
        child.due = None
        if child.name in self.unable:
            self.unable.discard(child.name)
            child.last = None
            return False
        child.since = child.last = self.now
        self.log.append(f"+{child.name}")
        return True

    def stop(self, child: Child) -> None:
        if child.since is not None:
            child.since = None
            self.log.append(f"-{child.name}")

    def stop_all(self) -> None:
        for child in reversed(self.children):
            child.due = None
            self.stop(child)

    def fall(self) -> None:
        """It has ended with an error; its parent starts it again once."""
        self.lives -= 1
        if self.lives < 0:
            self.ended = True
        else:
            self.begin()

    def end(self, child: Child, *, crashed: bool) -> None:
        """A child's life ends by itself."""
        self.stop(child)
        if child.restart is Restart.PERMANENT or (child.restart is Restart.TRANSIENT and crashed):
            self.fail(child)
        elif child.restart is Restart.TEMPORARY:
            self.children.remove(child)

    def fail(self, child: Child) -> None:
        """Count, and start again what shares the fate; or give up."""
        self.stamps = [at for at in self.stamps if at >= self.now - self.intensity.period] + [self.now]
        if len(self.stamps) > self.intensity.max_restarts:
            self.stop_all()
            return self.fall()
        healthy = child.last is not None and self.now - child.last >= BACKOFF.reset_after
        child.failures = 1 if healthy else child.failures + 1
        delay = min(BACKOFF.initial * BACKOFF.factor ** (child.failures - 1), BACKOFF.maximum)
        place = self.children.index(child)
        group = {
            Strategy.ONE_FOR_ONE: [child],
            Strategy.REST_FOR_ONE: self.children[place:],
            Strategy.ONE_FOR_ALL: self.children[:],
        }[self.strategy]
        for sibling in reversed(group):
            if sibling.since is not None:
                self.stop(sibling)
                if sibling.restart is Restart.TEMPORARY:
                    self.children.remove(sibling)
        for sibling in group:
            sibling.due = max(self.now + delay, sibling.due or 0.0)
        return None

    def wait(self, seconds: float) -> None:
        """Time passes; what is due is started, the first in order first."""
        until = self.now + seconds
        while not self.ended:
            due = [child for child in self.children if child.due is not None and child.due <= until]
            if not due:
                break
            self.now = max(min(child.due for child in due), self.now)
            child = next(child for child in due if child.due <= self.now)
            if not self.start(child):
                self.fail(child)
        self.now = until

    def find(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def snapshot(self) -> tuple:
        children = [(child.name, child.since is not None, child.due) for child in self.children]
        return self.now, self.ended, list(self.log), children


class Reality:
    """The real tree, whose children do what they are told."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.log: list[str] = []
        self.unable: set[str] = set()
        self._orders: dict[str, trio.MemorySendChannel[bool]] = {}

    def child(self, name: str, restart: Restart) -> ChildSpec:
        return ChildSpec(name=name, start=self._live, restart=restart)

    async def _live(self, ctx, /, *, task_status):
        if ctx.name in self.unable:
            self.unable.discard(ctx.name)
            raise OSError("no start")
        give, take = trio.open_memory_channel[bool](1)
        self._orders[ctx.name] = give
        self.log.append(f"+{ctx.name}")
        task_status.started()
        try:
            if await take.receive():
                raise ValueError("crash")
        finally:
            self.log.append(f"-{ctx.name}")

    def tell(self, name: str, *, crash: bool) -> None:
        self._orders[name].send_nowait(crash)

    def spec(self) -> SupervisorSpec:
        sub = SupervisorSpec(
            name="sub",
            strategy=self._model.strategy,
            intensity=self._model.intensity,
            backoff=BACKOFF,
            children=tuple(self.child(*each) for each in self._model.spec),
        )
        once = Intensity(max_restarts=1, period=1e6)
        return SupervisorSpec(name="root", children=(sub,), intensity=once, backoff=NO_BACKOFF)

    def snapshot(self, tree) -> tuple:
        sub = tree.find("root/sub")
        ended = tree.exit is not None
        children = [
            (child.name, child.state.value in ("running", "degraded"), child.restart_at)
            for child in sub.children
        ]
        return trio.current_time(), ended, list(self.log), children


class SupervisorMachine(RuleBasedStateMachine):
    """What the rules do is kept as (step, what the model says then), and played at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[tuple] = []

    @initialize(
        strategy=st.sampled_from(list(Strategy)),
        restarts=st.lists(st.sampled_from(list(Restart)), min_size=1, max_size=4),
        most=st.integers(0, 3),
        period=st.sampled_from([1.0, 5.0, 30.0]),
    )
    def begin(self, strategy, restarts, most, period):
        spec = tuple(zip(NAMES, restarts, strict=False))
        self.model = Model(strategy, Intensity(most, period), spec)
        self.model.begin()

    def did(self, *step):
        self.script.append((step, self.model.snapshot()))

    def names(self, *, running: bool) -> list[str]:
        return [child.name for child in self.model.children if (child.since is not None) is running]

    @precondition(lambda self: self.names(running=True) and not self.model.ended)
    @rule(data=st.data(), crashed=st.booleans())
    def end(self, data, crashed):
        name = data.draw(st.sampled_from(self.names(running=True)))
        self.model.end(self.model.find(name), crashed=crashed)
        self.model.wait(0)
        self.did("end", name, crashed)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 7.0, 40.0]))
    def wait(self, seconds):
        if not self.model.ended:  # then nothing is left to be done
            self.model.wait(seconds)
            self.did("wait", seconds)

    @precondition(lambda self: self.model.children and not self.model.ended)
    @rule(data=st.data())
    def unable(self, data):
        """The next start of a child fails."""
        name = data.draw(st.sampled_from([child.name for child in self.model.children]))
        self.model.unable.add(name)
        self.did("unable", name)

    @precondition(lambda self: self.model.children and not self.model.ended)
    @rule(data=st.data())
    def terminate(self, data):
        name = data.draw(st.sampled_from([child.name for child in self.model.children]))
        child = self.model.find(name)
        child.due = None
        if child.since is not None:
            self.model.stop(child)
            if child.restart is Restart.TEMPORARY:
                self.model.children.remove(child)
        self.did("terminate_child", name)

    @precondition(lambda self: self.names(running=False) and not self.model.ended)
    @rule(data=st.data(), remove=st.booleans())
    def restart_or_remove(self, data, remove):
        name = data.draw(st.sampled_from(self.names(running=False)))
        child = self.model.find(name)
        if remove:
            self.model.children.remove(child)
            self.did("remove_child", name)
        else:
            self.model.start(child)
            self.did("restart_child", name)

    @precondition(lambda self: len(self.model.children) < len(NAMES) and not self.model.ended)
    @rule(restart=st.sampled_from(list(Restart)))
    def add(self, restart):
        name = next(name for name in NAMES if name not in [child.name for child in self.model.children])
        child = Child(name, restart)
        self.model.children.append(child)
        if not self.model.start(child):
            self.model.children.remove(child)
        self.did("add_child", name, restart)

    def teardown(self):
        if hasattr(self, "model"):
            trio.run(self.play, clock=trio.testing.MockClock(autojump_threshold=0))

    async def play(self):
        reality = Reality(self.model)
        try:
            async with open_tree(reality.spec(), rng=random.Random(0)) as tree:
                for step, expected in self.script:
                    await self.do(reality, tree, *step)
                    await trio.testing.wait_all_tasks_blocked()
                    assert reality.snapshot(tree) == expected, step
        except RestartIntensityExceeded:
            assert self.model.ended
        else:
            assert not self.model.ended
        if not self.model.ended:
            self.model.stop_all()
        assert reality.log == self.model.log

    async def do(self, reality, tree, what, *args):
        if what == "end":
            reality.tell(args[0], crash=args[1])
        elif what == "wait":
            await trio.sleep(args[0])
        elif what == "unable":
            reality.unable.add(args[0])
        else:
            ask = getattr(tree.supervisor("root/sub"), what)
            request = reality.child(*args) if what == "add_child" else args[0]
            try:
                await ask(request)
            except (StartFailed, SupervisorStopped):
                assert what in ("add_child", "restart_child")


TestSupervisorMachine = SupervisorMachine.TestCase
TestSupervisorMachine.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
