"""Fixtures of the core's tests: the kernels over broadcastable arguments, golden tables, realistic chains."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from deltastream import _core

GOLDEN = Path(__file__).parent / "golden"
GREEKS = ("price", "delta", "gamma", "vega", "theta", "rho")
ALL_GREEKS = (
    *GREEKS,
    *("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima", "forward_delta"),
)
ROWS = {
    "bid": 1,
    "bid_size": 2,
    "ask": 3,
    "ask_size": 4,
    "last": 5,
    "volume": 6,
    "oi": 7,
    "prev_close": 8,
    "prev_oi": 9,
}


class Kernels:
    """The extension's private functions: any broadcastable numbers in, fresh arrays out, any level.

    Positional arguments of a contract: underlying, strike, t, sigma, rate, dividend_yield, is_call. Arguments
    without a dimension stay scalars, so that both ways into a kernel are used.
    """

    greeks_names = GREEKS
    all_greeks_names = ALL_GREEKS

    def price(self, model: str, *contract: ArrayLike, level: str | None = None) -> NDArray[np.float64]:
        n, arguments = columns(*contract)
        out = np.full(n, 1e99)
        _core.price(model, *arguments, out, level)
        return out

    def greeks(
        self, model: str, *contract: ArrayLike, raw: bool = True, level: str | None = None
    ) -> dict[str, NDArray[np.float64]]:
        return self._greeks(_core.greeks, GREEKS, model, contract, raw, level)

    def all_greeks(
        self, model: str, *contract: ArrayLike, raw: bool = True, level: str | None = None
    ) -> dict[str, NDArray[np.float64]]:
        return self._greeks(_core.all_greeks, ALL_GREEKS, model, contract, raw, level)

    def implied(
        self, model: str, *quote: ArrayLike, level: str | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Of price, underlying, strike, t, rate, dividend_yield, is_call."""
        n, arguments = columns(*quote)
        sigmas, statuses = np.full(n, 1e99), np.full(n, 99, np.uint8)
        _core.implied_volatility(model, *arguments, sigmas, statuses, level)
        return sigmas, statuses

    @staticmethod
    def _greeks(
        function: Callable[..., None],
        names: tuple[str, ...],
        model: str,
        contract: tuple[ArrayLike, ...],
        raw: bool,
        level: str | None,
    ) -> dict[str, NDArray[np.float64]]:
        n, arguments = columns(*contract)
        out = tuple(np.full(n, 1e99) for _ in names)
        function(model, *arguments, raw, out, level)
        return dict(zip(names, out, strict=True))


def columns(*values: ArrayLike) -> tuple[int, list[Any]]:
    """Their common length, and each as the bindings want it: a scalar, or a contiguous array."""
    arrays = [np.asarray(value) for value in values]
    (n,) = np.broadcast_shapes((1,), *(array.shape for array in arrays))
    if any(array.ndim and array.size == 0 for array in arrays):
        n = 0
    wanted = [np.bool_ if array.dtype == np.bool_ else np.float64 for array in arrays]
    return n, [
        np.ascontiguousarray(np.broadcast_to(array, (n,)), dtype) if array.ndim else dtype(array).item()
        for array, dtype in zip(arrays, wanted, strict=True)
    ]


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    return Kernels()


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, NDArray[Any]]]:
    """Columns of a table: ``golden("prices")``; ``model`` is text, ``is_call`` bool, the rest float64."""
    types: dict[str, Any] = {"model": str, "is_call": lambda text: text == "1"}

    def read(name: str) -> dict[str, NDArray[Any]]:
        with (GOLDEN / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            column: np.array([types.get(column, float)(row[column]) for row in rows]) for column in rows[0]
        }

    return read


_measured: dict[tuple[str, str], tuple[float, str]] = {}


@pytest.fixture(scope="session")
def measured() -> Callable[[str, str, float, str], None]:
    """Notes an error for the table that ``pytest -v`` prints at its end: table, quantity, error, unit."""

    def note(table: str, quantity: str, error: float, unit: str) -> None:
        _measured[table, quantity] = (error, unit)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _measured and terminalreporter.verbosity > 0:
        terminalreporter.section("largest errors seen (docs/accuracy.md)")
        for (table, quantity), (error, unit) in _measured.items():
            terminalreporter.line(f"{table:36} {quantity:16} {error:10.3g}  {unit}")


@pytest.fixture
def parameters() -> dict[str, Any]:
    """Keyword arguments of a sweep of `chain`."""
    return {
        "spot": 24512.3,
        "future": float("nan"),
        "t": 7 / 365,
        "rate": 0.065,
        "tick_size": 0.05,
        "lot": 75.0,
        "multiplier": 75.0,
        "convention": "naive",
    }


@pytest.fixture
def chain(parameters: dict[str, Any], kernels: Kernels) -> Callable[..., np.ndarray]:
    """Builds a quoted chain with a smile around the spot: ``chain(n=21, seed=0)``."""

    def build(n: int = 21, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        strikes = 24500.0 + 50.0 * (np.arange(n) - n // 2)
        smile = 0.12 + 0.6 * (strikes / parameters["spot"] - 1) ** 2
        columns = np.full((23, n), np.nan)
        columns[0] = strikes
        for offset, is_call in ((0, True), (11, False)):
            price = kernels.price(
                "black76", 24537.0, strikes, parameters["t"], smile, parameters["rate"], 0.0, is_call
            )
            bid = np.maximum(np.floor(price / 0.05) * 0.05, 0.05)
            values: dict[str, Any] = {
                "bid": bid,
                "bid_size": 75.0,
                "ask": bid + 0.05 * rng.integers(1, 20, n),
                "ask_size": 150.0,
                "last": bid + 0.05,
                "volume": 75.0 * rng.integers(0, 1000, n),
                "oi": 75.0 * rng.integers(0, 5000, n),
                "prev_close": bid + 0.05 * rng.integers(-40, 40, n),
                "prev_oi": 75.0 * rng.integers(0, 5000, n),
            }
            for name, value in values.items():
                columns[offset + ROWS[name]] = value
        return columns

    return build
