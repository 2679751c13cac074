"""DeltaStream's own lines of the core's table, and what its peers are given and held against."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _measure import samples
from _options import chain, open_interest, options
from _peers import Measured
from msgspec.structs import astuple
from numpy.typing import NDArray

from deltastream import _core, pricing
from deltastream.pricing import AllGreeks, Greeks, ImpliedVolatility, black76, bsm

__all__ = ["BARE", "CACHED", "FRESH", "NOTHING", "OUT", "Own"]

FRESH, OUT, CACHED = "DeltaStream", "DeltaStream, out=", "DeltaStream's core, from the cache"
BARE = "DeltaStream's core"
NOTHING = np.empty((0, 0))
CACHE = 4000  # options whose columns, in and out, stay in a second-level cache of 1 MiB
Call = Callable[[], Any]


class Batch(NamedTuple):
    """A work on many options: in the public face, as it is called, and in the core that it calls."""

    work: str
    model: str
    face: Callable[..., Any]
    kernel: Callable[..., None]
    kind: type[Any]
    given: tuple[Any, ...]

    def into(self, out: Any, given: tuple[Any, ...], level: str | None) -> Call:
        """The core's call, which takes a yield always, and whether units are raw where there are units."""
        whole = given if self.model == "bsm" else (*given[:-1], 0.0, given[-1])
        arrays = astuple(out)
        tail = arrays if self.kind is ImpliedVolatility else (False, arrays)
        return lambda: self.kernel(self.model, *whole, *tail, level)


class Own:
    """Measures DeltaStream.

    Attributes:
        lines: measured, in the order of the table.
        levels: (work, who) → level → seconds of a call, the best.
        reference: work → results that the peers' must equal.
        bsm: columns spot, strike, t, sigma, rate, dividend_yield, is_call.
        price: of these.
    """

    def __init__(self, count: int) -> None:
        self.lines: list[Measured] = []
        self.levels: dict[tuple[str, str], dict[str, float]] = {}
        self.reference: dict[str, NDArray[np.float64]] = {}
        self.inputs: dict[str, Any] = dict(options(count))
        self.bsm = self._columns("spot", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
        self.price = bsm.price(*self.bsm)
        self._sweep = chain(black76.price)
        self._interest = open_interest()

    def measure(self) -> None:
        black = self._columns("forward", "strike", "t", "sigma", "rate", "is_call")
        quoted = (self.price, *self._columns("spot", "strike", "t", "rate", "dividend_yield", "is_call"))
        black_quoted = (black76.price(*black), *self._columns("forward", "strike", "t", "rate", "is_call"))
        implied, sigmas = _core.implied_volatility, ImpliedVolatility
        for batch in (
            Batch("greeks", "bsm", bsm.greeks, _core.greeks, Greeks, self.bsm),
            Batch("greeks76", "black76", black76.greeks, _core.greeks, Greeks, black),
            Batch("all", "bsm", bsm.all_greeks, _core.all_greeks, AllGreeks, self.bsm),
            Batch("all76", "black76", black76.all_greeks, _core.all_greeks, AllGreeks, black),
            Batch("iv", "bsm", bsm.implied_volatility, implied, sigmas, quoted),
            Batch("iv76", "black76", black76.implied_volatility, implied, sigmas, black_quoted),
        ):
            self._batch(batch)
        self._chain()
        self._max_pain()

    def hand_over(self, directory: Path) -> None:
        """Write the peers' inputs."""
        for name, column in (self.inputs | {"price": self.price}).items():
            np.save(directory / f"{name}.npy", column)
        undiscounted = self.price * np.exp(self.inputs["rate"] * self.inputs["t"])
        rows = np.stack([undiscounted, *self._columns("forward", "strike", "t", "is_call")])
        rows.tofile(directory / "implied_vol.in")
        for name, column in self._sweep[2].items():
            np.save(directory / f"chain-{name}.npy", column)
        strikes = [
            {"strike": float(strike), "call_oi": float(calls), "put_oi": float(puts)}
            for strike, calls, puts in zip(*self._interest, strict=True)
        ]
        (directory / "open_interest.json").write_text(json.dumps(strikes))

    def _columns(self, *names: str) -> tuple[Any, ...]:
        return tuple(self.inputs[name] for name in names)

    def _batch(self, batch: Batch) -> None:
        given, size = batch.given, batch.given[0].size
        found = batch.face(*given)
        rows = (found.sigma,) if isinstance(found, ImpliedVolatility) else astuple(found)
        self.reference[batch.work] = np.stack(rows)
        self._line(batch.work, FRESH, size, lambda: batch.face(*given))
        out = batch.kind.empty(size)
        self._line(
            batch.work,
            OUT,
            size,
            lambda: batch.face(*given, out=out),
            lambda level: batch.into(out, given, level),
        )
        few = tuple(column[:CACHE] for column in given)
        kept = batch.kind.empty(few[0].size)
        self._line(
            batch.work,
            CACHED,
            few[0].size,
            batch.into(kept, few, None),
            lambda level: batch.into(kept, few, level),
        )

    def _chain(self) -> None:
        columns, market, quoted = self._sweep
        both = {name: np.tile(column, 2) for name, column in quoted.items()}
        is_call = np.arange(2 * columns.shape[1]) < columns.shape[1]
        at, rate = (both["forward"], both["strike"], both["t"]), both["rate"]
        greeks = black76.greeks(*at, both["sigma"], rate, is_call)
        mids = np.concatenate([quoted["call"], quoted["put"]])
        sigma = black76.implied_volatility(mids, *at, rate, is_call).sigma
        self.reference["chain"] = np.stack([*astuple(greeks)[1:], sigma])
        parameters: dict[str, Any] = market | {"multiplier": 1.0, "convention": "naive"}

        def core(level: str | None) -> Call:
            return lambda: _core.sweep(columns, **parameters, level=level)

        self._line("chain", FRESH, is_call.size, lambda: pricing.sweep(columns, **parameters))
        self._line("chain", BARE, is_call.size, core(None), core)

    def _max_pain(self) -> None:
        strikes, calls, puts = self._interest
        self.reference["max pain"] = np.array([[pricing.max_pain(strikes, calls, puts).point]])
        self._line("max pain", FRESH, 1, lambda: pricing.max_pain(strikes, calls, puts))
        self._line("max pain", BARE, 1, lambda: _core.max_pain(strikes, calls, puts, np.nan))

    def _line(
        self, work: str, who: str, size: int, call: Call, at: Callable[[str], Call] | None = None
    ) -> None:
        values = self.reference[work] if who == FRESH else NOTHING
        self.lines.append(Measured(work, who, samples(call), size, values))
        if at:
            found = {level: min(samples(at(level), seconds=0.5)) for level in _core.levels()}
            self.levels[work, who] = found
