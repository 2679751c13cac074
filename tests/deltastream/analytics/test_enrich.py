"""Enrichment: names, reasons and the use of time; the numbers themselves are the core's tests."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from deltastream.analytics import YEAR_NS, AnalyticsSettings, enrich
from deltastream.messages import CHAIN_ROWS, ENRICHED_ROWS, ROW, Position, decode, encode

SETTINGS = AnalyticsSettings(rates={"USD": 0.05})
TIMELESS = {"t", "forward", "forward_error", "atm_iv", "avg_iv"}


def test_a_flat_smile_comes_back(make_chain):
    chain = make_chain(sigma=0.2, forward=101.0)
    result = enrich(chain, SETTINGS, ts_recv=9, source=("market.chain.TEST", Position("e", 7)))
    assert result.forward == pytest.approx(101.0, abs=1e-9)
    assert result.forward_source == "parity"
    assert result.forward_error == pytest.approx(0.0, abs=1e-9)
    assert result.atm_iv == pytest.approx(0.2, rel=1e-9)
    assert result.avg_iv == pytest.approx(0.2, rel=1e-9)
    assert np.allclose(result["call_iv"], 0.2, rtol=1e-6)
    assert np.allclose(result["put_iv"], 0.2, rtol=1e-6)
    assert np.all(result["call_bid_iv"] < result["call_iv"])
    assert np.all(result["call_iv"] < result["call_ask_iv"])
    assert result.t == 30 * 86_400 * 10**9 / YEAR_NS
    assert (result.rate, result.rate_source) == (0.05, "configured:USD")
    assert result.source == ("market.chain.TEST", Position("e", 7))
    assert result.ts_recv == 9
    assert result.reasons == {}
    assert result.flags == ()


def test_the_market_columns_are_kept_and_the_result_travels(make_chain):
    chain = make_chain()
    result = enrich(chain, SETTINGS, ts_recv=9)
    assert result.columns.shape == (ENRICHED_ROWS, 11)
    np.testing.assert_array_equal(result.columns[:CHAIN_ROWS], chain.columns)
    assert encode(decode(encode(result))) == encode(result)


def test_delta_of_call_and_put_differ_by_the_discounted_carry(make_chain):
    chain = make_chain()
    result = enrich(chain, SETTINGS, ts_recv=9)
    carry = math.exp(-0.05 * result.t) * result.forward / chain.spot
    np.testing.assert_allclose(result["call_delta"] - result["put_delta"], carry, rtol=1e-6)


def test_totals_ratios_and_max_pain_by_hand(make_chain):
    chain = make_chain()
    result = enrich(chain, SETTINGS, ts_recv=9)
    assert result.total_call_oi == sum(range(100, 210, 10))
    assert result.total_put_oi == sum(range(150, 260, 10))
    assert result.pcr_oi == result.total_put_oi / result.total_call_oi
    assert result.pcr_volume == 1.0
    assert result.call_oi_change == result.put_oi_change == 11 * 50.0
    pains = {
        x: sum(
            oi_c * max(0.0, x - k) + oi_p * max(0.0, k - x)
            for k, oi_c, oi_p in zip(chain.strikes, chain["call_oi"], chain["put_oi"], strict=True)
        )
        for x in chain.strikes
    }
    best = min(pains, key=pains.get)
    assert result.max_pain_interval == (best, best)
    assert result.max_pain_strike == best
    assert result.max_pain_value == pytest.approx(pains[best])


def test_build_up_is_long_where_price_and_interest_rise(make_chain):
    result = enrich(make_chain(), SETTINGS, ts_recv=9)
    assert np.all(result["call_oi_change"] == 50.0)
    assert np.all(result["call_buildup"] == 1.0)


@pytest.mark.parametrize(
    ("fields", "as_of_s", "code"),
    [
        ({"days": 0.0}, None, "expired"),
        ({"days": -1.0}, None, "expired"),
        ({"days": 1.0}, 86_400, "expired"),
        ({}, 901, "stale"),
        ({"flags": ("stale",)}, None, "stale"),
        ({"flags": ("timestamp_unknown",)}, None, "timestamp_unknown"),
    ],
)
def test_without_time_only_what_needs_time_is_missing(make_chain, fields, as_of_s, code):
    chain = make_chain(**({"sigma": 0.2} | {k: v for k, v in fields.items() if k != "days"}))
    if "days" in fields:
        chain = make_chain(expiry_ts=chain.ts_event + int(fields["days"] * 86_400) * 10**9)
    as_of = None if as_of_s is None else chain.ts_event + as_of_s * 10**9
    result = enrich(chain, SETTINGS, ts_recv=9, as_of=as_of)
    assert {name: result.reasons[name] for name in TIMELESS} == dict.fromkeys(TIMELESS, code)
    assert set(result.reasons) == TIMELESS
    assert all(getattr(result, name) is None for name in TIMELESS)
    assert code in result.flags
    assert len(set(result.flags)) == len(result.flags)
    assert np.isnan(result["call_iv"]).all()
    assert np.isnan(result["call_delta"]).all()
    assert result.pcr_oi is not None
    assert result.max_pain_interval is not None
    assert result.atm_straddle_price is not None
    assert result.atm_strike == 100.0
    assert "atm_from_spot" in result.flags


def test_age_up_to_the_limit_is_not_stale(make_chain):
    chain = make_chain()
    result = enrich(chain, SETTINGS, ts_recv=9, as_of=chain.ts_event + 900 * 10**9)
    assert result.atm_iv is not None


def test_an_untimed_chain_takes_its_time_from_as_of(make_chain):
    chain = make_chain(flags=("timestamp_unknown",), ts_event=1)
    timed = make_chain()
    result = enrich(chain, SETTINGS, ts_recv=9, as_of=timed.ts_event)
    assert result.t == enrich(timed, SETTINGS, ts_recv=9).t
    assert result.flags == ("timestamp_assumed",)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"call_oi": 0.0}, {"pcr_oi": "call_open_interest_is_zero"}),
        (
            {"call_oi": math.nan},
            {
                "total_call_oi": "no_call_open_interest",
                "pcr_oi": "no_call_open_interest",
                "call_oi_change": "no_previous_open_interest",
            },
        ),
        ({"put_volume": math.nan}, {"total_put_volume": "no_put_volume", "pcr_volume": "no_put_volume"}),
        ({"call_volume": 0.0}, {"pcr_volume": "call_volume_is_zero"}),
        ({"put_prev_oi": math.nan}, {"put_oi_change": "no_previous_open_interest"}),
        (
            {"call_oi": 0.0, "put_oi": 0.0},
            {
                "pcr_oi": "call_open_interest_is_zero",
                "max_pain_strike": "no_open_interest",
                "max_pain_interval": "no_open_interest",
                "max_pain_value": "no_open_interest",
            },
        ),
    ],
)
def test_what_is_missing_says_why(make_chain, columns, expected):
    result = enrich(make_chain(columns=columns), SETTINGS, ts_recv=9)
    assert result.reasons == expected
    for name in expected:
        assert getattr(result, name) is None


def test_daily_open_interest_says_so(make_chain):
    chain = make_chain(oi_cadence="daily", columns={"call_prev_oi": math.nan, "put_prev_oi": math.nan})
    result = enrich(chain, SETTINGS, ts_recv=9)
    assert result.reasons == {"call_oi_change": "oi_cadence_daily", "put_oi_change": "oi_cadence_daily"}


def test_without_two_sided_quotes_the_forward_falls_back_and_is_flagged(make_chain):
    one_sided = {"call_bid": math.nan}
    future = enrich(make_chain(columns=one_sided, future=101.0), SETTINGS, ts_recv=9)
    assert (future.forward, future.forward_source) == (101.0, "future")
    assert "forward_from_future" in future.flags
    spot = enrich(make_chain(columns=one_sided), SETTINGS, ts_recv=9)
    assert (spot.forward, spot.forward_source) == (100.5, "spot")
    assert "forward_from_spot" in spot.flags
    assert spot.reasons["forward_error"] == "forward_not_from_parity"
    neither = enrich(make_chain(columns=one_sided, spot=None), SETTINGS, ts_recv=9)
    assert neither.forward is None
    assert neither.reasons["forward"] == "no_two_sided_quotes_and_no_spot"
    assert neither.reasons["atm_strike"] == "no_forward_and_no_spot"
    assert neither.reasons["spot"] == "not_given"


def test_a_missing_side_at_the_money_takes_its_last_and_says_so(make_chain):
    chain = make_chain(columns={"call_bid": math.nan})
    result = enrich(chain, SETTINGS, ts_recv=9)
    at = list(chain.strikes).index(result.atm_strike)
    put_mid = (chain["put_bid"][at] + chain["put_ask"][at]) / 2
    assert result.atm_straddle_price == pytest.approx(chain["call_last"][at] + put_mid)
    assert "straddle_from_last" in result.flags


@pytest.mark.parametrize(
    ("oi_unit", "multiplier", "passed"),
    [
        ("contracts", 100.0, 100.0),
        ("contracts", math.nan, math.nan),
        ("units", 75.0, 1.0),
        ("units", math.nan, 1.0),
        ("coin", 10.0, 1.0),
    ],
)
def test_open_interest_counts_in_units_of_the_underlying(
    make_chain, monkeypatch, oi_unit, multiplier, passed
):
    module = sys.modules["deltastream.analytics.enrich"]
    calls = []
    sweep = module.sweep
    monkeypatch.setattr(
        module, "sweep", lambda *args, **kwargs: calls.append(kwargs) or sweep(*args, **kwargs)
    )
    result = enrich(make_chain(oi_unit=oi_unit, multiplier=multiplier), SETTINGS, ts_recv=9)
    assert result.columns.shape == (ENRICHED_ROWS, 11)
    np.testing.assert_equal([call["multiplier"] for call in calls], [passed])


def test_american_exercise_is_flagged(make_chain):
    assert "european_approximation" in enrich(make_chain(exercise="american"), SETTINGS, ts_recv=9).flags


def test_an_unknown_currency_uses_the_default_rate_and_says_so(make_chain):
    result = enrich(make_chain(currency="JPY"), SETTINGS, ts_recv=9)
    assert (result.rate, result.rate_source) == (0.0, "configured:default")


def test_a_chain_without_strikes_is_an_answer_not_an_error(make_chain):
    chain = make_chain()
    empty = type(chain)(
        **{n: getattr(chain, n) for n in chain.__struct_fields__ if n != "columns"},
        columns=np.empty((CHAIN_ROWS, 0)),
    )
    result = enrich(empty, SETTINGS, ts_recv=9)
    assert result.total_call_oi is None
    assert result.reasons["atm_strike"] == "no_strikes"
    assert result.columns.shape == (ENRICHED_ROWS, 0)


@pytest.mark.parametrize("bad", [math.nan, -1.0, 0.0, math.inf])
def test_bad_strikes_are_refused(make_chain, bad):
    chain = make_chain()
    chain.columns[ROW["strike"], 3] = bad
    with pytest.raises(ValueError, match="strike"):
        enrich(chain, SETTINGS, ts_recv=9)
