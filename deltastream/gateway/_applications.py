"""The application's runs on behalf of one connection, each with what it has yet to receive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import structlog
import trio

__all__ = ["App", "Applications"]

App = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
"""An ASGI application."""

log = structlog.get_logger("deltastream.gateway")

_QUEUE: Final = 4


class _Inbox:
    """Events of one request, a few at a time; what comes after the application has ended is dropped."""

    def __init__(self) -> None:
        self._give, self._take = trio.open_memory_channel[Any](_QUEUE)
        self._last: Any = {"type": "http.disconnect"}

    async def put(self, event: Any) -> None:
        """Hand over; waits for an application that does not take, but never to say that it is over."""
        if event["type"].endswith(".disconnect"):
            self._last = event
            self._give.close()
        else:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._give.send(event)

    async def receive(self) -> Any:
        """What the application is given."""
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            return self._last

    def close(self) -> None:
        self._take.close()
        self._give.close()


class Applications:
    """As hypercorn's protocol asks for a task group. Leaving it waits for what runs."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._nursery: trio.Nursery
        self._manager = trio.open_nursery()

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._manager.__aexit__(kind, error, trace)

    async def spawn_app(
        self, app: object, config: object, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Begin to answer a request; what it is given goes to the function that is returned.

        Cancellation: no effect.
        """
        inbox = _Inbox()
        self._nursery.start_soon(self._run, scope, inbox, send)
        return inbox.put

    def spawn(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run beside the application."""
        self._nursery.start_soon(work, *args)

    async def _run(self, scope: Any, inbox: _Inbox, send: Callable[[Any], Awaitable[None]]) -> None:
        try:
            await self._app(scope, inbox.receive, send)
        except Exception:
            log.exception("application_failed")
        finally:
            inbox.close()
            await send(None)  # where the application has not answered, this does
