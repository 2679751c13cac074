"""What the simulated processes log: handed to hooks, never printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from deltastream.sim.machine import process

__all__ = ["captured"]

_SILENT: Final = 50


@contextmanager
def captured(hooks: list[Callable[[dict[str, Any]], object]]) -> Iterator[None]:
    """Give `hooks` each line as ``{"level", "logger", "event", ...}``; without hooks lines cost little."""
    before = structlog.get_config()

    def deliver(logger: Any, method: str, event: Any) -> Any:
        host = process.get()
        if host is None or host.alive:
            line = {"level": method, "logger": logger.name, **event}
            for hook in hooks:
                hook(line)
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.format_exc_info, deliver],
        wrapper_class=structlog.make_filtering_bound_logger(0 if hooks else _SILENT),
        logger_factory=lambda *names: _Nobody(".".join(names)),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


class _Nobody:
    """The end of a chain that nothing reaches."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        """Not called."""

    debug = info = warning = error = critical = exception = msg
