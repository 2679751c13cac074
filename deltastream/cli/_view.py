"""The live view of a host: one line per product, and how the machinery is doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from deltastream.bus.protocol import BusStatistics, Gap, Record
from deltastream.cli._output import age, clean, number, size, state_style, table
from deltastream.messages import EnrichedChain, MarketStatus, Message, UnderlyingTick
from supervisors import LagStatistics, SupervisorStatistics

__all__ = ["PATTERNS", "STATUS", "Board", "Machinery", "render"]

STATUS: Final = "market.status.*"
PATTERNS: Final = ("market.tick.*", STATUS, "enriched.chain.*")
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


def render(board: Board, machinery: Machinery, now_ns: int) -> RenderableType:
    """The whole view."""
    numbers = ("price", "PCR", "max pain", "straddle", "ATM IV", "age")
    shown = table(
        "product", "price", "PCR", "max pain", "straddle", "ATM IV", "expiry", "age", "market", right=numbers
    )
    shown.padding = (0, 2, 0, 0)
    for product, line in board.lines():
        shown.add_row(*_cells(product, line, now_ns))
    if not board.lines():
        shown.add_row(Text("waiting for the market", "dim"))
    return Group(shown, Text(), *_footer(machinery))


def _cells(product: str, line: Line, now_ns: int) -> list[Text | str]:
    front = line.front
    metrics: dict[str, float | None] = front.metrics if front else dict.fromkeys(_METRICS)
    iv, pain = metrics["atm_iv"], metrics["max_pain_strike"]
    status = Text(line.status or "-", state_style(line.status or "-"))
    if line.status not in (None, "open") and line.reason:
        status.append(f" {clean(line.reason).plain}", "dim")
    return [
        clean(product),
        Text(number(_price(line)), "bold"),
        number(metrics["pcr_oi"], 3),
        "-" if pain is None else f"{pain:,g}",
        number(metrics["atm_straddle_price"]),
        "-" if iv is None else f"{iv:.2%}",
        front.expiry if front else "-",
        "-" if line.ts_recv is None else age((now_ns - line.ts_recv) / 1e9),
        status,
    ]


def _footer(machinery: Machinery) -> list[Text]:
    actors = Text()
    if machinery.tree is not None:
        for child in machinery.tree.walk():
            if not isinstance(child, SupervisorStatistics):
                actors.append(f"{child.name} ").append(child.state.value, state_style(child.state.value))
                actors.append(f" ({child.restarts} restarts)  " if child.restarts else "  ")
    figures = []
    if machinery.rate is not None:
        figures.append(f"{machinery.rate:,.0f} messages/s")
    if machinery.bus is not None:
        figures.append(f"{sum(group.lag for group in machinery.bus.groups):,} behind")
        if dead := sum(group.dead for group in machinery.bus.groups):
            figures.append(f"{dead:,} dead letters")
    if machinery.lag is not None and machinery.lag.p99 is not None:
        figures.append(f"loop lag p99 {machinery.lag.p99 * 1e3:.1f} ms")
    figures += [f"{name} {size(count)}" for name, count in machinery.sizes.items()]
    place = clean(machinery.data_dir).append("   Ctrl-C stops")
    place.stylize("dim")
    return [actors, Text("   ".join(figures)), place]
