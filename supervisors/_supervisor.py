"""The supervisor: starts, watches, restarts and stops its children."""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from supervisors._child import Child, Incarnation, split_cancelled
from supervisors._context import Runtime
from supervisors._errors import (
    ChildRunning,
    DuplicateChild,
    RestartIntensityExceeded,
    StuckChild,
    SupervisorStopped,
    UnknownChild,
)
from supervisors._events import EventKind
from supervisors._intensity import RestartWindow
from supervisors._keeper import Keeper
from supervisors._requests import Request
from supervisors._spec import (
    AnySpec,
    AutoShutdown,
    Restart,
    Strategy,
    SupervisorSpec,
    check_significance,
    mailboxes_of,
)
from supervisors._statistics import ChildStatistics, ErrorRecord, SupervisorStatistics

__all__ = ["Supervisor"]

_COLLECT = 1.0
"""Seconds a supervisor has, its budget spent, to collect the children it then cancelled all at once."""


class Supervisor:
    """One incarnation of a supervisor. Trees create it; get at one with ``Tree.supervisor(path)``.

    Its own task does nothing but wait, start, cancel and count. All methods but ``run`` may be called from
    any task of the same Trio run.
    """

    def __init__(
        self, spec: SupervisorSpec, me: Child, runtime: Runtime, escalate: Callable[[StuckChild], None]
    ) -> None:
        self.spec = spec
        self.path = me.path
        self._me = me
        self._runtime = runtime
        self._escalate = escalate
        self._children = [Child(child, f"{me.path}/{child.name}") for child in spec.children]
        self._window = RestartWindow(spec.intensity)
        self._counted = 0
        self._inbox: deque[Callable[[Keeper], Awaitable[None]]] = deque()
        self._wake = trio.Event()
        self._keeper: Keeper | None = None
        self._stop_at: float | None = None
        self._error: BaseException | None = None
        self._closed = False

    # What others may ask of it

    @property
    def stopping(self) -> bool:
        """Whether it is stopping its children or has done so, for whatever reason."""
        return self._stop_at is not None

    @property
    def patience(self) -> float:
        """How many seconds who stops it has to wait for it."""
        return self._budget() + _COLLECT

    def request_stop(self) -> None:
        """Ask it to stop its children in reverse order and return normally; returns at once.

        A permanent one is then started again by its parent. To stop it for good, terminate it there.
        """
        if self._stop_at is None:
            self._stop_at = trio.current_time()
            self._wake.set()
            if self._keeper is not None:
                self._keeper.interrupt()

    def abort(self) -> None:
        """Ask everything below to end now, all at once; returns at once."""
        self.request_stop()
        for child in self._children:
            if child.incarnation is not None:
                child.incarnation.scope.cancel("the tree was aborted")
            if child.supervisor is not None:
                child.supervisor.abort()

    async def add_child(self, spec: AnySpec) -> Any:
        """Start a child and keep it as the last one; return what it passed to ``started()``.

        It is lost when this supervisor restarts. Call it from outside of the children being started: they
        and the supervisor would wait for each other until ``start_timeout``.

        Cancellation: before its turn nothing happens; afterwards the start is completed unseen.

        Raises:
            DuplicateChild: There is a child of that name.
            StartFailed: It did not start; it is not kept.
            StuckChild: It did not start in time and ignores its cancellation.
            SupervisorStopped: The supervisor is stopping.
        """
        check_significance(self.spec, spec)
        return await self._ask(partial(self._add, spec))

    async def terminate_child(self, name: str) -> None:
        """Stop a child and keep its specification, unless it is temporary. It may be stopped already.

        Cancellation: before its turn nothing happens; afterwards the stop is completed unseen.

        Raises:
            UnknownChild: There is no such child.
            StuckChild: It ignores its cancellation; the supervisor goes on without it.
            SupervisorStopped: The supervisor is stopping.
        """
        await self._ask(partial(self._terminate, name))

    async def restart_child(self, name: str) -> Any:
        """Start a child that has no incarnation; return what it passed to ``started()``. It is not counted.

        Cancellation: before its turn nothing happens; afterwards the start is completed unseen.

        Raises:
            UnknownChild: There is no such child.
            ChildRunning: It has an incarnation.
            StartFailed: It did not start; it is kept.
            StuckChild: It did not start in time and ignores its cancellation.
            SupervisorStopped: The supervisor is stopping.
        """
        return await self._ask(partial(self._start_again, name))

    async def remove_child(self, name: str) -> None:
        """Forget a child that has no incarnation.

        Cancellation: before its turn nothing happens; afterwards the child is forgotten unseen.

        Raises:
            UnknownChild: There is no such child.
            ChildRunning: It has an incarnation; terminate it first.
            SupervisorStopped: The supervisor is stopping.
        """
        await self._ask(partial(self._remove, name))

    def statistics(self) -> ChildStatistics:
        """Return a snapshot of it and of all below it."""
        return self._me.statistics()

    def find(self, name: str) -> Child:
        """Return what it keeps of a child, for its own package.

        Raises:
            UnknownChild: There is no such child.
        """
        for child in self._children:
            if child.spec.name == name:
                return child
        raise UnknownChild(f"{self.path}/{name}")

    def describe(self, **common: Any) -> SupervisorStatistics:
        """Return a snapshot, given the fields of what is known of it as a child."""
        return SupervisorStatistics(
            **common,
            strategy=self.spec.strategy.value,
            restarts_in_window=self._window.count(trio.current_time()),
            restarts_counted=self._counted,
            max_restarts=self.spec.intensity.max_restarts,
            period=self.spec.intensity.period,
            children=tuple(child.statistics() for child in self._children),
        )

    # Its life

    async def run(self, task_status: trio.TaskStatus[Any]) -> None:
        """Start the children, supervise them until asked to stop, stop them.

        Cancellation becomes a request for an ordered stop: the children live under a shield that ends with
        the last of them.

        Raises:
            StartFailed: A child did not start; those before it have been stopped.
            RestartIntensityExceeded: It gave up.
            StuckChild: A child that had to make way ignored its cancellation.
            KeyboardInterrupt, SystemExit: A child raised it; the others have been stopped in order.
        """
        try:
            async with trio.open_nursery() as watch:
                watch.start_soon(self._watch)
                with trio.CancelScope(shield=True):
                    await self._supervise(task_status)
                watch.cancel_scope.cancel("the supervisor has ended")
        except BaseException as error:
            if self._error is None or split_cancelled(error)[1] is not None:
                raise
        if self._error is not None:
            raise self._error

    async def _watch(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.request_stop()

    async def _supervise(self, task_status: trio.TaskStatus[Any]) -> None:
        async with trio.open_nursery() as nursery:
            keeper = self._keeper = Keeper(
                nursery, self._runtime, supervise=self._nested, on_exit=self._ended, on_fatal=self._end
            )
            if self.stopping:
                keeper.interrupt()
            try:
                if await self._start_all(keeper):
                    task_status.started(self)
                    await self._serve(keeper)
            finally:
                self._close()
            await self._stop_all(keeper)
        for child in self._children:
            if child.incarnation is not None:
                keeper.collect(child)
            self._release(child)

    async def _start_all(self, keeper: Keeper) -> bool:
        for child in self._children:
            error = await keeper.start(child)
            if error is not None:
                self._error = error
                self.request_stop()
                return False
            if child.incarnation is None:
                return False  # interrupted
        return True

    async def _serve(self, keeper: Keeper) -> None:
        while not self.stopping:
            if self._inbox:
                await self._inbox.popleft()(keeper)
            elif (child := self._due()) is not None:
                error = await keeper.start(child)
                if error is not None:
                    await self._failed(keeper, child, error)
            else:
                await self._idle()

    def _due(self) -> Child | None:
        now = trio.current_time()
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now:
                return child
        return None

    async def _idle(self) -> None:
        self._wake = trio.Event()
        times = [child.restart_at for child in self._children if child.restart_at is not None]
        with trio.move_on_at(min(times, default=math.inf)):
            await self._wake.wait()

    # What happens to its children

    def _post(self, message: Callable[[Keeper], Awaitable[None]]) -> None:
        self._inbox.append(message)
        self._wake.set()

    def _nested(self, child: Child, life: Incarnation) -> Callable[[], Awaitable[object]]:
        if not isinstance(child.spec, SupervisorSpec):
            raise TypeError(f"{child.path} is no supervisor")

        def escalate(error: StuckChild) -> None:
            life.handshake.set()
            self._post(partial(self._on_stuck_below, child, life, error))

        child.supervisor = Supervisor(child.spec, child, self._runtime, escalate)
        return partial(child.supervisor.run, life)

    def _ended(self, child: Child, life: Incarnation) -> None:
        self._post(partial(self._on_exit, child, life))

    async def _on_exit(self, child: Child, life: Incarnation, keeper: Keeper) -> None:
        if child.incarnation is not life:
            return  # collected already, by whoever stopped it
        ended = keeper.collect(child)
        if life.stopping:
            self._forget_temporary(child)  # it had been stuck
        elif child.restarts_after(ended):
            await self._failed(keeper, child, ended.error)
        else:
            self._forget_temporary(child)
            if self._ends_with(child):
                self.request_stop()

    async def _on_stuck_below(
        self, child: Child, life: Incarnation, error: StuckChild, keeper: Keeper
    ) -> None:
        if child.incarnation is not life or life.stopping:
            return
        if (ended := await keeper.halt(child)) is None:
            self._end(child.stuck_error(cause=error))
        else:
            await self._failed(keeper, child, ended.error)

    async def _failed(self, keeper: Keeper, child: Child, error: BaseException | None) -> None:
        """Count a failure, stop the siblings that share it and schedule their restart; or give up."""
        if error is not None and child.incarnation is not None:
            return self._end(error)  # stuck in its start
        if self.stopping:
            return None
        now = trio.current_time()
        self._counted += 1
        if self._window.add(now):
            intensity = self.spec.intensity
            exceeded = RestartIntensityExceeded(
                self.path, child.path, intensity.max_restarts, intensity.period
            )
            exceeded.__cause__ = error
            return self._end(exceeded)
        delay = self.spec.backoff.delay(
            child.count_failure(now, self.spec.backoff.reset_after), self._runtime.rng
        )
        self._runtime.sink.emit(
            EventKind.BACKING_OFF, child.path, child.incarnations, f"restart in {delay:.3g} s"
        )
        group = self._sharing_the_fate_of(child)
        for sibling in reversed(group):
            if sibling.incarnation is not None:
                if await keeper.halt(sibling) is None:
                    return self._end(sibling.stuck_error())
                self._forget_temporary(sibling)
        for sibling in group:
            sibling.restart_at = max(now + delay, sibling.restart_at or 0.0)
        return None

    def _sharing_the_fate_of(self, child: Child) -> list[Child]:
        match self.spec.strategy:
            case Strategy.ONE_FOR_ONE:
                return [child]
            case Strategy.REST_FOR_ONE:
                return self._children[self._children.index(child) :]
            case Strategy.ONE_FOR_ALL:
                return list(self._children)

    def _ends_with(self, child: Child) -> bool:
        """Whether the end of ``child``, of its own accord and not to be restarted, ends the supervisor."""
        if not child.spec.significant:
            return False
        if self.spec.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            return True
        others = (other for other in self._children if other.spec.significant)
        return all(other.incarnation is None and other.restart_at is None for other in others)

    def _forget_temporary(self, child: Child) -> None:
        if child.spec.restart is Restart.TEMPORARY:
            self._forget(child)

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        self._release(child)

    def _release(self, child: Child) -> None:
        """Close the mailboxes of a child that nobody can bring back once it is forgotten."""
        if child.dynamic:
            for box in mailboxes_of(child.spec):
                box.close()

    # Its end

    def _end(self, error: BaseException) -> None:
        """Give up: stop everything, then raise ``error`` from ``run``; the first one, or a fatal one."""
        if self._error is None or not isinstance(error, Exception):
            self._error = error
            record = ErrorRecord.of(error)
            self._runtime.sink.emit(EventKind.GAVE_UP, self.path, self._me.incarnations, error=record)
        self.request_stop()

    def _budget(self) -> float:
        if self.spec.shutdown is not None:
            return self.spec.shutdown
        return sum(child.patience for child in self._children)

    async def _stop_all(self, keeper: Keeper) -> None:
        """Stop the children one at a time in reverse order; together, once the budget is spent."""
        self.request_stop()
        began = trio.current_time() if self._stop_at is None else self._stop_at
        deadline = began + (math.inf if self.spec.shutdown is None else self.spec.shutdown)
        for child in self._children:
            child.restart_at = None
        left = [child for child in reversed(self._children) if child.running]
        while left and (remaining := deadline - trio.current_time()) > 0:
            child = left[0]
            if child.patience <= remaining:
                await keeper.halt(child)
                left.pop(0)
            elif await keeper.ask(child, remaining):
                keeper.collect(child)
                left.pop(0)
        await self._stop_together(left, keeper, began)
        stuck = [child for child in self._children if child.incarnation is not None]
        if stuck:
            self._escalate(self._error if isinstance(self._error, StuckChild) else stuck[0].stuck_error())

    async def _stop_together(self, left: list[Child], keeper: Keeper, began: float) -> None:
        for child in left:
            child.ask_to_stop()
            if child.supervisor is not None:
                child.supervisor.abort()
        with trio.move_on_after(_COLLECT):
            for child in left:
                if child.incarnation is not None:
                    await child.incarnation.done.wait()
        for child in left:
            if child.incarnation is not None and child.incarnation.exit is not None:
                keeper.collect(child)
            else:
                keeper.mark_stuck(child, trio.current_time() - began)

    # Requests

    async def _ask(self, operation: Callable[[Keeper], Awaitable[Any]]) -> Any:
        request = Request(operation, self.path)
        if self._closed:
            request.refuse()
        else:
            self._post(request)
        return await request.result()

    def _close(self) -> None:
        self._closed = True
        for message in self._inbox:
            if isinstance(message, Request):
                message.refuse()
        self._inbox.clear()

    async def _add(self, spec: AnySpec, keeper: Keeper) -> Any:
        if any(child.spec.name == spec.name for child in self._children):
            raise DuplicateChild(f"{self.path}/{spec.name}")
        child = Child(spec, f"{self.path}/{spec.name}", dynamic=True)
        self._children.append(child)
        try:
            return await self._bring_up(child, keeper)
        finally:
            if child.incarnation is None and child.last_exit is not None and child in self._children:
                self._children.remove(child)

    async def _start_again(self, name: str, keeper: Keeper) -> Any:
        child = self.find(name)
        if child.incarnation is not None:
            raise ChildRunning(child.path)
        return await self._bring_up(child, keeper)

    async def _bring_up(self, child: Child, keeper: Keeper) -> Any:
        error = await keeper.start(child)
        if error is not None and child.incarnation is not None:
            self._end(error)
        if error is not None:
            raise error
        if self.stopping or child.incarnation is None:
            raise SupervisorStopped(f"{self.path} is stopping")
        return child.incarnation.value

    async def _terminate(self, name: str, keeper: Keeper) -> None:
        child = self.find(name)
        child.restart_at = None
        if child.incarnation is None:
            return
        if await keeper.halt(child) is None:
            raise child.stuck_error()
        self._forget_temporary(child)

    async def _remove(self, name: str, keeper: Keeper) -> None:
        child = self.find(name)
        if child.incarnation is not None:
            raise ChildRunning(child.path)
        self._forget(child)
