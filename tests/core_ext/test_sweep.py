"""The sweep of single chains: edges, codes and refusals to invent numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deltastream import _core

BID_IV, IV, ASK_IV, STATUS, DELTA, GAMMA, THETA, VEGA, RHO, OI_CHANGE, BUILDUP = range(11)
VANNA, CHARM, VOMMA, VETA, SPEED, ZOMMA, COLOR, ULTIMA = FURTHER = range(22, 30)
BID, ASK, LAST, VOLUME, OI, PREV_CLOSE, PREV_OI = 1, 3, 5, 6, 7, 8, 9
FURTHER_NAMES = ("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima")
PUT_IN, PUT_OUT, PUT_FURTHER = 11, 11, 8
GREEKS = [DELTA, GAMMA, THETA, VEGA, RHO, *FURTHER]
SIDE_FREE = [GAMMA, VEGA, VANNA, VOMMA, VETA, SPEED, ZOMMA, COLOR, ULTIMA]
"""Greeks that are the same for a call and a put of one volatility."""


def put(row: int) -> int:
    """The row of the puts that belongs to a row of the calls."""
    return row + (PUT_FURTHER if row >= VANNA else PUT_OUT)


def test_a_quoted_chain(chain, parameters) -> None:
    columns = chain()
    values, summary = _core.sweep(columns, **parameters)
    assert values.shape == (38, 21)
    assert summary.strikes == summary.two_sided == 21
    assert summary.converged == 42
    assert summary.forward == pytest.approx(24537.0, abs=0.5)
    assert (summary.forward_source, summary.atm_source, summary.straddle_source) == (0, 0, 0)
    assert summary.atm_strike == 24550.0
    assert summary.atm_iv == pytest.approx(0.12, abs=0.002)
    for rows in (values[:11], values[11:22]):
        assert (rows[STATUS] == 0).all()
        assert (rows[BID_IV] < rows[IV]).all()
        assert (rows[IV] < rows[ASK_IV]).all()
        assert (rows[GAMMA] > 0).all()
        assert (rows[VEGA] > 0).all()
    assert (np.diff(values[DELTA]) < 0).all()
    assert (values[PUT_OUT + DELTA] < 0).all()
    assert summary.pcr_oi == summary.put_oi / summary.call_oi
    assert summary.max_pain_lo <= summary.max_pain_strike <= summary.max_pain_hi


def test_the_mid_volatility_reproduces_the_mid(chain, parameters, kernels) -> None:
    columns = chain()
    values, summary = _core.sweep(columns, **parameters)
    spot, t, rate = parameters["spot"], parameters["t"], parameters["rate"]
    carry = rate - math.log(summary.forward / spot) / t
    for side in (0, 1):
        sigma, is_call = values[11 * side + IV], side == 0
        prices = kernels.price("black76", summary.forward, columns[0], t, sigma, rate, 0.0, is_call)
        mids = (columns[11 * side + BID] + columns[11 * side + ASK]) / 2
        np.testing.assert_allclose(prices, mids, rtol=1e-12)
        # The Greeks are those of the model whose yield is the one that the forward implies.
        greeks = kernels.all_greeks("bsm", spot, columns[0], t, sigma, rate, carry, is_call, raw=False)
        names = ("delta", "gamma", "theta", "vega", "rho", *FURTHER_NAMES)
        for name, row in zip(names, GREEKS, strict=True):
            found = values[put(row) if side else row]
            size = np.abs(greeks[name]).max()
            np.testing.assert_allclose(found, greeks[name], rtol=1e-9, atol=1e-10 * size, err_msg=name)


@pytest.mark.parametrize("t", [np.nan, 0.0, -0.01, np.inf])
def test_without_time_the_rest_is_computed(chain, parameters, t: float) -> None:
    values, summary = _core.sweep(chain(), **parameters | {"t": t})
    for rows in (values[:11], values[11:22]):
        assert (rows[STATUS] == 5).all()
        assert np.isnan(rows[[BID_IV, IV, ASK_IV, DELTA, GAMMA, THETA, VEGA, RHO]]).all()
        assert np.isfinite(rows[[OI_CHANGE, BUILDUP]]).all()
    assert np.isnan(values[22:]).all()
    assert np.isnan([summary.forward, summary.forward_error, summary.atm_iv, summary.avg_iv]).all()
    assert (summary.forward_source, summary.atm_source, summary.atm_strike) == (3, 1, 24500.0)
    assert summary.straddle_source == 0
    assert np.isfinite([summary.straddle, summary.pcr_oi, summary.max_pain_strike, summary.call_volume]).all()


def test_forward_falls_back_to_future_then_spot_then_none(chain, parameters) -> None:
    columns = chain()
    columns[BID] = np.nan
    _, summary = _core.sweep(columns, **parameters | {"future": 24530.0})
    assert (summary.forward, summary.forward_source) == (24530.0, 1)
    assert math.isnan(summary.forward_error)
    _, summary = _core.sweep(columns, **parameters)
    assert (summary.forward, summary.forward_source) == (parameters["spot"], 2)
    values, summary = _core.sweep(columns, **parameters | {"spot": np.nan})
    assert math.isnan(summary.forward)
    assert (summary.forward_source, summary.atm_source, summary.straddle_source) == (3, 2, 2)
    assert math.isnan(summary.atm_strike)
    assert (values[[STATUS, PUT_OUT + STATUS]] == 6).all()
    assert summary.max_pain_strike == summary.max_pain_lo


def test_forward_is_the_median_of_the_seven_nearest(chain, parameters) -> None:
    columns = chain()
    t, rate = parameters["t"], parameters["rate"]
    columns[PUT_IN + ASK, 0] = 9999.0  # far away: has no vote
    columns[ASK, 9] += 30.0  # near: outvoted
    nearest = np.argsort(np.abs(columns[0] - parameters["spot"]), kind="stable")[:7]
    mids = [(columns[o + BID] + columns[o + ASK]) / 2 for o in (0, PUT_IN)]
    votes = (columns[0] + math.exp(rate * t) * (mids[0] - mids[1]))[nearest]
    _, summary = _core.sweep(columns, **parameters)
    assert summary.forward == pytest.approx(np.median(votes), rel=1e-14)
    assert summary.forward_error == pytest.approx(np.median(np.abs(votes - np.median(votes))), rel=1e-9)


def test_forward_with_fewer_votes(chain, parameters) -> None:
    columns = chain()
    keep = columns[:, [3, 17]].copy()
    columns[BID] = np.nan
    columns[:, [3, 17]] = keep
    _, summary = _core.sweep(columns, **parameters)
    assert summary.forward_source == 0
    assert summary.two_sided == 2


def test_an_absurd_parity_forward_is_not_used(parameters) -> None:
    columns = np.full((23, 1), np.nan)
    columns[0], columns[BID], columns[ASK] = 100.0, 1.0, 1.0
    columns[PUT_IN + BID] = columns[PUT_IN + ASK] = 500.0
    _, summary = _core.sweep(columns, **parameters | {"spot": 100.0})
    assert (summary.forward, summary.forward_source) == (100.0, 2)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(np.nan, 5.0), (5.0, np.nan), (0.0, 5.0), (5.0, 0.0), (-1.0, 5.0), (6.0, 5.0), (5.0, np.inf)],
)
def test_no_two_sided_quote(chain, parameters, bid: float, ask: float) -> None:
    columns = chain()
    columns[[BID, ASK], 10] = bid, ask
    values, summary = _core.sweep(columns, **parameters)
    assert values[STATUS, 10] == 1 + 16
    assert math.isnan(values[IV, 10])
    assert summary.two_sided == 20
    # One volatility per strike: the call's Greeks are those of the put's volatility.
    forward, strike, spot = summary.forward, columns[0, 10], parameters["spot"]
    for row in SIDE_FREE:
        assert values[row, 10] == values[put(row), 10]
    discount = math.exp(-parameters["rate"] * parameters["t"])
    parity = values[DELTA, 10] - values[put(DELTA), 10]
    assert parity == pytest.approx(discount * forward / spot, rel=1e-14)
    parity = values[RHO, 10] - values[put(RHO), 10]
    assert parity == pytest.approx(0.01 * parameters["t"] * discount * strike, rel=1e-14)


def test_bid_and_ask_are_solved_alone(chain, parameters) -> None:
    columns = chain()
    columns[BID, 10] = np.nan
    values, _ = _core.sweep(columns, **parameters)
    assert math.isnan(values[BID_IV, 10])
    assert values[ASK_IV, 10] > 0


def test_below_intrinsic_borrows(chain, parameters) -> None:
    columns = chain()
    columns[[BID, ASK], 0] = 5.0, 6.0
    values, _ = _core.sweep(columns, **parameters)
    assert values[STATUS, 0] == 2 + 16
    assert math.isnan(values[IV, 0])
    assert 0.5 < values[DELTA, 0] < 1.01


def test_above_maximum_without_other_side(chain, parameters) -> None:
    columns = chain()
    columns[[BID, ASK], 0] = 1e6, 1e6 + 1
    columns[PUT_IN + BID, 0] = np.nan
    values, _ = _core.sweep(columns, **parameters)
    assert values[STATUS, 0] == 3
    assert np.isnan(values[GREEKS, 0]).all()
    assert np.isnan(values[[put(row) for row in GREEKS], 0]).all()
    assert values[PUT_OUT + STATUS, 0] == 1


def test_rate_absent(chain, parameters) -> None:
    values, summary = _core.sweep(chain(), **parameters | {"rate": np.nan})
    assert (values[[STATUS, PUT_OUT + STATUS]] == 7).all()
    assert summary.forward_source == 2


def test_without_spot_only_derivatives_by_volatility_and_rate(chain, parameters) -> None:
    values, summary = _core.sweep(chain(), **parameters | {"spot": np.nan})
    assert summary.forward_source == 0
    there = [VEGA, RHO, VOMMA, ULTIMA]
    absent = [row for row in GREEKS if row not in there]
    for side in (lambda row: row, put):
        assert np.isnan(values[[side(row) for row in absent]]).all()
        assert np.isfinite(values[[side(row) for row in (IV, *there)]]).all()


def test_straddle_uses_last_for_the_side_without_quote(chain, parameters) -> None:
    columns = chain()
    columns[BID, 11] = np.nan
    columns[LAST, 11] = 123.0
    _, summary = _core.sweep(columns, **parameters)
    mid = (columns[PUT_IN + BID, 11] + columns[PUT_IN + ASK, 11]) / 2
    assert (summary.atm_strike, summary.straddle_source) == (24550.0, 1)
    assert summary.straddle == 123.0 + mid
    columns[LAST, 11] = np.nan
    _, summary = _core.sweep(columns, **parameters)
    assert summary.straddle_source == 2
    assert math.isnan(summary.straddle)


def test_atm_strike_is_the_lower_on_a_tie(parameters) -> None:
    columns = np.full((23, 2), np.nan)
    columns[0] = 100.0, 110.0
    _, summary = _core.sweep(columns, **parameters | {"spot": 105.0})
    assert summary.atm_strike == 100.0


def test_atm_volatility_on_a_strike_and_outside(chain, parameters) -> None:
    columns = chain()
    columns[BID] = np.nan
    values, summary = _core.sweep(columns, **parameters | {"future": 24500.0})
    assert summary.atm_iv == values[PUT_OUT + IV, 10]
    _, summary = _core.sweep(columns, **parameters | {"future": 23000.0})
    assert math.isnan(summary.atm_iv)


@pytest.mark.parametrize(
    ("last", "oi", "previous", "code"),
    [
        (100.10, 2000.0, 1000.0, 1),
        (99.90, 2000.0, 1000.0, 2),
        (100.10, 500.0, 1000.0, 3),
        (99.90, 500.0, 1000.0, 4),
        (100.0, 2000.0, 1000.0, 0),
        (100.0625, 1000.0, 1000.0, 0),
        (101.0, 1075.0, 1000.0, 0),
        (101.0, 1075.5, 1000.0, 1),
        (101.0, 100500.0, 100000.0, 0),
        (101.0, 100501.0, 100000.0, 1),
        (101.0, 0.0, 1000.0, 3),
        (101.0, 1000.0, 0.0, 1),
        (np.nan, 2000.0, 1000.0, np.nan),
        (0.0, 2000.0, 1000.0, np.nan),
        (100.10, np.nan, 1000.0, np.nan),
        (100.10, 2000.0, np.nan, np.nan),
        (100.10, -1.0, 1000.0, np.nan),
    ],
)
def test_build_up(parameters, last: float, oi: float, previous: float, code: float) -> None:
    columns = np.full((23, 1), np.nan)
    columns[0] = 100.0
    for offset in (0, PUT_IN):
        columns[[offset + LAST, offset + OI, offset + PREV_OI, offset + PREV_CLOSE], 0] = (
            last,
            oi,
            previous,
            100.0,
        )
    values, summary = _core.sweep(columns, **parameters)
    np.testing.assert_equal(values[[BUILDUP, PUT_OUT + BUILDUP], 0], [code, code])
    change = oi - previous if oi >= 0 else np.nan
    np.testing.assert_equal(values[OI_CHANGE, 0], change)
    np.testing.assert_equal(summary.put_oi_change, change)


def test_build_up_at_exactly_one_tick_is_neutral(parameters) -> None:
    columns = np.full((23, 1), np.nan)
    columns[[0, LAST, OI, PREV_OI, PREV_CLOSE], 0] = 100.0, 100.25, 2000.0, 1000.0, 100.0
    assert _core.sweep(columns, **parameters | {"tick_size": 0.25})[0][BUILDUP, 0] == 0
    assert _core.sweep(columns, **parameters | {"tick_size": np.nan, "lot": np.nan})[0][BUILDUP, 0] == 1


def test_totals_tell_absent_from_zero(chain, parameters) -> None:
    columns = chain()
    columns[OI] = np.nan
    columns[VOLUME] = 0.0
    columns[PUT_IN + OI, 3:] = np.nan
    _, summary = _core.sweep(columns, **parameters)
    assert math.isnan(summary.call_oi)
    assert math.isnan(summary.pcr_oi)
    assert summary.call_volume == 0.0
    assert math.isnan(summary.pcr_volume)
    assert summary.put_oi == columns[PUT_IN + OI, :3].sum()
    assert (summary.call_oi_count, summary.put_oi_count, summary.call_volume_count) == (0, 3, 21)
    assert (summary.call_oi_change_count, summary.put_oi_change_count) == (0, 3)


def test_no_strikes(parameters) -> None:
    values, summary = _core.sweep(np.empty((23, 0)), **parameters)
    assert values.shape == (38, 0)
    assert summary.strikes == summary.two_sided == summary.converged == 0
    assert (summary.forward, summary.forward_source) == (parameters["spot"], 2)
    assert (summary.atm_source, summary.straddle_source) == (2, 2)
    absent = (summary.atm_strike, summary.atm_iv, summary.avg_iv, summary.call_oi, summary.max_pain_lo)
    assert np.isnan(absent).all()


def test_one_strike(chain, parameters) -> None:
    columns = np.ascontiguousarray(chain()[:, 10:11])
    values, summary = _core.sweep(columns, **parameters)
    assert values.shape == (38, 1)
    assert (summary.strikes, summary.atm_strike, summary.forward_error) == (1, 24500.0, 0.0)
    assert math.isnan(summary.atm_iv)


@pytest.mark.parametrize("n", [1, 21, 64, 65, 130])
def test_the_same_bits_again_and_on_every_level(chain, parameters, n: int) -> None:
    columns = chain(n, seed=5)
    columns[[BID, PUT_IN + ASK], ::7] = np.nan
    columns[PUT_IN + BID, ::14] = np.nan
    first = _core.sweep(columns, **parameters)
    for level in (None, *_core.levels()):
        again = _core.sweep(columns, **parameters, level=level)
        assert first[0].tobytes() == again[0].tobytes()
        assert repr(first[1]) == repr(again[1])


def test_every_nan_has_the_same_bits(chain, parameters) -> None:
    columns = chain()
    columns[BID, ::2] = columns[PUT_IN + BID, ::3] = np.nan
    for spoiled in ({}, {"spot": np.nan}, {"t": np.nan}, {"rate": np.nan}):
        values, _ = _core.sweep(columns, **parameters | spoiled)
        assert set(values[np.isnan(values)].view(np.uint64).tolist()) == {0x7FF8000000000000}


def test_a_contract_does_not_depend_on_its_neighbours(chain, parameters) -> None:
    columns = chain(100, seed=2)
    columns[BID] = np.nan
    parameters["future"] = 24530.0
    whole, _ = _core.sweep(columns, **parameters)
    for part in (slice(0, 1), slice(37, 90), slice(63, 66)):
        values, _ = _core.sweep(np.ascontiguousarray(columns[:, part]), **parameters)
        assert values.tobytes() == np.ascontiguousarray(whole[:, part]).tobytes()


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.sampled_from([np.nan, 0.0, -0.0, 5e-324, 1e-310, 1.7e308, np.inf, -np.inf, 1.0, 100.0, -3.0]),
    st.floats(0.05, 500.0),
)


@st.composite
def hostile_chains(draw: st.DrawFn) -> np.ndarray:
    n = draw(st.integers(0, 6))
    columns = draw(hnp.arrays(np.float64, (23, n), elements=NUMBERS))
    levels = st.floats(5e-324, 1.7e308) | st.floats(50.0, 200.0)
    columns[0] = sorted(draw(st.lists(levels, min_size=n, max_size=n, unique=True)))
    return columns


@settings(max_examples=400)
@given(
    hostile_chains(),
    NUMBERS,
    NUMBERS,
    NUMBERS | st.floats(1e-6, 2.0),
    NUMBERS | st.floats(0.0, 0.2),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(["naive", "inverse", "short_all"]),
)
def test_any_numbers_have_a_defined_result(columns, spot, future, t, rate, others, convention) -> None:
    values, summary = _core.sweep(
        columns,
        spot=spot,
        future=future,
        t=t,
        rate=rate,
        **dict(zip(("tick_size", "lot", "multiplier"), others, strict=True)),
        convention=convention,
    )
    for rows in (values[:11], values[11:22]):
        codes = rows[STATUS]
        assert np.isin(codes, [*range(8), *range(17, 23)]).all()
        assert ((codes == 0) == (rows[IV] > 0)).all()
        assert (np.isnan(rows[IV]) == (codes != 0)).all()
        assert (np.isnan(rows[BUILDUP]) | np.isin(rows[BUILDUP], range(5))).all()
        for row in (BID_IV, ASK_IV):
            assert (np.isnan(rows[row]) | (rows[row] > 0)).all()
    for own, other in ((values[:11], values[11:22]), (values[11:22], values[:11])):
        assert ((own[STATUS] >= 16) == (np.isnan(own[IV]) & ~np.isnan(other[IV]))).all()
    assert summary.forward_source in range(4)
    assert math.isnan(summary.forward) == (summary.forward_source == 3)
    assert math.isnan(summary.atm_strike) == (summary.atm_source == 2)
    assert math.isnan(summary.straddle) == (summary.straddle_source == 2)
    assert summary.two_sided <= summary.strikes == columns.shape[1]
    if summary.max_pain_lo == summary.max_pain_lo:
        assert summary.max_pain_lo <= summary.max_pain_strike <= summary.max_pain_hi
    for name in ("gex", "dex", "vex", "chex"):
        sides = [getattr(summary, f"{side}_{name}") for side in ("call", "put")]
        assert not np.isinf([*sides, getattr(summary, name)]).any()
        assert math.isnan(getattr(summary, name)) or not np.isnan(sides).any()
    assert summary.exposure_count <= 2 * summary.strikes
    assert not summary.exposure_coverage > 1 + 1e-12
    walls = (summary.call_wall, summary.put_wall, summary.absolute_gamma_strike)
    assert all(math.isnan(wall) or wall in columns[0] for wall in walls)
