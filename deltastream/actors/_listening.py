"""Where an actor listens, through all its incarnations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

__all__ = ["Bound", "Listening"]

Settings = TypeVar("Settings", bound=msgspec.Struct)


class Bound(Protocol):
    """Where a server listens: the address of its socket, and what its clients write."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def url(self) -> str: ...


class Listening:
    """Where an actor listens. A new incarnation takes the port that the first one was given.

    Args:
        log: is told.

    Attributes:
        bound: where it listens, or did before it ended; None before it first has.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.bound: Bound | None = None
        self._log = log
        self._listens = False

    @property
    def url(self) -> str | None:
        """What its clients write; None where it does not listen."""
        return self.bound.url if self.bound is not None and self._listens else None

    def again(self, settings: Settings) -> Settings:
        """The settings of this incarnation, `port` among them."""
        return settings if self.bound is None else msgspec.structs.replace(settings, port=self.bound.port)

    @contextmanager
    def noted(self, task_status: trio.TaskStatus[None]) -> Iterator[trio.TaskStatus[Bound]]:
        """What a server tells that it listens, until the context is left; the supervisor hears it next."""
        try:
            yield _Noted(self, task_status)
        finally:
            self._listens = False

    def _begin(self, bound: Bound) -> None:
        self.bound = bound
        self._listens = True
        self._log.info("listening", url=bound.url, host=bound.host, port=bound.port)


class _Noted(trio.TaskStatus[Bound]):
    def __init__(self, listening: Listening, task_status: trio.TaskStatus[None]) -> None:
        self._listening = listening
        self._task_status = task_status

    def started(self, value: Bound | None = None) -> None:
        assert value is not None  # every server tells where it is
        self._listening._begin(value)
        self._task_status.started()
