"""Dealer exposure: equal to the sum of its parts, by named convention, never invented."""

import math
from typing import Any

import numpy as np
import pytest

from deltastream import _core

NAN = math.nan
BID, ASK, OI = 1, 3, 7
PUT = 11
NAMES = ("gex", "dex", "vex", "chex")
ROWS = {"gex": (5, 16), "dex": (4, 15), "vex": (22, 30), "chex": (23, 31)}
"""Rows of the Greek behind each, of calls and of puts."""
SIDES = ("call", "put")


def scale(name: str, p: dict[str, Any]) -> float:
    """What gamma, delta, vanna or charm times open interest is multiplied with (definitions 2.6)."""
    return p["multiplier"] * (p["spot"] ** 2 * 0.01 if name == "gex" else p["spot"])


def parts(name: str, side: int, columns: np.ndarray, values: np.ndarray, p: dict[str, Any]) -> list[float]:
    """The exposure of each contract of a side that has one."""
    greeks, oi = values[ROWS[name][side]].tolist(), columns[OI + PUT * side].tolist()
    return [g * q * scale(name, p) for g, q in zip(greeks, oi, strict=True) if not math.isnan(g * q)]


@pytest.mark.parametrize("n", [1, 2, 60, 130])
@pytest.mark.parametrize("seed", range(3))
def test_sums_equal_the_sum_of_parts(chain, parameters, n: int, seed: int) -> None:
    columns = chain(n, seed)
    rng = np.random.default_rng(seed)
    columns[np.ix_([BID, PUT + BID, OI, PUT + OI], np.flatnonzero(rng.random(n) < 0.2))] = NAN
    columns[[OI, PUT + OI], 0] = 150.0, 75.0
    values, summary = _core.sweep(columns, **parameters)
    count = 0
    for name in NAMES:
        by_side = [parts(name, side, columns, values, parameters) for side in (0, 1)]
        for side, found in zip(SIDES, by_side, strict=True):
            exact, size = math.fsum(found), math.fsum(map(abs, found))
            value = getattr(summary, f"{side}_{name}")
            assert value == pytest.approx(exact, rel=0, abs=1e-12 * size) if found else math.isnan(value)
        count = sum(map(len, by_side))
    assert summary.exposure_count == count


def test_one_contract_by_hand(chain, parameters) -> None:
    columns = chain(1)
    columns[[OI, PUT + OI], 0] = 1500.0, NAN
    values, summary = _core.sweep(columns, **parameters)
    delta, gamma, vanna, charm = values[[4, 5, 22, 23], 0]
    spot, m = parameters["spot"], parameters["multiplier"]
    assert summary.call_gex == pytest.approx(gamma * 1500 * m * spot**2 * 0.01, rel=1e-14)
    assert summary.call_dex == pytest.approx(delta * 1500 * m * spot, rel=1e-14)
    assert summary.call_vex == pytest.approx(vanna * 1500 * m * spot, rel=1e-14)
    assert summary.call_chex == pytest.approx(charm * 1500 * m * spot, rel=1e-14)
    assert (summary.exposure_count, summary.exposure_coverage) == (1, 1.0)
    assert summary.call_wall == summary.absolute_gamma_strike == columns[0, 0]
    # The other side has no open interest stated: there is nothing to net with, and no zero to invent.
    absent = [getattr(summary, name) for name in ("put_gex", "put_dex", "put_wall", *NAMES)]
    assert np.isnan(absent).all()


def test_conventions_are_signs(chain, parameters) -> None:
    columns = chain()
    signs = {"naive": (1, -1), "inverse": (-1, 1), "short_all": (-1, -1)}
    for convention, (of_calls, of_puts) in signs.items():
        _, summary = _core.sweep(columns, **parameters | {"convention": convention})
        for name in NAMES:
            call, put = (getattr(summary, f"{side}_{name}") for side in SIDES)
            assert getattr(summary, name) == of_calls * call + of_puts * put
        assert summary.call_gex > 0
        assert summary.put_gex > 0
        assert summary.call_dex > 0 > summary.put_dex


@pytest.mark.parametrize("convention", ["", "flow", "Naive", "naïve"])
def test_an_unknown_convention_is_refused(chain, parameters, convention: str) -> None:
    with pytest.raises(ValueError, match="convention must be one of naive, inverse, short_all, not "):
        _core.sweep(chain(), **parameters | {"convention": convention})


def test_an_unknown_level_is_refused(chain, parameters) -> None:
    with pytest.raises(ValueError, match=r"level must be one of baseline\b.*, not sse9"):
        _core.sweep(chain(), **parameters, level="sse9")


@pytest.mark.parametrize("multiplier", [NAN, 0.0, -1.0, math.inf])
def test_without_multiplier_only_walls(chain, parameters, multiplier: float) -> None:
    known = _core.sweep(chain(), **parameters)[1]
    _, summary = _core.sweep(chain(), **parameters | {"multiplier": multiplier})
    for name in NAMES:
        assert np.isnan([getattr(summary, field) for field in (name, f"call_{name}", f"put_{name}")]).all()
    for name in ("call_wall", "put_wall", "absolute_gamma_strike", "exposure_count", "exposure_coverage"):
        assert getattr(summary, name) == getattr(known, name)


@pytest.mark.parametrize("missing", ["spot", "t", "rate"])
def test_without_greeks_nothing_enters(chain, parameters, missing: str) -> None:
    _, summary = _core.sweep(chain(), **parameters | {missing: NAN})
    for name in NAMES:
        assert np.isnan([getattr(summary, field) for field in (name, f"call_{name}", f"put_{name}")]).all()
    assert np.isnan([summary.call_wall, summary.put_wall, summary.absolute_gamma_strike]).all()
    assert (summary.exposure_count, summary.exposure_coverage) == (0, 0.0)


def test_no_open_interest_at_all_is_not_zero_exposure(chain, parameters) -> None:
    columns = chain()
    columns[[OI, PUT + OI]] = NAN
    _, summary = _core.sweep(columns, **parameters)
    assert np.isnan([summary.gex, summary.call_gex, summary.put_dex, summary.exposure_coverage]).all()
    assert summary.exposure_count == 0


def test_open_interest_of_zero_is(chain, parameters) -> None:
    columns = chain()
    columns[[OI, PUT + OI]] = 0.0
    _, summary = _core.sweep(columns, **parameters)
    for name in NAMES:
        for field in (name, f"call_{name}", f"put_{name}"):
            assert (getattr(summary, field), math.copysign(1, getattr(summary, field))) == (0.0, 1.0)
    assert np.isnan([summary.call_wall, summary.put_wall, summary.absolute_gamma_strike]).all()
    assert math.isnan(summary.exposure_coverage)
    assert summary.exposure_count == 42


def test_coverage_is_a_share_of_open_interest(chain, parameters) -> None:
    columns = chain()
    columns[OI] = 100.0
    columns[PUT + OI] = 300.0
    columns[[BID, PUT + BID], 3] = NAN  # no volatility on either side: 400 do not enter
    columns[BID, 4] = NAN  # borrows: enters
    columns[OI, 5] = -1.0  # not stated
    _, summary = _core.sweep(columns, **parameters)
    assert summary.exposure_count == 39
    assert summary.exposure_coverage == pytest.approx(1 - 400 / (20 * 100 + 21 * 300), rel=1e-14)


def test_walls_stand_where_gamma_times_interest_is_largest(chain, parameters) -> None:
    columns = chain()
    columns[OI], columns[PUT + OI] = 100.0, 100.0
    columns[OI, 14] = columns[PUT + OI, 6] = 1e6
    columns[[OI, PUT + OI], 11] = 6e5
    values, summary = _core.sweep(columns, **parameters)
    sizes = [columns[OI] * values[5], columns[PUT + OI] * values[16]]
    assert (summary.call_wall, summary.put_wall) == (columns[0, 14], columns[0, 6])
    assert summary.absolute_gamma_strike == columns[0, 11] == columns[0, np.argmax(sum(sizes))]
    # An open-interest wall is another thing.
    columns[OI, 20] = 1.1e6
    assert _core.sweep(columns, **parameters)[1].call_wall == columns[0, 14]


def test_units_of_open_interest(chain, parameters) -> None:
    """The same position stated in contracts of 75 and in units of the underlying."""
    units = chain()
    contracts = units.copy()
    contracts[[OI, PUT + OI]] /= 75.0
    by_units = _core.sweep(units, **parameters | {"multiplier": 1.0})[1]
    by_contracts = _core.sweep(contracts, **parameters | {"multiplier": 75.0})[1]
    for name in NAMES:
        for field in (name, f"call_{name}", f"put_{name}"):
            assert getattr(by_units, field) == pytest.approx(getattr(by_contracts, field), rel=1e-9)


@pytest.mark.parametrize(("currency", "interest"), [(0, 1), (1, 0), (-20, 3), (13, -7)])
def test_exposures_scale_with_currency_and_interest(chain, parameters, currency: int, interest: int) -> None:
    """All prices in another currency: each exposure in that currency; open interest doubled: doubled."""
    columns = chain(30, seed=3)
    _, plain = _core.sweep(columns, **parameters)
    price, size = 2.0**currency, 2.0**interest
    columns[[0, BID, ASK, PUT + BID, PUT + ASK]] *= price
    columns[[OI, PUT + OI]] *= size
    _, scaled = _core.sweep(columns, **parameters | {"spot": price * parameters["spot"]})
    for name in NAMES:
        for field in (f"call_{name}", f"put_{name}", name):
            assert getattr(scaled, field) == pytest.approx(getattr(plain, field) * price * size, rel=1e-9)
    assert scaled.call_wall == plain.call_wall * price
