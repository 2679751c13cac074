"""A tree as the whole of a program: signals stop it, its exit is the result."""

import random
import signal
from collections.abc import Callable, Sequence
from typing import Any

import trio

from supervisors._errors import StartFailed, SupervisionError
from supervisors._events import Event
from supervisors._spec import SupervisorSpec
from supervisors._tree import Outcome, Tree, TreeExit, live_tree

__all__ = ["run_tree", "stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def stop_on_signals(
    tree: Tree,
    signals: Sequence[signal.Signals] = _SIGNALS,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Let the first signal stop the tree in order and every later one cancel all of it at once.

    Runs until cancelled, which gives the signals back to their previous handlers. Main thread only. Calls
    ``started()`` once the signals are caught.
    """
    with trio.open_signal_receiver(*signals) as received:
        task_status.started()
        await received.__anext__()
        tree.request_stop()
        async for _ in received:
            tree.cancel()


async def run_tree(
    spec: SupervisorSpec,
    *,
    rng: random.Random,
    on_event: Callable[[Event], object] | None = None,
    signals: Sequence[signal.Signals] = _SIGNALS,
    task_status: trio.TaskStatus[Tree] = trio.TASK_STATUS_IGNORED,
) -> TreeExit:
    """Run a tree until it ends and return how it did; signals are caught from before the first start.

    It returns also when the tree gives up, with the error in the result. Stuck children are waited for.

    Cancellation reaches the tree as a request for an ordered stop, which is completed before ``Cancelled`` is
    raised.

    Args:
        spec: The root.
        rng: The source of the jitter, and of ``Context.rng``.
        on_event: Called with each event, see ``open_tree``.
        signals: The signals that stop the tree, see ``stop_on_signals``; empty to leave them alone.
        task_status: ``started(tree)`` is called when every child has started.

    Raises:
        StartFailed: A child did not start. A stop during the start is no failure.
        KeyboardInterrupt, SystemExit: A child raised it; the others have been stopped in order.
    """
    tree = Tree(spec, rng, on_event)
    async with trio.open_nursery() as nursery:
        if signals:
            await nursery.start(stop_on_signals, tree, signals)
        failure = await _until_the_end(tree, task_status)
        nursery.cancel_scope.cancel("the tree has ended")
    exit_ = await tree.wait()
    refused = isinstance(failure, StartFailed) and exit_.outcome is Outcome.GAVE_UP
    fatal = isinstance(failure, KeyboardInterrupt | SystemExit)
    if failure is not None and (refused or fatal):
        raise failure
    return exit_


async def _until_the_end(tree: Tree, task_status: trio.TaskStatus[Any]) -> BaseException | None:
    try:
        async with live_tree(tree):
            task_status.started(tree)
            await tree.wait()
    except (SupervisionError, KeyboardInterrupt, SystemExit) as error:
        return error
    return None
