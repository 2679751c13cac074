"""The market outside of the machine: it outlives every process, and ends when the simulation says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import trio

from deltastream.feeds.protocol import Delivered, Provider, Refusal

__all__ = ["Market"]

Items = AsyncIterator[Delivered | Refusal]


class Market:
    """A provider as a vendor passes it on: in bundles, and until told that there is no more.

    Attributes:
        ended: once set, every stream ends with its next item, which is not given any more.

    Args:
        provider: the source.
        bundle_s: what comes within so many seconds comes at once; 0: each item when there is one.
    """

    def __init__(self, provider: Provider, bundle_s: float = 0.0) -> None:
        self._provider = provider
        self._bundle_s = bundle_s
        self.ended = False

    @property
    def name(self) -> str:
        """See `Provider.name`."""
        return self._provider.name

    @property
    def silent_after_s(self) -> float | None:
        """See `Provider.silent_after_s`."""
        return self._provider.silent_after_s

    def stream(self) -> AbstractAsyncContextManager[Items]:
        """See `Provider.stream`."""
        return self._stream()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[Items]:
        async with self._provider.stream() as items, aclosing(self._passed_on(items)) as passed_on:
            yield passed_on

    async def _passed_on(self, items: Items) -> AsyncGenerator[Delivered | Refusal, None]:
        bundle: list[Delivered | Refusal] = []
        due = 0.0
        async for item in items:
            if self.ended:
                return
            if not bundle:
                due = trio.current_time() + self._bundle_s
            bundle.append(item)
            if trio.current_time() >= due:
                for each in bundle:
                    yield each
                bundle.clear()
