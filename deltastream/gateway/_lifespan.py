"""The life of an ASGI application: begun before its first request and ended after its last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
import trio

from deltastream.gateway._applications import App

__all__ = ["lifespan"]

log = structlog.get_logger("deltastream.gateway")

_STARTUP_S: Final = 5.0
_SHUTDOWN_S: Final = 0.5


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Let an application begin and end; one that knows no lifespan is served without.

    Cancellation: the application is told of its end, and then cancelled.

    Raises:
        RuntimeError: it says that it cannot begin.
        trio.TooSlowError: it does not begin in time.
    """
    life = _Life(app)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        with trio.fail_after(_STARTUP_S):
            await life.begin()
        try:
            yield
        finally:
            with trio.move_on_after(_SHUTDOWN_S, shield=True):
                await life.end()
            nursery.cancel_scope.cancel(reason="the application has ended")


class _Life:
    def __init__(self, app: App) -> None:
        self._app = app
        self._give, self._take = trio.open_memory_channel[dict[str, str]](1)
        self._begun = trio.Event()
        self._over = trio.Event()
        self._failure: str | None = None

    async def run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"spec_version": "2.0", "version": "3.0"}, "state": {}}
        try:
            await self._app(scope, self._take.receive, self._heard)
        except Exception as error:
            if self._begun.is_set():
                log.exception("application_failed")
            else:
                log.debug("no_lifespan", error=str(error))
        finally:
            self._begun.set()
            self._over.set()

    async def begin(self) -> None:
        await self._give.send({"type": "lifespan.startup"})
        await self._begun.wait()
        if self._failure is not None:
            raise RuntimeError(f"the application cannot begin: {self._failure}")

    async def end(self) -> None:
        if not self._over.is_set():
            await self._give.send({"type": "lifespan.shutdown"})
            await self._over.wait()

    async def _heard(self, event: Any) -> None:
        kind = event["type"]
        if kind == "lifespan.startup.failed":
            self._failure = event.get("message") or "no reason given"
        if kind.startswith("lifespan.startup."):
            self._begun.set()
        elif kind == "lifespan.shutdown.failed":
            log.error("application_failed", error=event.get("message", ""))
