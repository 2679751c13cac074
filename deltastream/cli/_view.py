"""The live view of a host: one line per product, and how the machinery is doing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.text import Text

from deltastream.bus.protocol import BusStatistics, Gap, Record
from deltastream.cli._output import age, clean, instant, number, size, state_style
from deltastream.messages import EnrichedChain, MarketStatus, Message, UnderlyingTick
from supervisors import ChildState, ChildStatistics, LagStatistics, SupervisorStatistics

__all__ = ["PATTERNS", "Board", "Machinery", "joined", "render", "table"]

PATTERNS: Final = ("market.tick.*", "market.status.*", "enriched.chain.*")
_LEFT: Final = frozenset(("product", "expiry", "market", "since (UTC)", "reason"))
_EXPENDABLE: Final[tuple[str, ...]] = (
    *("reason", "since (UTC)", "age", "market"),
    *("ATM IV", "straddle", "max pain", "PCR OI", "expiry", "price"),
)
"""Columns in the order in which they are left out where there is no room for all."""
_NOTHING: Final = "-"
_GAPS: Final = ("   ", "  ")
_METRICS: Final = ("pcr_oi", "max_pain_strike", "atm_straddle_price", "atm_iv")
_DAY_S: Final = 86_400
_SOUND: Final = frozenset((ChildState.RUNNING, ChildState.STOPPED))


@dataclass(slots=True)
class Line:
    """What is known of one product; its metrics are those of its nearest live expiry.

    Attributes:
        ts: of the newest data, not of a status.
        spoken: it has been heard of since the start; fresh: with data.
        changed: since `Board.changes` was asked last.
    """

    price: float | None = None
    ts: int | None = None
    status: MarketStatus | None = None
    spoken: bool = False
    fresh: bool = False
    changed: bool = False
    expiries: dict[tuple[int, str], EnrichedHead] = field(default_factory=dict)

    @property
    def front(self) -> EnrichedHead | None:
        """The nearest expiry that had not passed when its chain was taken; the latest where all had."""
        live = [key for key, head in self.expiries.items() if head.live]
        if live:
            return self.expiries[min(live)]
        return self.expiries[max(self.expiries)] if self.expiries else None

    def note(self, message: UnderlyingTick | EnrichedChain) -> None:
        """Take what a message says of price and metrics."""
        self.ts = message.ts_event
        if isinstance(message, UnderlyingTick):
            self.price = message.price
            return
        metrics = {name: getattr(message, name) for name in _METRICS}
        live = message.expiry_ts > message.ts_event
        for key in [key for key in self.expiries if live and key[0] <= message.ts_event]:
            del self.expiries[key]
        head = EnrichedHead(message.expiry, live, message.spot, metrics)
        self.expiries[message.expiry_ts, message.root] = head


@dataclass(frozen=True, slots=True)
class EnrichedHead:
    """The figures of one chain that are shown."""

    expiry: str
    live: bool
    spot: float | None
    metrics: dict[str, float | None]


class Board:
    """The products, kept up to date by messages of the bus."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def begin(self, message: Message) -> None:
        """Note data from before the start. A status from before says nothing about the present one."""
        if isinstance(message, UnderlyingTick | EnrichedChain):
            self._lines.setdefault(message.product, Line()).note(message)

    def take(self, item: Record | Gap) -> None:
        """Note what a message says; anything not shown is passed over.

        A product's first data since the start takes the place of all that was known from before.
        """
        message = item.message if isinstance(item, Record) else None
        if isinstance(message, MarketStatus):
            line = self._lines.setdefault(message.product, Line())
            line.status = message
        elif isinstance(message, UnderlyingTick | EnrichedChain):
            line = self._lines.setdefault(message.product, Line())
            if not line.fresh:
                line = self._lines[message.product] = Line(status=line.status, fresh=True)
            line.note(message)
        else:
            return
        line.spoken = line.changed = True

    def lines(self) -> list[tuple[str, Line]]:
        """The products heard of since the start, by symbol; before there is one, those from before it."""
        ordered = sorted(self._lines.items())
        return [(product, line) for product, line in ordered if line.spoken] or ordered

    def changes(self) -> Iterator[dict[str, Any]]:
        """The figures of every product that has changed since they were last asked for, for a log line."""
        for product, line in self.lines():
            if line.changed:
                line.changed = False
                front = line.front
                metrics = front.metrics if front else dict.fromkeys(_METRICS)
                expiry = front.expiry if front else None
                yield {
                    "product": product,
                    "price": _price(line),
                    "expiry": expiry,
                    **metrics,
                    "status": line.status.status if line.status else None,
                }


def _price(line: Line) -> float | None:
    front = line.front
    return line.price if line.price is not None or front is None else front.spot


@dataclass(frozen=True, slots=True)
class Machinery:
    """What the footer tells.

    Attributes:
        rate: messages appended per second, lately; None before it was measured.
        sizes: bytes on disk by name.
        url: of the page; None where none is served.
    """

    tree: ChildStatistics | None
    bus: BusStatistics | None
    lag: LagStatistics | None
    rate: float | None
    sizes: dict[str, int]
    data_dir: str
    url: str | None = None


def render(
    board: Board, machinery: Machinery, now_ns: int, width: int, height: int, news: Sequence[Text] = ()
) -> Text:
    """The whole view: at most `height` lines of at most `width` characters, the footer always the last.

    What finds no room is left out from the end: first the news (of which the latest are shown), then
    the machinery, save that of actors in trouble, then products, and how many is said. It is drawn on
    the host's own event loop, for which a table of rich's takes too long.
    """
    footer = Text("Ctrl-C stops", "dim")
    if machinery.url is not None:
        footer.append(f"   {machinery.url}", "not dim")
    footer.append(f"   {_shortened(clean(machinery.data_dir).plain, width - len(footer) - 3)}")
    troubled, actors = _actors(machinery)
    details = [*_flowing(troubled, width)]
    body = _table(board, now_ns, width, max(height - 1 - len(details), 2))
    if rest := list(_flowing([*actors, *_figures(machinery)], width)):
        details += rest
    room = height - len(body) - 1
    details = details[: max(room, 0)]
    if details and len(details) < room:
        details.insert(0, Text())
    room -= len(details)
    told = [Text(), *list(news)[-(room - 1) :]] if news and room > 1 else []
    for line in told:
        line.truncate(width, overflow="ellipsis")
    return joined([*body, *details, *told, footer][-height:] if height > 1 else [footer])


def table(board: Board, now_ns: int, width: int) -> Text:
    """The products alone, all of them."""
    return joined(_table(board, now_ns, width, len(board.lines()) + 1))


def joined(lines: Sequence[Text]) -> Text:
    """The lines, one below the other, cut off where the terminal ends."""
    view = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
    view.no_wrap, view.overflow, view.end = True, "crop", ""
    return view


def _table(board: Board, now_ns: int, width: int, height: int) -> list[Text]:
    """Heading and a line per product, as many as there is room for."""
    lines = board.lines()
    if not lines:
        return [Text("waiting for the market", "dim")]
    rows = [_cells(product, line, now_ns) for product, line in lines]
    made = list(_laid_out(rows, width))
    if len(made) <= height:
        return made
    more = len(made) - height + 1
    return [*made[: height - 1], Text(f"{more} more product{'s' if more > 1 else ''}", "dim")]


def _laid_out(rows: list[dict[str, Text]], width: int) -> Iterator[Text]:
    """The rows in columns; where there is no room for all, those that can be missed are left out."""
    empty = [name for name in rows[0] if all(row[name].plain in ("", _NOTHING) for row in rows)]
    silent = [name for name in empty if all(not row[name] for row in rows)]
    widths = {
        name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0] if name not in silent
    }
    gap = next((gap for gap in _GAPS if _total(widths, gap) <= width), _GAPS[-1])
    for name in (*(name for name in _EXPENDABLE if name in empty), *_EXPENDABLE):
        if _total(widths, gap) > width:
            widths.pop(name, None)
    for row in ({name: Text(name, "dim") for name in widths}, *rows):
        line = Text()
        for name, room in widths.items():
            fill = " " * (room - len(row[name]))
            before, after = ("", fill) if name in _LEFT else (fill, "")
            line.append(gap if line else "").append(before).append_text(row[name]).append(after)
        line.truncate(width)
        yield line


def _total(widths: dict[str, int], gap: str) -> int:
    return sum(widths.values()) + len(gap) * (len(widths) - 1)


def _cells(product: str, line: Line, now_ns: int) -> dict[str, Text]:
    front, status = line.front, line.status
    metrics: dict[str, float | None] = front.metrics if front else dict.fromkeys(_METRICS)
    iv, pain = metrics["atm_iv"], metrics["max_pain_strike"]
    shut = status is not None and status.status != "open"
    state = status.status if status else _NOTHING
    return {
        "product": clean(product),
        "price": Text(number(_price(line)), "bold"),
        "expiry": Text(front.expiry if front else _NOTHING),
        "PCR OI": Text(number(metrics["pcr_oi"])),
        "max pain": Text(_NOTHING if pain is None else f"{pain:,g}"),
        "straddle": Text(number(metrics["atm_straddle_price"])),
        "ATM IV": Text(_NOTHING if iv is None else f"{iv:.2%}"),
        "age": Text(_NOTHING if line.ts is None else _age(line.ts, now_ns)),
        "market": Text(state, state_style(state)),
        "since (UTC)": Text(instant(status.since)[:16] if status and shut else ""),
        "reason": clean(status.reason if status and shut else "").copy(),
    }


def _age(ts: int, now_ns: int) -> str:
    """How old data are; those of another day say when they are from."""
    seconds = (now_ns - ts) / 1e9
    return age(seconds) if seconds < _DAY_S else instant(ts)[:16]


def _actors(machinery: Machinery) -> tuple[list[Text], list[Text]]:
    """Those in trouble, and the others."""
    troubled: list[Text] = []
    sound: list[Text] = []
    for child in machinery.tree.walk() if machinery.tree is not None else ():
        if not isinstance(child, SupervisorStatistics):
            actor = Text(f"{child.name} ").append(child.state.value, state_style(child.state.value))
            if child.reason:
                actor.append(f" {clean(child.reason).plain}", "dim")
            if child.restarts:
                actor.append(f" ({child.restarts} restart{'s' if child.restarts > 1 else ''})")
            (sound if child.state in _SOUND else troubled).append(actor)
    return troubled, sound


def _figures(machinery: Machinery) -> Iterator[Text]:
    if machinery.rate is not None:
        yield Text(f"{machinery.rate:,.0f} messages/s")
    if machinery.bus is not None:
        yield Text(f"{sum(group.lag for group in machinery.bus.groups):,} behind")
        if dead := sum(group.dead for group in machinery.bus.groups):
            yield Text(f"{dead:,} dead letters", "yellow")
    if machinery.lag is not None and machinery.lag.p99 is not None:
        yield Text(f"loop lag p99 {machinery.lag.p99 * 1e3:.1f} ms")
    for name, count in machinery.sizes.items():
        yield Text(f"{name} {size(count)}")


def _flowing(parts: Iterable[Text], width: int) -> Iterator[Text]:
    """The parts side by side, on as many lines as they need."""
    line = Text()
    for part in parts:
        if line and len(line) + len(_GAPS[0]) + len(part) > width:
            yield line
            line = Text()
        line.append(_GAPS[0] if line else "").append_text(part)
        line.truncate(width, overflow="ellipsis")
    if line:
        yield line


def _shortened(path: str, width: int) -> str:
    """The end of a path, which tells more than its beginning."""
    if len(path) <= width:
        return path
    return f"\u2026{path[len(path) - width + 1 :]}" if width > 1 else ""
