"""The core beside its peers: one table, every number from one run on the same inputs, one thread.

    python benches/core.py [--options 1000000] [--alone]

Options as NumPy arrays, results in fresh arrays unless the line says otherwise; a line is the best and the
median of several calls after one that is not counted. What was asked for stands beside what was measured, and
nothing fails that misses it: these are numbers, not verdicts.

``× ours`` is the time of an option, divided by that of DeltaStream's first line of the same work;
``difference`` the largest from DeltaStream's results, relative to the largest value of the column, and that
column; ``error`` the worst relative error of 200 of the options against mpmath; the last columns are the
core, forced to each instruction set.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import _truth
import numpy as np
from _machine import machine, table
from _measure import samples
from _own import FRESH, NOTHING, OUT, Own
from _peers import Measured, Peers
from numpy.typing import NDArray

from deltastream import _core
from deltastream.pricing import Greeks, bsm

Floats = NDArray[np.float64]

WORKS = {
    "greeks": "price + 5 Greeks, Black-Scholes-Merton",
    "greeks76": "price + 5 Greeks, Black-76",
    "all": "price + 13 Greeks, Black-Scholes-Merton",
    "all76": "price + 13 Greeks, Black-76",
    "iv": "implied volatility, Black-Scholes-Merton",
    "iv76": "implied volatility, Black-76",
    "chain": "a chain of 60 strikes × 2: all metrics",
    "max pain": "max pain of 500 strikes",
}
FLOORS = {
    ("greeks", FRESH): "≥ 25 M/s",
    ("greeks", OUT): "≥ 40 M/s",
    ("greeks76", FRESH): "≥ 25 M/s",
    ("greeks76", OUT): "≥ 40 M/s",
    ("all", FRESH): "≥ 12 M/s",
    ("all76", FRESH): "≥ 12 M/s",
    ("iv", FRESH): "≥ 8 M/s",
    ("iv76", FRESH): "≥ 8 M/s",
    ("chain", FRESH): "≤ 100 µs",
    ("max pain", FRESH): "≤ 2 µs",
    ("greeks", "NumPy + SciPy"): "≥ 3 ×",
    ("greeks", "fast-vollib"): "≥ 3 ×",
    ("greeks", "py_vollib_vectorized"): "≥ 25 ×",
    ("iv", "fast-vollib"): "≥ 15 ×",
    ("iv", "py_vollib_vectorized"): "≥ 5 ×",
    ("iv", "implied-vol, called from Rust"): "≥ 1.5 ×",
    ("chain", "opengreeks, as published"): "≥ 3 ×",
    ("max pain", "the tutorial's double loop"): "≥ 1000 ×",
}
# README of opengreeks 0.2.0: 200 options, five Greeks about 45 µs, one implied volatility about 300 µs.
PUBLISHED = Measured("chain", "opengreeks, as published", [345e-6], 200, NOTHING)
COLUMNS = {
    "greeks": _truth.NAMES,
    "all": _truth.NAMES,
    "iv": ("sigma",),
    "chain": (*_truth.NAMES[1:6], "sigma"),
    "max pain": ("strike",),
}
CHECKED = 200


class Truth:
    """Results of mpmath for some of the options."""

    def __init__(self, own: Own) -> None:
        count = own.price.size
        self._chosen = np.unique(np.linspace(0, count - 1, CHECKED).astype(int))
        columns = [column[self._chosen].tolist() for column in own.bsm]
        chosen = [(row[:6], row[6]) for row in zip(*columns, strict=True)]
        greeks = np.array([_truth.greeks(option, is_call) for option, is_call in chosen]).T
        prices = own.price[self._chosen].tolist()
        sigmas = [_truth.volatility(price, *row) for price, row in zip(prices, chosen, strict=True)]
        self._values = {"greeks": greeks, "all": greeks, "iv": np.array([sigmas])}

    def error(self, line: Measured) -> str:
        if line.work not in self._values or not line.values.size:
            return ""
        width = len(line.values)
        computed, names = line.values[:, self._chosen], COLUMNS[line.work][:width]
        return f"{_truth.worst(computed, self._values[line.work][:width], names):.0e}"


def rows(own: Own, others: Sequence[Measured], truth: Truth) -> Iterator[list[str]]:
    """The lines of the table, work by work: ours, then the peers'."""
    levels = _core.levels()
    for work, title in WORKS.items():
        yield [title, *[""] * (7 + len(levels))]
        ours = [line for line in own.lines if line.work == work]
        unit = min(ours[0].seconds) / ours[0].options
        for line in [*ours, *(line for line in others if line.work == work)]:
            best = min(line.seconds)
            ratio = best / line.options / unit
            theirs = line not in ours
            at = own.levels.get((work, line.who), {})
            yield [
                "  " + line.who,
                _time(best),
                _time(median(line.seconds)),
                _rate(line.options, best) if line.options > 1 else "",
                FLOORS.get((work, line.who), ""),
                (f"{ratio:.1f}" if ratio < 100 else f"{ratio:,.0f}") if theirs else "",
                _difference(line, own.reference[work]) if theirs and line.values.size else "",
                truth.error(line),
                *(_rate(line.options, at[level]) if level in at else "" for level in levels),
            ]


def memory(own: Own) -> str:
    """What fresh arrays cost: pages that the kernel must find and clear, on every call."""
    shape = (len(Greeks.__struct_fields__), own.price.size)
    kept = np.empty(shape)
    fresh = min(samples(lambda: np.empty(shape).fill(0.0), seconds=1.0))
    again = min(samples(lambda: kept.fill(0.0), seconds=1.0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bsm.greeks(*own.bsm)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    seconds = {line.who: min(line.seconds) for line in own.lines if line.work == "greeks"}
    read, written = (sum(column.nbytes for column in columns) / 2**20 for columns in (own.bsm, kept))
    return (
        f"Memory: price + 5 Greeks read {read:.0f} MiB and write {written:.0f} MiB. Fresh, the results are "
        f"{faults} page faults a call: to fill such arrays takes {_time(fresh)} fresh and {_time(again)} "
        f"kept, a difference of {(fresh - again) / seconds[FRESH]:.0%} of the time of the fresh call. With "
        f"out= the call takes {1 - seconds[OUT] / seconds[FRESH]:.0%} less than fresh."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the core beside its peers")
    parser.add_argument("--options", type=int, default=1_000_000, help="how many options a batch has")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    peers = Peers()
    if not arguments.alone:
        peers.ready()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    own = Own(arguments.options)
    own.measure()
    others: list[Measured] = []
    if not arguments.alone:
        with tempfile.TemporaryDirectory(prefix="deltastream-core-") as name:
            own.hand_over(Path(name))
            others = [PUBLISHED, *peers.measure(Path(name))]
    print(f"options: {arguments.options:,} a batch, all on core {core} alone\n")
    head = ["", "best", "median", "options", "asked", "× ours", "difference", "error", *_core.levels()]
    print(table(head, rows(own, others, Truth(own))), end="\n\n")
    print(memory(own))
    if peers.versions:
        print("Peers:", "; ".join(peers.versions))
    print(*peers.notes, *(f"Not run: {who}: {why}" for who, why in peers.absent.items()), sep="\n")


def _difference(line: Measured, reference: Floats) -> str:
    reference = reference[: len(line.values)]
    absent = np.isnan(line.values)
    relative = np.where(absent, 0.0, np.abs(line.values - reference))
    relative = (relative / np.abs(reference).max(axis=1, keepdims=True)).max(axis=1)
    worst = int(relative.argmax())
    shown = f"{relative[worst]:.0e} {COLUMNS[line.work][worst]}"
    return shown + (f", {absent.sum()} NaN" if absent.any() else "")


def _time(seconds: float) -> str:
    unit, scale = next(
        (unit, scale) for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 0.0)) if seconds >= scale
    )
    return f"{seconds / (scale or 1e-6):.3g} {unit}"


def _rate(options: int, seconds: float) -> str:
    return f"{options / seconds / 1e6:.3g} M/s"


if __name__ == "__main__":
    main()
