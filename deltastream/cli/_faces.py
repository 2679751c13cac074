"""The two faces of a running host: a live view in a terminal, log lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any, Final, cast

import structlog
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltastream.bus.protocol import matches
from deltastream.cli._foreground import Face
from deltastream.cli._view import PATTERNS, STATUS, Board, Machinery, render
from deltastream.errors import BusClosed
from deltastream.host import logs
from deltastream.host.config import Settings
from deltastream.host.tree import Host
from deltastream.seams import Clock

__all__ = ["face_for"]

log = structlog.get_logger("deltastream.view")

_FRAME_S: Final = 0.5
_LINES_S: Final = 10.0
_FRAMES_PER_LOOK: Final = 4
_FRAMES_WAITING: Final = 2


@contextmanager
def face_for(settings: Settings, output: logs.Output, clock: Clock) -> Iterator[Face]:
    """The live view where `output` is a terminal, log lines where not; log lines go there, too."""
    if output.isatty() and settings.log.format != "json":
        terminal = _Terminal(output, clock)
        coloured = partial(logs.render_text, colour=True)
        with logs.configure(terminal.write, clock, level=settings.log.level, render=coloured):
            try:
                yield terminal
            finally:
                terminal.close()
    else:
        text = settings.log.format == "text"
        plain: Callable[[dict[str, Any]], str] = logs.render_text if text else logs.render_json
        with logs.configure(output.write, clock, level=settings.log.level, render=plain):
            yield _Lines(output)


async def _keep(board: Board, host: Host) -> None:
    """Keep the board up to date; a bus that is being restarted is followed anew."""
    while True:
        try:
            for topic in (await host.bus.statistics()).topics:
                if matches(STATUS, topic.topic):
                    for record in await host.bus.last(topic.topic):
                        board.begin(record.message)
            async with host.bus.follow(PATTERNS, live=True) as follower:
                while True:
                    for item in await follower.batch():
                        board.take(item)
        except BusClosed:
            await trio.sleep(_FRAME_S)


class _Lines:
    """One log line per product that has changed, every ten seconds and at the end."""

    def __init__(self, output: logs.Output) -> None:
        self._output = output

    async def show(self, host: Host) -> None:
        board = Board()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep, board, host)
                while True:
                    await trio.sleep(_LINES_S)
                    self._tell(board)
        except Exception:
            log.exception("view_failed")
        finally:
            self._tell(board)

    def _tell(self, board: Board) -> None:
        for figures in board.changes():
            log.info("product", **figures)

    def close(self) -> None:
        self._output.__exit__()


class _Terminal:
    """A table that is drawn anew twice a second, log lines passing above it."""

    def __init__(self, output: logs.Output, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        file = cast("IO[str]", output)
        self._console = Console(file=file, force_terminal=True, highlight=False, emoji=False)
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def write(self, line: str) -> None:
        """Print a log line above the table."""
        self._console.print(Text.from_ansi(line.rstrip("\n")), soft_wrap=True)

    async def show(self, host: Host) -> None:
        board, look = Board(), _Look(host)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep, board, host)
                self._live.start()
                while True:
                    await look.refresh()
                    if self._output.statistics().waiting <= _FRAMES_WAITING:  # else the terminal is on hold
                        now, width = self._clock.now_ns(), self._console.width
                        frame = render(board, look.machinery(), now, width)
                        self._live.update(frame, refresh=True)
                    await trio.sleep(_FRAME_S)
        except Exception:
            log.exception("view_failed")
        finally:
            self._live.stop()

    def close(self) -> None:
        self._live.stop()
        self._output.__exit__()


class _Look:
    """What the machinery does; figures that cost a query are taken only every few frames."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._turn = 0
        self._bus: Any = None
        self._rate: float | None = None
        self._taken: tuple[float, int] | None = None

    async def refresh(self) -> None:
        if self._turn % _FRAMES_PER_LOOK == 0:
            self._bus = None
            with (
                trio.move_on_after(_FRAME_S),
                suppress(BusClosed),
            ):  # a bus that is away makes its callers wait
                self._bus = await self._host.bus.statistics()
            if self._bus is not None:
                now, count = trio.current_time(), self._bus.appended
                if self._taken is not None and now > self._taken[0]:
                    self._rate = max(count - self._taken[1], 0) / (now - self._taken[0])
                self._taken = (now, count)
        self._turn += 1

    def machinery(self) -> Machinery:
        host = self._host
        return Machinery(
            tree=host.tree.statistics() if host.tree else None,
            bus=self._bus,
            lag=host.loop_lag(),
            rate=self._rate,
            sizes=host.data_dir.sizes(),
            data_dir=str(host.data_dir.path),
        )
