"""The live view of a host: one line per product, and how the machinery is doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rich.text import Text

from deltastream.bus.protocol import BusStatistics, Gap, Record
from deltastream.cli._output import age, clean, number, size, state_style
from deltastream.messages import EnrichedChain, MarketStatus, Message, UnderlyingTick
from supervisors import LagStatistics, SupervisorStatistics

__all__ = ["PATTERNS", "STATUS", "Board", "Machinery", "render"]

STATUS: Final = "market.status.*"
PATTERNS: Final = ("market.tick.*", STATUS, "enriched.chain.*")
_COLUMNS: Final = ("product", "price", "PCR", "max pain", "straddle", "ATM IV", "expiry", "age", "market")
_NUMBERS: Final = frozenset((*_COLUMNS[1:6], "age"))
_EXPENDABLE: Final = ("expiry", "age", "market", "max pain", "PCR")
_GAP: Final = "   "
_METRICS: Final = ("pcr_oi", "max_pain_strike", "atm_straddle_price", "atm_iv")


@dataclass(slots=True)
class Line:
    """What is known of one product; its metrics are those of its nearest live expiry."""

    price: float | None = None
    ts_recv: int | None = None
    status: str | None = None
    reason: str = ""
    changed: bool = False
    expiries: dict[tuple[int, str], EnrichedHead] = field(default_factory=dict)

    @property
    def front(self) -> EnrichedHead | None:
        """The nearest expiry that had not passed when its chain was taken; the latest where all had."""
        live = [key for key, head in self.expiries.items() if head.live]
        if live:
            return self.expiries[min(live)]
        return self.expiries[max(self.expiries)] if self.expiries else None


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
        self._before: dict[str, MarketStatus] = {}

    def begin(self, message: Message) -> None:
        """Note a market status from before: it holds for its product once that speaks."""
        if isinstance(message, MarketStatus):
            self._before[message.product] = message

    def take(self, item: Record | Gap) -> None:
        """Note what a message says; anything not shown is passed over."""
        if isinstance(item, Record):
            message = item.message
            if isinstance(message, UnderlyingTick | MarketStatus | EnrichedChain):
                line = self._line(message.product)
                line.changed = True
                line.ts_recv = max(line.ts_recv or 0, message.ts_recv)
                _note(line, message)

    def _line(self, product: str) -> Line:
        if product not in self._lines:
            line = self._lines[product] = Line()
            if status := self._before.get(product):
                _note(line, status)
        return self._lines[product]

    def lines(self) -> list[tuple[str, Line]]:
        """The products by symbol."""
        return sorted(self._lines.items())

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
                    "status": line.status,
                }


def _note(line: Line, message: Message) -> None:
    if isinstance(message, UnderlyingTick):
        line.price = message.price
    elif isinstance(message, MarketStatus):
        line.status, line.reason = message.status, message.reason
    elif isinstance(message, EnrichedChain):
        metrics = {name: getattr(message, name) for name in _METRICS}
        live = message.expiry_ts > message.ts_event
        head = EnrichedHead(message.expiry, live, message.spot, metrics)
        for key in [key for key in line.expiries if live and key[0] <= message.ts_event]:
            del line.expiries[key]
        line.expiries[message.expiry_ts, message.root] = head


def _price(line: Line) -> float | None:
    front = line.front
    return line.price if line.price is not None or front is None else front.spot


@dataclass(frozen=True, slots=True)
class Machinery:
    """What the footer tells.

    Attributes:
        rate: messages appended per second, lately; None before it was measured.
        sizes: bytes on disk by name.
    """

    tree: SupervisorStatistics | None
    bus: BusStatistics | None
    lag: LagStatistics | None
    rate: float | None
    sizes: dict[str, int]
    data_dir: str


def render(board: Board, machinery: Machinery, now_ns: int, width: int) -> Text:
    """The whole view in lines of at most `width` characters, made in a fraction of a millisecond.

    It is drawn on the host's own event loop, for which a table of rich's takes too long.
    """
    view = Text(no_wrap=True, overflow="crop", end="")
    rows = [{name: Text(name, "dim") for name in _COLUMNS}]
    rows += [_cells(product, line, now_ns) for product, line in board.lines()]
    for row in _laid_out(rows, width):
        view.append_text(row).append("\n")
    if len(rows) == 1:
        view.append("waiting for the market\n", "dim")
    view.append("\n")
    for line in (*_flowing(_actors(machinery), width), *_flowing(_figures(machinery), width)):
        view.append_text(line).append("\n")
    return view.append(f"{clean(machinery.data_dir).plain}   Ctrl-C stops", "dim")


def _laid_out(rows: list[dict[str, Text]], width: int) -> Iterator[Text]:
    """The rows in columns; where there is no room for all, those that can be missed are left out."""
    widths = {name: max(len(row[name]) for row in rows) for name in _COLUMNS}
    for name in _EXPENDABLE:
        if sum(widths.values()) + len(_GAP) * (len(widths) - 1) > width:
            del widths[name]
    for row in rows:
        line = Text()
        for name, room in widths.items():
            fill = " " * (room - len(row[name]))
            before, after = (fill, "") if name in _NUMBERS else ("", fill)
            line.append(_GAP if line else "").append(before).append_text(row[name]).append(after)
        yield line


def _cells(product: str, line: Line, now_ns: int) -> dict[str, Text]:
    front = line.front
    metrics: dict[str, float | None] = front.metrics if front else dict.fromkeys(_METRICS)
    iv, pain = metrics["atm_iv"], metrics["max_pain_strike"]
    status = Text(line.status or "-", state_style(line.status or "-"))
    if line.status not in (None, "open") and line.reason:
        status.append(f" {clean(line.reason).plain}", "dim")
    return {
        "product": clean(product),
        "price": Text(number(_price(line)), "bold"),
        "PCR": Text(number(metrics["pcr_oi"], 3)),
        "max pain": Text("-" if pain is None else f"{pain:,g}"),
        "straddle": Text(number(metrics["atm_straddle_price"])),
        "ATM IV": Text("-" if iv is None else f"{iv:.2%}"),
        "expiry": Text(front.expiry if front else "-"),
        "age": Text("-" if line.ts_recv is None else age((now_ns - line.ts_recv) / 1e9)),
        "market": status,
    }


def _actors(machinery: Machinery) -> Iterator[Text]:
    for child in machinery.tree.walk() if machinery.tree is not None else ():
        if not isinstance(child, SupervisorStatistics):
            actor = Text(f"{child.name} ").append(child.state.value, state_style(child.state.value))
            if child.reason:
                actor.append(f" {clean(child.reason).plain}", "dim")
            yield actor.append(f" ({child.restarts} restarts)" if child.restarts else "")


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


def _flowing(parts: Iterator[Text], width: int) -> Iterator[Text]:
    """The parts side by side, on as many lines as they need."""
    line = Text()
    for part in parts:
        if line and len(line) + len(_GAP) + len(part) > width:
            yield line
            line = Text()
        line.append(_GAP if line else "").append_text(part)
    yield line
