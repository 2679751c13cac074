"""Requests to a running supervisor, performed by its own task between two events."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from supervisors._errors import SupervisorStopped
from supervisors._keeper import Keeper

__all__ = ["Request"]


class Request:
    """An operation that somebody waits for."""

    __slots__ = ("_done", "_error", "_operation", "_value", "_withdrawn")

    def __init__(self, operation: Callable[[Keeper], Awaitable[Any]], path: str) -> None:
        self._operation = operation
        self._done = trio.Event()
        self._error: Exception | None = SupervisorStopped(f"{path} is stopping")
        self._value: Any = None
        self._withdrawn = False

    async def __call__(self, keeper: Keeper) -> None:
        """Perform it, unless who asked has gone; never raises an ``Exception``."""
        if self._withdrawn:
            return
        try:
            self._value = await self._operation(keeper)
            self._error = None
        except Exception as error:
            self._error = error
        finally:
            self._done.set()

    def refuse(self) -> None:
        """Answer that the supervisor is stopping."""
        self._done.set()

    async def result(self) -> Any:
        """Wait for the answer.

        Cancellation withdraws the request if it has not begun; one that has begun is completed unseen.
        """
        try:
            await self._done.wait()
        except trio.Cancelled:
            self._withdrawn = True
            raise
        if self._error is not None:
            raise self._error
        return self._value
