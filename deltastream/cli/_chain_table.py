"""The metrics of a file's chains as a table that fits the terminal and never cuts a number.

What is the same for all chains stands in the heading. Where the terminal is too narrow, flags
become footnotes, then columns are left out, in the order of `_LEAST_FIRST`: first the root, where
it is but the product's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from deltastream.cli._output import clean, exact, number, percent, table
from deltastream.messages import EnrichedChain

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Line", "print_chains"]

_GAP: Final = "  "
_TEXTS: Final = ("root", "expiry", "flags")
_INTERVALS: Final = "max pain intervals"
_LEAST_FIRST: Final = (
    *("root", "dropped", "strikes", "PCR vol", _INTERVALS),
    *("straddle", "ATM", "max pain", "PCR OI", "forward"),
)
_Columns = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One chain, and how many rows of its file were dropped."""

    chain: EnrichedChain
    dropped: int


def print_chains(screen: Console, name: str, taken: str, lines: Sequence[Line]) -> None:
    """Print the table of one file; to a file or a pipe it is as wide as it needs to be.

    Args:
        screen: where to.
        name: of the file.
        taken: when its data were taken.
        lines: at least one.
    """
    chains = [line.chain for line in lines]
    shared = [flag for flag in chains[0].flags if all(flag in chain.flags for chain in chains)]
    flags = [[flag for flag in chain.flags if flag not in shared] for chain in chains]
    columns, marks, left_out = _fitted(chains, _cells(lines, flags), flags, _room(screen))
    screen.width = max(screen.width, _width(columns))
    _print_parts(screen, (name, taken, *_spots(chains), *shared), style="bold")
    made = table(*columns, right=tuple(name for name in columns if name not in _TEXTS))
    for row in zip(*columns.values(), strict=True):
        made.add_row(*map(clean, row))
    screen.print(made)
    _print_parts(screen, [f"{mark}={flag}" for flag, mark in marks.items()], style="dim")
    if left_out:
        _print_parts(screen, [f"no room for {', '.join(left_out)}"], style="dim")
    screen.print()


def _room(screen: Console) -> int | None:
    return screen.width if screen.is_terminal else None


def _print_parts(screen: Console, parts: Sequence[str], style: str) -> None:
    """Print parts one after the other; a line ends between them, not within."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1] + _GAP + part) <= screen.width:
            lines[-1] += _GAP + part
        else:
            lines.append(part)
    for line in lines:
        screen.print(clean(line), style=style)


def _spots(chains: Sequence[EnrichedChain]) -> list[str]:
    """Each underlying with its price; a file tells one, and may have chains of others beside it."""
    spots = {chain.product: chain.spot for chain in chains}
    return [
        f"{product} spot {'unknown' if spot is None else number(spot)}" for product, spot in spots.items()
    ]


def _cells(lines: Sequence[Line], flags: Sequence[Sequence[str]]) -> _Columns:
    """Every column that has something to tell."""
    chains = [line.chain for line in lines]
    columns = {
        "root": [chain.root for chain in chains],
        "expiry": [chain.expiry for chain in chains],
        "forward": [number(chain.forward) for chain in chains],
        "ATM": [_strike(chain.atm_strike) for chain in chains],
        "straddle": [number(chain.atm_straddle_price) for chain in chains],
        "ATM IV": [percent(chain.atm_iv) for chain in chains],
        "PCR OI": [number(chain.pcr_oi) for chain in chains],
        "PCR vol": [number(chain.pcr_volume) for chain in chains],
        "max pain": [_interval(chain.max_pain_interval) for chain in chains],
        "strikes": [f"{len(chain.strikes):,}" for chain in chains],
    }
    if any(line.dropped for line in lines):
        columns["dropped"] = [f"{line.dropped:,}" if line.dropped else "-" for line in lines]
    if any(flags):
        columns["flags"] = [" ".join(of_one) for of_one in flags]
    return columns


def _fitted(
    chains: Sequence[EnrichedChain], columns: _Columns, flags: Sequence[Sequence[str]], room: int | None
) -> tuple[_Columns, dict[str, str], list[str]]:
    """The columns that fit, the footnotes' marks by flag, and what is left out."""
    marks: dict[str, str] = {}
    left_out: list[str] = []
    if room is None or _width(columns) <= room:
        return columns, marks, left_out
    if "flags" in columns:
        marks = dict(zip(dict.fromkeys(flag for one in flags for flag in one), ascii_lowercase, strict=False))
        columns = columns | {"flags": ["".join(marks[flag] for flag in one) for one in flags]}
    for name in _LEAST_FIRST:
        if _width(columns) <= room:
            break
        narrower = _without(name, columns, chains)
        if narrower != columns and name != "root":
            left_out.append(name)
        columns = narrower
    return columns, marks, left_out


def _without(name: str, columns: _Columns, chains: Sequence[EnrichedChain]) -> _Columns:
    if name == _INTERVALS:
        return columns | {"max pain": [_strike(chain.max_pain_strike) for chain in chains]}
    if name == "root" and any(chain.root != chains[0].product for chain in chains):
        return columns
    return {other: cells for other, cells in columns.items() if other != name}


def _width(columns: _Columns) -> int:
    widest = [max(map(cell_len, (name, *cells))) for name, cells in columns.items()]
    return sum(widest) + len(_GAP) * (len(widest) - 1)


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "-"
    low, high = map(_strike, interval)
    return low if low == high else f"{low} to {high}"


def _strike(value: float | None) -> str:
    """A strike with separators and the decimals that it has; a dash where there is none."""
    if value is None:
        return "-"
    whole, _, decimals = exact(value).partition(".")
    return f"{int(whole):,}" + (f".{decimals}" if decimals else "")
