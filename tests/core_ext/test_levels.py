"""The same bits on every instruction set, at every place in a batch, however its columns arrive."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deltastream import _core

MODELS = ("black76", "bsm")
LEVELS = _core.levels()
INPUTS = ("underlying", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
ENEMIES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e-308, -1.0, 1e308)


def bits(values: np.ndarray) -> np.ndarray:
    """For comparing NaN with NaN and 0 with -0; all NaN are one."""
    return np.where(np.isnan(values), np.nan, values).view(np.uint64)


def same(one: Any, other: Any, what: str) -> None:
    for name in one:
        differing = np.flatnonzero(bits(one[name]) != bits(other[name]))
        assert differing.size == 0, f"{what}: {name} differs at {differing[:5]}"


def everything(kernels: Any, model: str, contract: list[Any], level: str | None) -> dict[str, np.ndarray]:
    """All that the kernels compute of a batch."""
    results = {"price": kernels.price(model, *contract, level=level)}
    for raw in (True, False):
        six = kernels.greeks(model, *contract, raw=raw, level=level)
        all_of_them = kernels.all_greeks(model, *contract, raw=raw, level=level)
        results |= {f"{name} (6, raw={raw})": column for name, column in six.items()}
        results |= {f"{name} (15, raw={raw})": column for name, column in all_of_them.items()}
    *market, rate, dividend_yield, is_call = contract
    underlying, strike, t, _ = market
    quote = (underlying, strike, t, rate, dividend_yield, is_call)
    price = results["price"]
    for factor in (1.0, 1.01):
        sigma, status = kernels.implied(model, price * factor, *quote, level=level)
        results |= {f"sigma of {factor} V": sigma, f"status of {factor} V": status.astype(np.float64)}
    return results


@pytest.fixture(scope="module")
def batches(golden: Callable[[str], dict[str, Any]]) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(512)
    g, n = golden("greeks"), 20_000
    sd = np.exp(rng.uniform(math.log(1e-4), math.log(6.0), n))
    t = 10 ** rng.uniform(-5, 1.5, n)
    underlying = 10 ** rng.uniform(-3, 6, n)
    depth = rng.choice([0.0, 1.0, 4.0, 30.0], n) * rng.uniform(-1, 1, n)
    return {
        "golden": [g[name] for name in INPUTS],
        "random": [
            underlying,
            underlying * np.exp(np.clip(depth * sd, -10, 10)),
            t,
            sd / np.sqrt(t),
            rng.uniform(-0.1, 0.3, n),
            rng.uniform(-0.1, 0.3, n),
            rng.random(n) < 0.5,
        ],
        "hostile": [
            *(
                np.where(rng.random(n) < 0.3, rng.choice(ENEMIES, n), 10 ** rng.uniform(-2, 2, n))
                for _ in range(6)
            ),
            rng.random(n) < 0.5,
        ],
    }


def test_this_processor_has_levels() -> None:
    assert LEVELS[0] == "baseline"
    assert len(set(LEVELS)) == len(LEVELS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batch", ["golden", "random", "hostile"])
def test_every_level_gives_the_same_bits(
    kernels: Any, batches: dict[str, list[np.ndarray]], batch: str, model: str
) -> None:
    reference = everything(kernels, model, batches[batch], LEVELS[0])
    for level in (*LEVELS[1:], None):
        same(reference, everything(kernels, model, batches[batch], level), f"{LEVELS[0]} and {level}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("model", MODELS)
def test_neighbours_place_and_length_do_not_matter(
    kernels: Any, batches: dict[str, list[np.ndarray]], model: str, level: str
) -> None:
    contract = [np.concatenate([batches[name][i][:500] for name in batches]) for i in range(7)]
    reference = everything(kernels, model, contract, level)
    n = len(contract[0])
    shuffle = np.random.default_rng(1).permutation(n)
    shuffled = everything(kernels, model, [column[shuffle] for column in contract], level)
    same({name: column[shuffle] for name, column in reference.items()}, shuffled, "shuffled")
    for start, stop in ((0, 1), (3, 10), (0, 63), (1, 65), (17, 82), (0, 128), (100, 229), (n - 5, n)):
        part = everything(kernels, model, [column[start:stop] for column in contract], level)
        same({name: column[start:stop] for name, column in reference.items()}, part, f"{start}:{stop}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scalar", range(7))
def test_a_scalar_is_a_column_of_it(kernels: Any, model: str, level: str, scalar: int) -> None:
    rng = np.random.default_rng(3)
    n = 150
    columns: list[Any] = [
        rng.uniform(90, 110, n),
        rng.uniform(80, 120, n),
        rng.uniform(0.01, 2, n),
        rng.uniform(0.05, 0.9, n),
        rng.uniform(-0.05, 0.1, n),
        rng.uniform(-0.05, 0.1, n),
        rng.random(n) < 0.5,
    ]
    value = columns[scalar][0].item()
    columns[scalar] = np.full(n, value)
    wide = everything(kernels, model, columns, level)
    columns[scalar] = value
    same(wide, everything(kernels, model, columns, level), f"scalar {INPUTS[scalar]}")


def test_no_options_are_no_options(kernels: Any) -> None:
    empty = np.empty(0)
    for level in LEVELS:
        results = everything(kernels, "bsm", [empty, 100.0, 1.0, 0.2, 0.0, 0.0, True], level)
        assert {column.shape for column in results.values()} == {(0,)}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 60, 257])
def test_sweeps(chain: Callable[..., np.ndarray], parameters: dict[str, Any], n: int) -> None:
    columns = chain(n, seed=n)
    values, summary = _core.sweep(columns, **parameters, level=LEVELS[0])
    fields = [name for name in dir(summary) if not name.startswith("_") and name != "as_tuple"]
    for level in (*LEVELS[1:], None):
        other_values, other = _core.sweep(columns, **parameters, level=level)
        np.testing.assert_array_equal(bits(values), bits(other_values))
        for name in fields:
            np.testing.assert_array_equal(getattr(summary, name), getattr(other, name), err_msg=name)
