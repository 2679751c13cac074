"""Log lines: JSON for machines, readable in a terminal, and never in the way of the event loop.

Lines go through a bounded queue to a thread that writes them. A reader that stalls (a full pipe, a
terminal on hold) or goes away costs log lines, which are counted, and nothing else. That thread is
the one that does not come from the seams: it has to be there before the event loop and after it,
and nobody may wait for it once it is stuck.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from deltastream.seams import Clock

__all__ = ["LogStatistics", "Output", "configure", "render_json", "render_text"]

_LINES: Final = 4096
_CLOSE_WAIT_S: Final = 0.5
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LEVEL_COLOURS: Final = {"debug": "\x1b[2m", "info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_HEAD: Final = ("ts", "level", "logger", "event")


class LogStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the lines of one output.

    Attributes:
        written: lines handed to the operating system.
        dropped: lines lost because the reader was too slow or gone.
        waiting: lines in the queue.
        broken: the reader has gone away; nothing more is written.
    """

    written: int
    dropped: int
    waiting: int
    broken: bool


class Output:
    """Writes text to a file descriptor from a thread of its own; `write` never waits.

    Use as a context manager. Leaving it waits up to half a second for what is queued. Looks enough
    like a text file for `rich.console.Console`.
    """

    encoding = "utf-8"

    def __init__(self, descriptor: int, *, lines: int = _LINES) -> None:
        self._descriptor = descriptor
        self._queue: queue.Queue[str | None] = queue.Queue(lines)
        self._thread = threading.Thread(target=self._drain, name="deltastream-output", daemon=True)
        self._written = 0
        self._dropped = 0
        self._broken = False

    def __enter__(self) -> Output:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._queue.put(None, timeout=_CLOSE_WAIT_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_WAIT_S)

    def write(self, text: str) -> int:
        """Queue text for writing, or drop and count it where the queue is full or the reader gone."""
        if self._broken:
            self._dropped += 1
        else:
            try:
                self._queue.put_nowait(text)
            except queue.Full:
                self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing to do: the thread writes as soon as it can."""

    def fileno(self) -> int:
        """The descriptor that is written to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def statistics(self) -> LogStatistics:
        """Counts since the output was opened."""
        return LogStatistics(
            written=self._written, dropped=self._dropped, waiting=self._queue.qsize(), broken=self._broken
        )

    def _drain(self) -> None:
        while (text := self._queue.get()) is not None:
            if self._broken:
                self._dropped += 1
                continue
            data = text.encode("utf-8", "backslashreplace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # the pipe is closed, the disk full: whoever read this does not any more
                self._broken = True
                self._dropped += 1
            else:
                self._written += 1


@contextmanager
def configure(
    write: Callable[[str], object],
    clock: Clock,
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    render: Callable[[dict[str, Any]], str] | None = None,
) -> Iterator[None]:
    """Send what `structlog` loggers say to `write`, one line a call, until the context is left.

    Args:
        write: takes one line with its line feed; must not wait.
        clock: dates the lines.
        level: the least severe that are written.
        render: makes a line of an event; `render_json` unless given.
    """
    line = render or render_json
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        _stamp(clock),
        lambda _logger, _method, event: line(dict(event)),
    ]
    before = structlog.get_config()
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *names: _Writer(write, ".".join(names)),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


class _Writer:
    """What structlog calls at the end of its chain; knows the logger's name."""

    def __init__(self, write: Callable[[str], object], name: str) -> None:
        self._write = write
        self.name = name

    def msg(self, line: str) -> None:
        self._write(line + "\n")

    debug = info = warning = error = critical = exception = msg


def _stamp(clock: Clock) -> Processor:
    def stamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        level = {"exception": "error", "critical": "error", "warn": "warning"}.get(method, method)
        head = {
            "ts": _iso(clock.now_ns()),
            "level": level,
            "logger": event.pop("logger", None) or logger.name or "deltastream",
            "event": event.pop("event", ""),
        }
        return head | {key: value for key, value in event.items() if key not in head}

    return stamp


def render_json(event: dict[str, Any]) -> str:
    """One JSON object on one line; what JSON cannot hold is given as its text, NaN as null."""
    try:
        return msgspec.json.encode(event, enc_hook=_text).decode()
    except (TypeError, ValueError, RecursionError):  # keys that are not strings, cycles, broken text
        return msgspec.json.encode(
            {_text(key): _encodable(value) for key, value in event.items()}, enc_hook=_text
        ).decode()


def render_text(event: dict[str, Any], *, colour: bool = False) -> str:
    """One readable line: time of day, level, what happened, then the fields; a traceback below it."""
    trace = event.get("exception")
    fields = " ".join(f"{k}={_value(v)}" for k, v in event.items() if k not in _HEAD and k != "exception")
    level = str(event["level"])
    text = f"{str(event['ts'])[11:23]} {level:<7} {event['logger']}: {_printable(str(event['event']))}"
    text = f"{text}  {fields}" if fields else text
    if colour and _LEVEL_COLOURS.get(level):
        text = f"{_LEVEL_COLOURS[level]}{text}\x1b[0m"
    return f"{text}\n{trace}" if trace else text


def _value(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else _text(value)
    return repr(text) if not text or " " in text else _printable(text)


def _printable(text: str) -> str:
    """Control characters, which could rewrite a terminal, in escaped form."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _encodable(value: Any) -> Any:
    try:
        msgspec.json.encode(value, enc_hook=_text)
    except (TypeError, ValueError, RecursionError):
        return _text(value)
    return value


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception as error:  # a log line must not fail for the thing it tells about
        text = f"<{type(value).__name__} whose text raised {type(error).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def _iso(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
