"""How things look: consoles, JSON, sizes, durations, instants."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "age",
    "clean",
    "console",
    "exact",
    "instant",
    "iso",
    "number",
    "percent",
    "print_json",
    "size",
    "state_style",
    "table",
]

_FILE_WIDTH: Final = 200
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STATE_STYLES: Final[Mapping[str, str]] = {
    "running": "green",
    "open": "green",
    "ok": "green",
    "starting": "cyan",
    "degraded": "yellow",
    "stale": "yellow",
    "warn": "yellow",
    "halted": "yellow",
    "backing off": "yellow",
    "stopping": "yellow",
    "stuck": "bold red",
    "failed": "bold red",
    "fail": "bold red",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """A console without colour where it is not a terminal or NO_COLOR is set; wide where it is a file.

    A pipe whose reader has gone raises BrokenPipeError, as it does for what is written without Rich.
    """
    made = _Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made.width = max(made.width, _FILE_WIDTH)
    return made


def print_json(value: Any, *, indent: bool = True) -> None:
    """Write one JSON document to standard output: indented, or on one line."""
    data = msgspec.json.encode(value)
    text = (msgspec.json.format(data, indent=2) if indent else data).decode()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A plain table; the columns named in `right` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", header_style="dim")
    return made


def clean(text: str) -> Text:
    """Foreign text without control characters, which could rewrite the terminal."""
    return Text("".join(c if c.isprintable() else "\ufffd" for c in text))


def state_style(state: str) -> str:
    """The style of an actor's, a market's or a check's state."""
    return _STATE_STYLES.get(state, "dim")


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def age(seconds: float | None) -> str:
    """A span of time for people, in its two largest units."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f} s"
    for unit, part, most in ((60, 1, 3600), (3600, 60, 86400), (86400, 3600, float("inf"))):
        if seconds < most:
            names = {1: "s", 60: "m", 3600: "h", 86400: "d"}
            return f"{seconds // unit:.0f} {names[unit]} {seconds % unit // part:.0f} {names[part]}"
    raise AssertionError("unreachable")


def number(value: float | None, digits: int = 2) -> str:
    """A number with separators; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def exact(value: float) -> str:
    """A number as it was given: every digit that it has, none that only binary arithmetic added."""
    return f"{value:.0f}" if 1e12 <= abs(value) < 1e18 else f"{value:.12g}"


def percent(value: float | None) -> str:
    """A fraction in percent; a dash where there is none."""
    return "-" if value is None else f"{value:.2%}"


def iso(ts_ns: int) -> str:
    """An instant as ISO 8601 in UTC, to the nanosecond."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def instant(ts_ns: int) -> str:
    """Date and time of day, in UTC and marked so, to the millisecond."""
    return iso(ts_ns)[:23].replace("T", " ") + "Z"
