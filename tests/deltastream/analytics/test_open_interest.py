"""Levels, movers and concentration of open interest, against plain Python on the same columns."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.analytics.open_interest import (
    change_since,
    coverage,
    herfindahl,
    incomparable,
    levels,
    movers,
    otm_interest,
    ratio,
    total,
)

HOUR_NS = 3600 * 1_000_000_000
interest = st.one_of(st.just(math.nan), st.integers(0, 20).map(float))


@pytest.fixture(scope="module")
def enriched(make_chain):
    def build(**fields):
        return enrich(make_chain(**fields), AnalyticsSettings(), ts_recv=0)

    return build


def plain_levels(chain, side, by, most):
    prefix = "call_" if side == "C" else "put_"
    rows = [
        (strike, value)
        for strike, value in zip(chain.strikes.tolist(), chain[f"{prefix}{by}"].tolist(), strict=True)
        if not math.isnan(value) and value > 0
    ]
    whole = sum(value for _, value in rows)
    inside = [row for row in rows if (row[0] >= chain.spot if side == "C" else row[0] <= chain.spot)]
    inside.sort(key=lambda row: (-row[1], abs(row[0] - chain.spot)))
    return [(strike, value / whole) for strike, value in inside[:most]]


@given(
    calls=st.lists(interest, min_size=11, max_size=11),
    puts=st.lists(interest, min_size=11, max_size=11),
    spot=st.sampled_from([80.0, 90.0, 99.0, 100.0, 101.5, 110.0, 120.0]),
    most=st.integers(1, 12),
)
def test_levels_are_the_largest_beyond_spot_the_nearer_first_on_a_tie(enriched, calls, puts, spot, most):
    chain = enriched(spot=spot, columns={"call_oi": calls, "put_oi": puts})
    for side in ("C", "P"):
        for by in ("oi", "oi_change"):
            found = levels(chain, side, by=by, most=most)
            expected = plain_levels(chain, side, by, most)
            assert [level.strike for level in found] == [strike for strike, _ in expected]
            assert [level.strength for level in found] == pytest.approx([share for _, share in expected])


def test_without_a_spot_there_are_no_levels(enriched):
    chain = enriched(spot=None)
    assert levels(chain, "C", by="oi", most=3) == []
    assert otm_interest(chain, "C") is None


def test_a_level_tells_its_interest_and_its_change(enriched):
    chain = enriched(columns={"call_oi": [0, 0, 0, 0, 0, 0, 7, 0, 5, 0, 0], "call_prev_oi": 4.0})
    first, second = levels(chain, "C", by="oi", most=2)
    assert (first.strike, first.open_interest, first.oi_change) == (102.0, 7.0, 3.0)
    assert (second.strike, second.open_interest, second.oi_change) == (106.0, 5.0, 1.0)
    assert first.strength == pytest.approx(7 / 12)


def test_movers_are_the_largest_changes_of_all_chains(enriched):
    near = enriched(columns={"call_oi": [float(10 * k) for k in range(11)], "call_prev_oi": 50.0})
    far = enriched(expiry="2027-01-06", days=65, columns={"put_oi": 400.0, "put_prev_oi": 0.0})
    found = movers([far, near], 13)
    assert [one.oi_change for one in found[:11]] == [400.0] * 11
    assert [one.strike for one in found[:11]] == near.strikes.tolist()
    assert {one.option_type for one in found[:11]} == {"P"}
    assert found[0].oi_change_pct is None
    assert [abs(one.oi_change) for one in found[11:]] == [50.0, 50.0]
    assert [one.expiry for one in found[11:]] == ["2026-12-02"] * 2


def test_a_mover_is_told_with_its_own_price_and_class(enriched):
    chain = enriched(
        columns={
            **{f"{side}_{name}": math.nan for side in ("call", "put") for name in ("oi", "prev_oi")},
            "call_oi": [math.nan] * 5 + [300.0] + [math.nan] * 5,
            "call_prev_oi": 200.0,
            "call_last": 5.0,
            "call_prev_close": 4.0,
        }
    )
    (one,) = movers([chain], 5)
    assert (one.root, one.expiry, one.strike, one.option_type) == ("TEST", "2026-12-02", 100.0, "C")
    assert (one.open_interest, one.oi_change, one.oi_change_pct) == (300.0, 100.0, 50.0)
    assert (one.price_change, one.buildup) == (1.0, "long_buildup")


@given(st.lists(interest, max_size=30))
def test_concentration_is_the_sum_of_squared_shares(values):
    found = herfindahl(np.array(values, dtype=np.float64))
    stated = [value for value in values if value > 0]
    if not stated:
        assert found is None
        return
    assert found == pytest.approx(sum((value / sum(stated)) ** 2 for value in stated))
    assert 1 / len(stated) - 1e-12 <= found <= 1 + 1e-12


def test_sums_and_quotients_are_none_where_parts_are_missing():
    assert total(np.array([math.nan, math.nan])) is None
    assert total(np.array([math.nan, 0.0])) == 0.0
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(0.0, 2.0) == 0.0
    assert ratio(3.0, 0.0) is None
    assert ratio(None, 2.0) is None
    assert ratio(3.0, None) is None


def test_coverage_is_the_share_of_stated_interest(enriched):
    assert coverage(enriched()) == 1.0
    assert coverage(enriched(columns={"put_oi": math.nan})) == 0.5
    nothing = enriched(columns={"put_oi": math.nan, "call_oi": math.nan})
    assert coverage(nothing) == 0.0
    assert otm_interest(nothing, "C") is None


def test_interest_out_of_the_money_excludes_the_strike_at_spot(enriched):
    chain = enriched(spot=100.0, columns={"call_oi": 1.0, "put_oi": 2.0})
    assert otm_interest(chain, "C") == 5.0
    assert otm_interest(chain, "P") == 10.0


def test_change_is_of_strikes_that_both_chains_list(enriched):
    before = enriched(columns={"call_oi": [float(k) for k in range(11)]})
    now = msgspec.structs.replace(before, columns=before.columns[:, 2:].copy())
    now.columns[0, -1] = 115.0
    now["call_oi"][:] = 20.0
    change = change_since(now, before, "call_")
    assert change[:-1].tolist() == [18.0, 17.0, 16.0, 15.0, 14.0, 13.0, 12.0, 11.0]
    assert math.isnan(change[-1])
    assert np.isnan(
        change_since(now, msgspec.structs.replace(before, columns=before.columns[:, :0]), "call_")
    ).all()


@pytest.mark.parametrize(
    ("cadence", "hours", "reason"),
    [
        ("live", 0.001, None),
        ("3min", 0.049, "oi_cadence_3min"),
        ("3min", 0.05, None),
        ("daily", 5, "oi_cadence_daily"),
        ("daily", 15, None),
    ],
)
def test_a_change_within_the_cadence_says_nothing(enriched, cadence, hours, reason):
    before = enriched(oi_cadence=cadence)
    now = msgspec.structs.replace(before, ts_event=before.ts_event + round(hours * HOUR_NS))
    assert incomparable(now, before) == reason
    assert incomparable(msgspec.structs.replace(now, oi_unit="units"), before) == "mixed_units"
