"""The two faces of a running host: a live view in a terminal, log lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any, Final, cast

import structlog
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltastream.bus.protocol import Bus, Record, matches
from deltastream.cli._foreground import Face
from deltastream.cli._output import clean
from deltastream.cli._view import PATTERNS, Board, Machinery, joined, render, table
from deltastream.cli._welcome import Welcome
from deltastream.errors import BusClosed
from deltastream.host import logs
from deltastream.host.config import Settings
from deltastream.host.tree import Host
from deltastream.messages import Position
from deltastream.seams import Clock

__all__ = ["face_for"]

log = structlog.get_logger("deltastream.view")

_FRAME_S: Final = 0.5
_LINES_S: Final = 10.0
_FRAMES_PER_LOOK: Final = 4
_FRAMES_WAITING: Final = 2
_LAST: Final = {"market.tick.*": 1, "enriched.chain.*": 64}
"""Messages of a topic from before that are looked at: a product's chains take turns by expiry."""
_NEWS: Final = 1000


@contextmanager
def face_for(settings: Settings, output: logs.Output, clock: Clock) -> Iterator[Face]:
    """The live view where `output` is a terminal that can show one, log lines where not."""
    text = settings.log.format == "text" or (settings.log.format == "auto" and output.isatty())
    terminal = _Terminal(output, clock)
    if text and terminal.capable:
        coloured = partial(logs.render_text, colour=True)
        with logs.configure(terminal.write, clock, level=settings.log.level, render=coloured):
            try:
                yield terminal
            finally:
                terminal.close()
    else:
        plain: Callable[[dict[str, Any]], str] = logs.render_text if text else logs.render_json
        with logs.configure(output.write, clock, level=settings.log.level, render=plain):
            yield _Lines(output)


async def _keep(board: Board, host: Host) -> None:
    """Keep the board up to date, from the feed's first message on; a bus that was away is followed anew."""
    seen = dict(host.began or {})
    begun = False
    while True:
        try:
            if not begun:
                await _begin(board, host.bus, seen)
                begun = True
            async with host.bus.follow(PATTERNS, after=seen) as follower:
                while True:
                    for item in await follower.batch():
                        board.take(item)
                        if isinstance(item, Record):
                            seen[item.topic] = item.position
        except BusClosed:
            await trio.sleep(_FRAME_S)


async def _begin(board: Board, bus: Bus, ends: Mapping[str, Position]) -> None:
    """Show what was known when the feed began."""
    for topic, end in ends.items():
        for limit in (limit for pattern, limit in _LAST.items() if matches(pattern, topic)):
            for record in await bus.last(topic, limit=limit):
                if record.position.seq <= end.seq:
                    board.begin(record.message)


class _Lines:
    """One log line per product that has changed, every ten seconds and at the end."""

    def __init__(self, output: logs.Output) -> None:
        self._output = output

    async def show(self, host: Host) -> None:
        board, welcome = Board(), Welcome(host)
        try:
            await welcome.prepare()
            welcome.tell()
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
    """The live view on a screen of its own, drawn anew twice a second.

    The newest log lines are part of it. When it ends, the terminal's own screen is back, and has all log
    lines since, the last state of the products and what a replay has given.
    """

    def __init__(self, output: logs.Output, clock: Clock) -> None:
        self._output = output
        self._clock = clock
        file = cast("IO[str]", output)
        self._console = Console(
            file=file, force_terminal=output.isatty() or None, highlight=False, emoji=False
        )
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._board = Board()
        self._host: Host | None = None
        self._news: deque[str] = deque(maxlen=_NEWS)

    @property
    def capable(self) -> bool:
        """Whether the output is a terminal that can move its cursor."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def write(self, line: str) -> None:
        """Print a log line, or show it in the view and print it after that."""
        if self._live.is_started:
            self._news.append(line)
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(Text.from_ansi(line.rstrip("\n")), soft_wrap=True)

    async def show(self, host: Host) -> None:
        self._host = host
        look, welcome = _Look(host), Welcome(host)
        try:
            await welcome.prepare()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep, self._board, host)
                self._live.start()
                while True:
                    await look.refresh()
                    await welcome.refresh()
                    if self._output.statistics().waiting <= _FRAMES_WAITING:  # else the terminal is on hold
                        self._live.update(self._frame(look.machinery(), welcome), refresh=True)
                    await trio.sleep(_FRAME_S)
        except Exception:
            log.exception("view_failed")
        finally:
            self._leave_screen()

    def _frame(self, machinery: Machinery, welcome: Welcome) -> Text:
        width, height = self._console.size
        greeting = welcome.lines(width)
        greeting = greeting if len(greeting) < height - 1 else []
        height -= len(greeting)
        news = [Text.from_ansi(line.splitlines()[0]) for line in list(self._news)[-height:]]
        view = render(self._board, machinery, self._clock.now_ns(), width, height, news)
        return joined([*greeting, view])

    def _leave_screen(self) -> None:
        if not self._live.is_started:
            return
        self._live.stop()
        while self._news:
            self._print(self._news.popleft())
        if self._board.lines():
            self._console.print()
            self._console.print(table(self._board, self._clock.now_ns(), self._console.width))
        if self._host is not None and self._host.replayed is not None and not self._host.replayed.nothing:
            self._console.print()
            self._console.print(clean(str(self._host.replayed)))

    def close(self) -> None:
        self._leave_screen()
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
            url=host.gateway_url,
        )
