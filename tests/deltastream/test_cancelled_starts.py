"""Servers that are cancelled while they start: at each step in turn, they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from deltastream.gateway import serving
from deltastream.gateway.settings import GatewaySettings
from deltastream.seams import Seams
from deltastream.sockets import server
from deltastream.sockets.settings import SocketSettings

LOCAL = GatewaySettings(port=0)
SECONDS = 5.0


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Starts and stops as an application must; nobody asks it anything."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def api(seams: Seams) -> Callable[..., Awaitable[None]]:
    return partial(serving.serve, app, LOCAL, seams)


def sockets(seams: Seams) -> Callable[..., Awaitable[None]]:
    nobody: Any = None  # comes in
    return partial(server.serve, nobody, SocketSettings(port=0, drain_s=0.01), LOCAL, seams)


class Cancelling(trio.abc.Instrument):
    """Cancels a scope before the step of any task that comes after so many."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left < 0:
            self._scope.cancel()


class Status:
    """Remembers whether a server came up."""

    def __init__(self) -> None:
        self.up = False

    def started(self, value: object = None) -> None:
        """See `trio.TaskStatus.started`."""
        self.up = True


def unshield(task: trio.lowlevel.Task) -> None:
    """Let cancellations reach whatever refuses them, so that a failure ends the test."""
    for nursery in task.child_nurseries:
        nursery.cancel_scope.shield = False
        for child in nursery.child_tasks:
            unshield(child)


@pytest.mark.parametrize("which", [api, sockets])
async def test_a_start_that_is_cancelled_ends(which: Callable[[Seams], Callable[..., Awaitable[None]]]):
    serve = which(Seams.system())

    async def live(scope: trio.CancelScope, steps: int, ended: trio.Event, task_status: Any) -> None:
        cancelling = Cancelling(scope, steps)
        trio.lowlevel.add_instrument(cancelling)
        try:
            with scope:
                await serve(task_status=task_status)
        finally:
            trio.lowlevel.remove_instrument(cancelling)
            ended.set()

    came_up = []
    async with trio.open_nursery() as nursery:
        for steps in range(30):
            status, scope, ended = Status(), trio.CancelScope(), trio.Event()
            nursery.start_soon(live, scope, steps, ended, status)
            await trio.testing.wait_all_tasks_blocked(0.005)
            scope.cancel()  # those that came up before that step
            with trio.move_on_after(SECONDS) as patience:
                await ended.wait()
            if patience.cancelled_caught:
                unshield(trio.lowlevel.current_task())
                pytest.fail(f"cancelled at step {steps}, it does not end")
            came_up.append(status.up)
    assert not came_up[0]
    assert came_up[-1]
