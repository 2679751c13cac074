"""A whole tree: opening it, looking at it, stopping it, learning how it ended."""

import enum
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from supervisors._child import Child, split_cancelled
from supervisors._context import Runtime
from supervisors._errors import StartFailed, StuckChild, UnknownChild
from supervisors._events import Event, EventSink
from supervisors._spec import SupervisorSpec, mailboxes_of
from supervisors._statistics import ChildStatistics, ExitReason, SinkStatistics, SupervisorStatistics
from supervisors._supervisor import Supervisor

__all__ = ["Outcome", "Tree", "TreeExit", "live_tree", "open_tree"]


class Outcome(enum.Enum):
    """How a tree ended."""

    STOPPED = "stopped"
    """It was asked to."""
    FINISHED = "finished"
    """Its significant children had done their work."""
    GAVE_UP = "gave up"
    """The root failed: it did not start, or restarted too much, or a child raised ``SystemExit``."""
    STUCK = "stuck"
    """All has ended but a child that ignores its cancellation."""


@dataclass(frozen=True, slots=True)
class TreeExit:
    """How a tree ended, and with which error if it gave up or is stuck."""

    outcome: Outcome
    error: BaseException | None = None


class Tree:
    """A running tree. All methods may be called from any task of the same Trio run, its children included."""

    def __init__(
        self, spec: SupervisorSpec, rng: random.Random, on_event: Callable[[Event], object] | None
    ) -> None:
        self._root = Child(spec, spec.name)
        self._life = self._root.incarnate()
        self._sink = EventSink(on_event)
        runtime = Runtime(rng, self._sink, self)
        self._supervisor = Supervisor(spec, self._root, runtime, self._on_stuck)
        self._root.supervisor = self._supervisor
        self._settled = trio.Event()
        self._exit: TreeExit | None = None
        self._users = trio.CancelScope()

    @property
    def path(self) -> str:
        """Name of the root, with which every path begins."""
        return self._root.path

    @property
    def exit(self) -> TreeExit | None:
        """How it ended, ``None`` while it runs."""
        return self._exit

    def statistics(self) -> SupervisorStatistics:
        """Return a snapshot of every node, while it runs or afterwards."""
        root = self._root.statistics()
        if not isinstance(root, SupervisorStatistics):
            raise TypeError(f"the root {root.path} is no supervisor")
        return root

    def events(self) -> SinkStatistics:
        """Return how the events reached the callback."""
        return self._sink.statistics()

    def find(self, path: str) -> ChildStatistics:
        """Return a snapshot of one node, given its full path.

        Raises:
            UnknownChild: There is none.
        """
        return self.statistics().find(path)

    def supervisor(self, path: str) -> Supervisor:
        """Return the supervisor with this full path, to add, terminate, restart or remove its children.

        It is one incarnation of it: ask again after it may have been restarted.

        Raises:
            UnknownChild: There is none, it is a worker, or it has never been started.
        """
        first, *names = path.split("/")
        if first != self._root.path:
            raise UnknownChild(path)
        supervisor: Supervisor | None = self._supervisor
        for name in names:
            supervisor = None if supervisor is None else supervisor.find(name).supervisor
        if supervisor is None:
            raise UnknownChild(f"{path} is no supervisor that has been started")
        return supervisor

    def request_stop(self) -> None:
        """Ask for an ordered stop and return at once; what a child calls to end its own tree."""
        if self._root.incarnation is not None:
            self._root.ask_to_stop()

    async def stop(self) -> TreeExit:
        """Stop in order, wait for the end and return how it went.

        Cancellation ends the waiting, not the stop.
        """
        self.request_stop()
        return await self.wait()

    def cancel(self) -> None:
        """Cancel every child at once, without order, and return at once."""
        self.request_stop()
        self._supervisor.abort()

    async def wait(self) -> TreeExit:
        """Wait until everything has ended but what is stuck, and return how it went.

        Cancellation ends the waiting only.
        """
        await self._settled.wait()
        if self._exit is None:
            raise RuntimeError("settled without an exit")
        return self._exit

    def _on_stuck(self, error: StuckChild) -> None:
        self._settle(TreeExit(Outcome.STUCK, error))

    def _settle(self, exit_: TreeExit) -> None:
        if self._exit is None:
            self._exit = exit_
            self._settled.set()
            self._life.handshake.set()
            if exit_.error is not None and not self._life.stopping:
                self._users.cancel("the tree has ended with an error")

    async def _run(self) -> None:
        """Live; raises nothing but ``Cancelled`` from outside."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver)
            try:
                await self._life.live(partial(self._supervisor.run, self._life), self._conclude)
            finally:
                self._sink.finish()
                for box in mailboxes_of(self._supervisor.spec):
                    box.close()

    async def _deliver(self) -> None:
        with trio.CancelScope(shield=True):  # ends with the sink, which ends with the tree
            await self._sink.run()

    def _conclude(self) -> None:
        ended = self._root.reap()
        if ended.error is not None:
            self._settle(TreeExit(Outcome.GAVE_UP, ended.error))
        elif ended.reason is ExitReason.NORMAL:
            self._settle(TreeExit(Outcome.FINISHED))
        else:
            self._settle(TreeExit(Outcome.STOPPED))


@asynccontextmanager
async def live_tree(tree: Tree) -> AsyncIterator[Tree]:
    """Run a tree around the body; see ``open_tree``."""
    failure: BaseException | None = None
    body: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree._run)
            await tree._life.handshake.wait()
            if tree._life.started_at is not None:
                try:
                    with tree._users:
                        yield tree
                except BaseException as error:
                    body = error
                    raise
            tree.request_stop()
    except BaseException as error:
        failure = error
    failure = _combine(failure, body, tree.exit)
    if failure is not None:
        raise failure
    if tree._life.started_at is None:
        raise StartFailed(tree.path, "stopped while it was starting")


def _combine(
    failure: BaseException | None, body: BaseException | None, exit_: TreeExit | None
) -> BaseException | None:
    """Return what to raise: what left the nursery (unwrapped, if the body's) and the tree's error."""
    cancelled, rest = (None, None) if failure is None else split_cancelled(failure)
    if isinstance(rest, BaseExceptionGroup) and rest.exceptions == (body,):
        rest = body
    error = None if exit_ is None else exit_.error
    found = [part for part in (error, rest, cancelled) if part is not None]
    if len(found) > 1:
        return BaseExceptionGroup("a supervision tree and what ran beside it", found)
    return found[0] if found else None


@asynccontextmanager
async def open_tree(
    spec: SupervisorSpec, *, rng: random.Random, on_event: Callable[[Event], object] | None = None
) -> AsyncIterator[Tree]:
    """Start a tree, run the body beside it, stop the tree in order.

    The body begins when every child has started. If the tree fails, the body is cancelled and the error
    raised; if it merely ends, the body goes on. A body that awaits ``tree.wait()`` learns the exit first.
    Leaving the body stops the tree. A specification with mailboxes serves one tree: they are closed with it.

    Cancellation reaches the tree as a request for an ordered stop, which is completed.

    A child that is stuck cannot be left behind: the context waits for it, while ``tree.wait()`` and
    ``tree.stop()`` return ``Outcome.STUCK``. Whoever must leave ends the process there.

    Args:
        spec: The root. Its ``restart``, ``start_timeout`` and ``significant`` have no meaning here.
        rng: The source of the jitter, and of ``Context.rng``.
        on_event: Called with each event, in order, in a task of its own. It should return quickly; it may
            raise.

    Yields:
        The running tree.

    Raises:
        StartFailed: A child did not start; those before it were stopped.
        RestartIntensityExceeded: The root gave up.
        StuckChild: A child was stuck, and has ended after all.
        BaseExceptionGroup: The tree and the body failed both.
    """
    async with live_tree(Tree(spec, rng, on_event)) as tree:
        yield tree
