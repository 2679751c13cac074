"""The live view of rooms: chains with calls left and puts right, prices, surfaces, and how fresh it is.

It takes what a client hears, and draws lines that fit the terminal: strikes round the money, and
columns in the order in which they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.text import Text

from deltastream.cli._output import age, clean, exact, instant, number, percent, state_style
from deltastream.cli._view import joined
from deltastream.client import (
    Chain,
    ChainSummary,
    ChainUpdate,
    Disconnected,
    Event,
    Interrupted,
    MarketStatus,
    Reconnected,
    RoomRefused,
    SurfaceUpdate,
    UnderlyingUpdate,
)

__all__ = ["Screen"]

STALE_S: Final = 15.0
"""Data older than this look so."""

_DAY_S: Final = 86_400
_GAP: Final = "  "
_SIDE: Final[tuple[tuple[str, str], ...]] = (
    ("bid", "bid"),
    ("ask", "ask"),
    ("iv", "IV"),
    ("oi", "OI"),
    ("delta", "delta"),
    ("volume", "volume"),
    ("gamma", "gamma"),
    ("theta", "theta"),
)
"""Columns of a side by what is needed first; the first stand nearest to the strikes."""


@dataclass(slots=True)
class _Price:
    price: float
    before: float | None
    volume: float | None
    ts: int


@dataclass(slots=True)
class Screen:
    """What is known, by what a client hears.

    Attributes:
        rooms: that are watched, in the order in which they are shown.
        lost_since: when the connection was lost, nanoseconds UTC; None while there is one.
    """

    rooms: tuple[str, ...]
    lost_since: int | None = None
    _why: str = ""
    _prices: dict[str, _Price] = field(default_factory=dict)
    _chains: dict[str, dict[tuple[str, str], Chain]] = field(default_factory=dict)
    _summaries: dict[tuple[str, str, str], ChainSummary] = field(default_factory=dict)
    _surfaces: dict[str, SurfaceUpdate] = field(default_factory=dict)
    _statuses: dict[str, MarketStatus] = field(default_factory=dict)
    _notices: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event, now_ns: int) -> None:
        """Note what was heard."""
        match event:
            case UnderlyingUpdate():
                held = self._prices.get(event.product)
                before = None if held is None else held.price
                self._prices[event.product] = _Price(event.price, before, event.volume, event.ts)
            case ChainUpdate():
                chains = self._chains.setdefault(event.room, {})
                for key in [key for key, one in chains.items() if one.expiry_ts <= event.chain.ts]:
                    del chains[key]
                chains[event.chain.key] = event.chain
            case ChainSummary():
                self._note_summary(event)
            case SurfaceUpdate():
                self._surfaces[event.product] = event
            case MarketStatus():
                self._statuses[event.product] = event
            case Disconnected():
                self.lost_since, self._why = now_ns, event.reason
            case Reconnected():
                self.lost_since = None
            case Interrupted():
                self._notices[event.room] = f"interrupted ({event.reason})"
            case RoomRefused():
                self._notices[event.room] = event.message
            case _:
                pass

    def lines(self, now_ns: int, width: int, height: int) -> Text:
        """The whole view, at most `height` lines of at most `width` characters; the last is the footer."""
        body: list[Text] = []
        chain_rooms = [room for room in self.rooms if room.startswith("chain:")]
        rest = [*self._price_lines(now_ns), *self._summary_lines(), *self._surface_lines()]
        room = max(height - 1 - len(rest), (height - 1) * 2 // 3)
        for number_, name in enumerate(chain_rooms):
            share = room // (len(chain_rooms) - number_)
            drawn = list(self._chain_lines(name, now_ns, width, share))
            body += drawn
            room -= len(drawn)
        body += rest
        for line in body:
            line.truncate(width, overflow="ellipsis")
            if self.lost_since is not None:
                line.stylize("dim")
        if not body:
            body = [Text("waiting for data", "dim")]
        footer = self._footer(now_ns)
        footer.truncate(width, overflow="ellipsis")
        return joined([*body[: max(height - 1, 0)], footer])

    def _note_summary(self, event: ChainSummary) -> None:
        head = event.head
        for key, held in list(self._summaries.items()):
            if key[0] == head["product"] and held.head["expiry_ts"] <= event.ts:
                del self._summaries[key]
        self._summaries[head["product"], head["expiry"], head["root"]] = event

    def _chain_lines(self, room: str, now_ns: int, width: int, height: int) -> Iterator[Text]:
        chains = self._chains.get(room, {})
        if not chains:
            yield Text.assemble((room, "bold"), "  ", (self._notices.get(room, "waiting"), "dim"))
            return
        chain = min(chains.values(), key=lambda one: (one.expiry_ts, one.root))
        old = self._is_old(chain.ts, chain.product, now_ns)
        title = Text.assemble(
            (f"{chain.root} {chain.expiry}", "bold"), _GAP, self._age(chain.ts, chain.product, now_ns)
        )
        told = [
            f"spot {number(chain.spot)}",
            f"forward {number(chain.forward)}",
            f"ATM IV {percent(chain.atm_iv)}",
            f"PCR {number(chain.pcr_oi)}",
            f"max pain {_strike(chain.max_pain_strike)}",
            f"straddle {number(chain.atm_straddle_price)}",
            *([f"1 of {len(chains)} expiries"] if len(chains) > 1 else []),
        ]
        for part in told:
            if len(title) + len(_GAP) + len(part) <= width:
                title.append(_GAP + part)
        yield title
        for line in _ladder(chain, width, height - 1):
            if old:
                line.stylize("dim")
            yield line

    def _price_lines(self, now_ns: int) -> Iterator[Text]:
        if not self._prices:
            return
        rows = []
        for product, one in sorted(self._prices.items()):
            style = (
                "bold"
                if one.before is None or one.price == one.before
                else ("bold green" if one.price > one.before else "bold red")
            )
            status = self._statuses.get(product)
            state = "-" if status is None else status.status
            why = "" if status is None or status.status == "open" else status.reason
            if self._is_old(one.ts, product, now_ns):
                style = "dim"
            rows.append(
                (
                    clean(product),
                    Text(number(one.price), style),
                    Text("-" if one.volume is None else f"{one.volume:,.0f}"),
                    self._age(one.ts, product, now_ns),
                    Text(state, state_style(state)),
                    clean(why),
                )
            )
        yield from _columns(("product", "price", "volume", "age", "market", "reason"), rows, left=(0, 4, 5))

    def _summary_lines(self) -> Iterator[Text]:
        rows = [
            (
                Text(root if root == product else f"{product} {root}"),
                Text(expiry),
                Text(number(one.head["forward"])),
                Text(percent(one.head["atm_iv"])),
                Text(number(one.head["pcr_oi"])),
                Text(_strike(one.head["max_pain_strike"])),
                Text(number(one.head["atm_straddle_price"])),
            )
            for (product, expiry, root), one in sorted(self._summaries.items())
        ]
        if rows:
            yield Text()
            names = ("chain", "expiry", "forward", "ATM IV", "PCR OI", "max pain", "straddle")
            yield from _columns(names, rows, left=(0, 1))

    def _surface_lines(self) -> Iterator[Text]:
        for product, surface in sorted(self._surfaces.items()):
            yield Text()
            rows = [
                (
                    clean(f"{product} {one['root']}" if one["root"] != product else product),
                    Text(one["expiry"]),
                    Text(number(one["forward"])),
                    Text(percent(one["atm_iv"])),
                    Text(percent(one["avg_iv"])),
                    Text(f"{sum(iv is not None for iv in one['ivs'])} of {len(one['strikes'])}"),
                )
                for one in surface.slices
            ]
            yield from _columns(
                ("surface", "expiry", "forward", "ATM IV", "mean IV", "solved"), rows, left=(0, 1)
            )

    def _footer(self, now_ns: int) -> Text:
        if self.lost_since is not None:
            lost = age((now_ns - self.lost_since) / 1e9)
            return Text.assemble((f"disconnected for {lost}: {clean(self._why).plain}", "bold red"))
        newest = max(self._instants(), default=None)
        line = Text.assemble(("connected", "green"))
        if newest is not None:
            behind = (now_ns - newest * 1000) / 1e9
            line.append("  data ").append(age(behind) + " old", "yellow" if behind > STALE_S else "green")
        for room, notice in self._notices.items():
            line.append(f"  {room}: {clean(notice).plain}", "yellow")
        return line.append("  Ctrl-C ends", "dim")

    def _instants(self) -> Iterator[int]:
        for one in self._prices.values():
            yield one.ts
        for chains in self._chains.values():
            for chain in chains.values():
                yield chain.ts
        for update in (*self._summaries.values(), *self._surfaces.values()):
            yield update.ts

    def _is_old(self, ts: int, product: str, now_ns: int) -> bool:
        status = self._statuses.get(product)
        told = status is not None and status.status in ("stale", "degraded")
        return told or now_ns - ts * 1000 > STALE_S * 1e9

    def _age(self, ts: int, product: str, now_ns: int) -> Text:
        seconds = (now_ns - ts * 1000) / 1e9
        text = age(seconds) if seconds < _DAY_S else instant(ts * 1000)[:16]
        return Text(text, "yellow" if self._is_old(ts, product, now_ns) else "")


def _ladder(chain: Chain, width: int, height: int) -> Iterator[Text]:
    """Heading and strikes round the money, as many as there is room for."""
    strikes = chain.strikes
    if not len(strikes) or height < 2:
        return
    spot = chain.atm_strike if chain.atm_strike is not None else (chain.forward or chain.spot)
    middle = len(strikes) // 2 if spot is None else int(abs(strikes - spot).argmin())
    count = min(height - 1, len(strikes))
    first = min(max(middle - count // 2, 0), len(strikes) - count)
    shown = range(first, first + count)
    cells = {
        (side, name): [_cell(name, chain.columns[f"{side}_{name}"][row]) for row in shown]
        for side in ("call", "put")
        for name, _ in _SIDE
    }
    labels = [_strike(float(strikes[row])) for row in shown]
    names = _fitting(cells, labels, width)
    order = [("call", name) for name in reversed(names)], [("put", name) for name in names]
    titles = dict(_SIDE)
    wide = {key: max(len(titles[key[1]]), *map(len, cells[key])) for side in order for key in side}
    middle_width = max(len("strike"), *map(len, labels))

    def line(pick: Any, label: str, style: str) -> Text:
        parts = [pick(key).rjust(wide[key]) for key in order[0]]
        parts.append(label.center(middle_width))
        parts += [pick(key).rjust(wide[key]) for key in order[1]]
        text = Text(_GAP.join(parts))
        at = sum(wide[key] + len(_GAP) for key in order[0])
        text.stylize(style, at, at + middle_width)
        return text

    heading = line(lambda key: titles[key[1]], "strike", "")
    heading.stylize("dim")
    yield heading
    for number_, row in enumerate(shown):
        picked = line(lambda key, n=number_: cells[key][n], labels[number_], "bold")
        if row == middle and spot is not None:
            picked.stylize("reverse")
        yield picked


def _fitting(cells: dict[tuple[str, str], list[str]], labels: Sequence[str], width: int) -> list[str]:
    """The columns of a side for which there is room, those that say nothing anywhere left out."""
    total = max(len("strike"), *map(len, labels))
    found = []
    for name, title in _SIDE:
        both = [cells["call", name], cells["put", name]]
        if all(cell == "-" for column in both for cell in column):
            continue
        total += sum(max(len(title), *map(len, column)) + len(_GAP) for column in both)
        if total > width:
            break
        found.append(name)
    return found


def _cell(name: str, value: float) -> str:
    if value != value:
        return "-"
    match name:
        case "iv":
            return f"{value:.1%}"
        case "oi" | "volume":
            return f"{value:,.0f}"
        case "delta":
            return f"{value:.2f}"
        case "gamma":
            return f"{value:.5f}"
        case _:
            return f"{value:,.2f}"


def _columns(
    names: tuple[str, ...], rows: Sequence[tuple[Text, ...]], *, left: tuple[int, ...]
) -> Iterator[Text]:
    """Rows below their headings; the columns of `left` begin at the left."""
    widths = [max(len(name), *(len(row[at]) for row in rows)) for at, name in enumerate(names)]
    for row in (tuple(Text(name, "dim") for name in names), *rows):
        line = Text()
        for at, cell in enumerate(row):
            fill = " " * (widths[at] - len(cell))
            line.append(_GAP if at else "")
            line.append_text(cell).append(fill) if at in left else line.append(fill).append_text(cell)
        line.rstrip()
        yield line


def _strike(value: float | None) -> str:
    if value is None:
        return "-"
    whole, _, decimals = exact(value).partition(".")
    return f"{int(whole):,}" + (f".{decimals}" if decimals else "")
