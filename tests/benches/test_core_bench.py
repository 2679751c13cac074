"""The core's benchmark measures what it says: its inputs, its yardstick, and peers that cannot be run."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from deltastream import _core
from deltastream.pricing import black76, bsm


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benches/ by its name."""
    benches = Path(__file__).parents[2] / "benches"

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(benches)
        return importlib.import_module(name)

    return load


@pytest.fixture
def options(load) -> dict[str, np.ndarray]:
    return load("_options").options(2000)


def columns(options, *names: str) -> tuple[np.ndarray, ...]:
    return tuple(options[name] for name in names)


def test_options_are_distinct_and_their_prices_determine_them(options) -> None:
    for name, column in options.items():
        assert name == "is_call" or len(np.unique(column)) == len(column)
    given = columns(options, "spot", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
    quoted = columns(options, "spot", "strike", "t", "rate", "dividend_yield", "is_call")
    found = bsm.implied_volatility(bsm.price(*given), *quoted)
    assert (found.status == 0).all()
    np.testing.assert_allclose(found.sigma, options["sigma"], rtol=1e-9)


def test_every_quote_of_the_chain_has_a_volatility(load) -> None:
    matrix, market, quoted = load("_options").chain(black76.price)
    _, summary = _core.sweep(matrix, **market, multiplier=1.0, convention="naive")
    assert (summary.strikes, summary.two_sided, summary.converged) == (60, 60, 120)
    assert summary.forward == pytest.approx(quoted["forward"][0], rel=1e-4)


def test_the_yardstick_is_in_the_units_of_the_core(load, options) -> None:
    truth = load("_truth")
    chosen = {name: column[:6] for name, column in options.items()}
    given = columns(chosen, "spot", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
    found = bsm.all_greeks(*given)
    for row in range(6):
        option = [float(column[row]) for column in given[:6]]
        expected = dict(zip(truth.NAMES, truth.greeks(option, bool(given[6][row])), strict=True))
        computed = {name: getattr(found, name)[row] for name in truth.NAMES}
        assert computed == pytest.approx(expected, rel=1e-9, abs=0)
        again = truth.volatility(
            float(found.price[row]), [*option[:3], option[3] * 1.001, *option[4:]], bool(given[6][row])
        )
        assert again == pytest.approx(option[3], rel=1e-11)


def test_a_peer_that_cannot_be_run_is_a_sentence(load, tmp_path: Path) -> None:
    peers = load("_peers").Peers()
    peers._pythons["no_such_peer"] = Path(sys.executable)
    assert peers.measure(tmp_path) == []
    assert "no_such_peer.py" in peers.absent["no_such_peer"]


def test_differences_name_the_worst_column_and_count_what_is_absent(load) -> None:
    core, measured = load("core"), load("_peers").Measured
    ours = np.array([[1.0, 2.0], [10.0, -40.0]])
    theirs = np.array([[1.0, math.nan], [10.0, -40.4]])
    line = measured("greeks", "a peer", [1.0], 2, theirs)
    assert core._difference(line, ours) == "1e-02 delta, 1 NaN"


def test_short_calls_are_measured_many_at_a_time(load) -> None:
    calls = []
    found = load("_measure").samples(lambda: calls.append(None), at_least=3, seconds=0.0)
    assert len(found) == 3
    assert len(calls) > 1000
    assert 0 < min(found) < 1e-4
