"""Events that wait to be taken: bounded, but never in the way of an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel

from deltastream.client.events import Event

__all__ = ["Inbox"]


class Inbox:
    """Where the reader of a connection leaves events.

    Args:
        size: with so many, the reader waits.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._events: deque[Event] = deque()
        self._end: Exception | None = None
        self._hurried = 0
        self._changed: anyio.Event | None = None

    def put(self, events: Iterable[Event]) -> None:
        """Add events, even beyond the bound."""
        before = len(self._events)
        self._events.extend(events)
        if len(self._events) > before:
            self._wake()

    def end(self, error: Exception) -> None:
        """Nothing more will come; whoever has taken all is told why."""
        self._end = error
        self._wake()

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Somebody waits for what comes behind the events: meanwhile there is no bound.

        Whoever takes the events may be the one that waits, and could not make room.
        """
        self._hurried += 1
        self._wake()
        try:
            yield
        finally:
            self._hurried -= 1

    async def room(self) -> None:
        """Wait until there is room for another event. Cancellation: no effect."""
        while len(self._events) >= self._size and not self._hurried:
            await self._change()

    async def get(self) -> Event:
        """The next event. Cancellation: none is lost.

        Raises:
            Exception: what `end` was given, after the last one.
        """
        await anyio.lowlevel.checkpoint()
        while not self._events:
            if self._end is not None:
                raise self._end
            await self._change()
        event = self._events.popleft()
        if len(self._events) < self._size:
            self._wake()
        return event

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
