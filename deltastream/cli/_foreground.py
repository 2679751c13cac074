"""A host as the whole of a process: signals stop it, and nothing keeps the process once it has ended."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import Final, Protocol

import trio

from deltastream.errors import DeltaStreamError
from deltastream.host.collector import LongLived
from deltastream.host.tree import Host
from supervisors import SupervisionError

__all__ = ["Face", "supervise"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_AFTER_S: Final = 0.5
INTERRUPTED: Final = 130


class Face(Protocol):
    """What a host shows of itself while it runs."""

    async def show(self, host: Host) -> None:
        """Show until cancelled. Raises nothing: a broken face is no reason to stop a host."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was and write what waits; may be called twice."""
        ...


async def supervise(host: Host, face: Face) -> int:
    """Run a host with its face until it ends; the exit code.

    The first SIGINT or SIGTERM stops it in order, the second at once. An actor that does not let
    itself be stopped is left behind by ending the process: everything accepted is durable.

    Cancellation: stops the host in order.

    Raises:
        DeltaStreamError: it could not start, or gave up.
    """
    ending = _Ending(host, face)
    aside = ExitStack()
    try:
        async with trio.open_nursery() as nursery:

            async def hosted(*, task_status: trio.TaskStatus[None]) -> None:
                await host.run(task_status=task_status)
                nursery.cancel_scope.cancel(reason="the host has ended")

            await nursery.start(ending.on_signals, nursery.cancel_scope)
            await nursery.start(hosted)
            aside.enter_context(LongLived())
            nursery.start_soon(ending.when_stuck)
            nursery.start_soon(face.show, host)
    except* SupervisionError as group:
        causes = _causes(group)
        told = next((cause for cause in causes if isinstance(cause, DeltaStreamError)), None)
        raise told or DeltaStreamError(f"The host gave up: {causes[0]}") from group
    finally:
        aside.close()
    return ending.code


class _Ending:
    def __init__(self, host: Host, face: Face) -> None:
        self.code = 0
        self._host = host
        self._face = face

    async def on_signals(self, starting: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        """Stop in order at the first signal, at once at the second."""
        with trio.open_signal_receiver(*_SIGNALS) as received:
            task_status.started()
            await received.__anext__()
            tree = self._host.tree
            if tree is None:
                starting.cancel(reason="interrupted while starting")
                return
            self._host.request_stop("interrupted")
            await received.__anext__()
            self.code = INTERRUPTED
            tree.cancel()
            await trio.sleep(_AFTER_S)
            self._leave(INTERRUPTED)

    async def when_stuck(self) -> None:
        """End the process if the tree has ended without some actor."""
        if (tree := self._host.tree) is not None:
            await tree.wait()
            await trio.sleep(_AFTER_S)
            stuck = [child.path for child in tree.statistics().walk() if child.state.value == "stuck"]
            self._leave(1, f"The host has stopped, but not in time: {', '.join(stuck) or 'unknown actor'}.\n")

    def _leave(self, code: int, sentence: str = "") -> None:
        self._face.close()
        sys.stderr.write(sentence)
        sys.stderr.flush()
        os._exit(code)


def _causes(error: BaseException) -> list[BaseException]:
    """What stands behind an error, itself first: members of groups, causes, causes of members."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        elif current is not None and current not in found:  # a cause can be its own
            found.append(current)
        if current is not None and current.__cause__ not in found:
            waiting.append(current.__cause__)
    return found
