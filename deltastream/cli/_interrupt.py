"""Work that Ctrl-C ends without losing what it has done."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio

__all__ = ["until_interrupted"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def until_interrupted(work: Callable[[], Awaitable[object]]) -> bool:
    """Do the work; SIGINT or SIGTERM cancels it. Whether that was what ended it.

    Cancellation: that of the work.
    """
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on, signals, nursery.cancel_scope)
            await work()
            nursery.cancel_scope.cancel(reason="the work is done")
            return False
    return True


async def _cancel_on(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel(reason="interrupted")
