"""Sums of Greeks and dealer exposure, against plain Python with Greeks of its own."""

import math

import pytest

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.analytics.exposure import (
    EXPOSURES,
    aggregates,
    gamma_by_strike,
    net,
    together,
    units_of_interest,
)

CONVENTIONS = {"naive": (1, -1), "inverse": (-1, 1), "short_all": (-1, -1)}


@pytest.fixture(scope="module")
def enriched(make_chain):
    def build(**fields):
        return enrich(make_chain(**fields), AnalyticsSettings(rates={"USD": 0.05}), ts_recv=0)

    return build


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def cumulative(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def price(spot, strike, t, sigma, rate, carry, call):
    """Black-Scholes-Merton with the forward ``spot * exp(carry * t)``."""
    forward = spot * math.exp(carry * t)
    d1 = math.log(forward / strike) / (sigma * math.sqrt(t)) + sigma * math.sqrt(t) / 2
    d2 = d1 - sigma * math.sqrt(t)
    sign = 1 if call else -1
    return sign * math.exp(-rate * t) * (forward * cumulative(sign * d1) - strike * cumulative(sign * d2))


def differences(spot, strike, t, sigma, rate, carry, call):
    """Delta, gamma, vega, theta, vanna and charm by central differences, in payload units."""

    def at(ds=0.0, dsigma=0.0, dt=0.0):
        return price(spot + ds, strike, t + dt, sigma + dsigma, rate, carry, call)

    h, v, d = spot * 2e-3, 2e-4, 2e-4
    delta = (at(h) - at(-h)) / (2 * h)
    return {
        "delta": delta,
        "gamma": (at(h) - 2 * at() + at(-h)) / h**2,
        "vega": (at(0, v) - at(0, -v)) / (2 * v) / 100,
        "theta": -(at(0, 0, d) - at(0, 0, -d)) / (2 * d) / 365,
        "vanna": (at(h, v) - at(-h, v) - at(h, -v) + at(-h, -v)) / (4 * h * v) / 100,
        "charm": -(at(h, 0, d) - at(-h, 0, d) - at(h, 0, -d) + at(-h, 0, -d)) / (4 * h * d) / 365,
    }


def plain(chain, sigma):
    """What the chain adds up to, by side, with Greeks made from prices alone."""
    carry = math.log(chain.forward / chain.spot) / chain.t
    units = chain.multiplier if chain.oi_unit == "contracts" else 1.0
    found = {}
    for side in ("call", "put"):
        rows = zip(chain.strikes.tolist(), chain[f"{side}_oi"].tolist(), strict=True)
        made = [
            (differences(chain.spot, k, chain.t, sigma, chain.rate, carry, side == "call"), oi * units)
            for k, oi in rows
        ]
        for name in ("delta", "gamma", "vega", "theta"):
            found[f"{side}_{name}_oi"] = sum(greeks[name] * weight for greeks, weight in made)
        scale = {"gex": ("gamma", chain.spot**2 / 100), "dex": ("delta", chain.spot)}
        scale |= {"vex": ("vanna", chain.spot), "chex": ("charm", chain.spot)}
        for name, (greek, factor) in scale.items():
            found[f"{side}_{name}"] = factor * sum(greeks[greek] * weight for greeks, weight in made)
    return found


@pytest.mark.parametrize("oi_unit", ["contracts", "units"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_flat_smile_against_differences_of_prices(enriched, oi_unit, convention):
    chain = enriched(sigma=0.2, forward=101.0, spot=100.5, days=60.0, oi_unit=oi_unit, half_spread=1e-7)
    found, expected = aggregates(chain, convention), plain(chain, 0.2)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=2e-3, abs=1e-6 * abs(expected["call_gex"])), (
            name
        )
    call_sign, put_sign = CONVENTIONS[convention]
    for name in EXPOSURES:
        call, put = getattr(found, f"call_{name}"), getattr(found, f"put_{name}")
        assert getattr(found, name) == pytest.approx(call_sign * call + put_sign * put)
        assert net(convention, call, put) == getattr(found, name)
    assert found.contracts == 22
    assert found.coverage == 1.0


def test_walls_are_where_the_gamma_is(enriched):
    calls = [0.0] * 11
    puts = [0.0] * 11
    calls[7], calls[3], puts[2], puts[6] = 500.0, 400.0, 800.0, 300.0
    chain = enriched(columns={"call_oi": calls, "put_oi": puts})
    found, gamma = aggregates(chain, "naive"), gamma_by_strike([chain])
    assert found.call_wall == 104.0
    assert found.put_wall in (94.0, 102.0)
    by_hand = {
        k: chain["call_gamma"][i] * calls[i] + chain["put_gamma"][i] * puts[i]
        for i, k in enumerate(chain.strikes)
    }
    assert found.absolute_gamma_strike == max(by_hand, key=by_hand.get)
    assert sum(call for call, _ in gamma.values()) == pytest.approx(found.call_gex)
    assert sum(put for _, put in gamma.values()) == pytest.approx(found.put_gex)
    assert list(gamma) == chain.strikes.tolist()


def test_several_expiries_add_up(enriched):
    chains = [enriched(), enriched(expiry="2027-01-06", days=65.0, columns={"put_oi": 40.0})]
    parts = [aggregates(chain, "inverse") for chain in chains]
    whole = together(chains, parts, gamma_by_strike(chains), "inverse")
    for name in ("call_delta_oi", "put_theta_oi", "call_gex", "put_chex", "total_put_oi", "gex", "vex"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(part, name) for part in parts)), name
    assert whole.contracts == 44
    assert whole.coverage == 1.0
    both = {
        k: (a + c, b + d)
        for (k, (a, b)), (c, d) in zip(
            gamma_by_strike(chains[:1]).items(), gamma_by_strike(chains[1:]).values(), strict=True
        )
    }
    assert whole.call_wall == max(both, key=lambda k: both[k][0])
    assert whole.absolute_gamma_strike == max(both, key=lambda k: sum(both[k]))


def test_one_expiry_together_is_itself(enriched):
    chain = enriched()
    part = aggregates(chain, "short_all")
    assert together([chain], [part], gamma_by_strike([chain]), "short_all") == part


def test_a_side_without_interest_is_none_and_takes_the_net_with_it(enriched):
    found = aggregates(enriched(columns={"put_oi": math.nan}), "naive")
    assert found.put_gex is found.put_delta_oi is found.gex is found.put_wall is found.total_put_oi is None
    assert found.call_gex > 0
    assert found.call_wall is not None


@pytest.mark.parametrize("fields", [{"expiry_ts": 0}, {"flags": ("stale",)}, {"spot": None, "future": None}])
def test_without_time_or_spot_there_is_no_exposure(enriched, fields):
    chain = enriched(**fields)
    found = aggregates(chain, "naive")
    assert found.gex is found.call_gex is found.call_dex is None
    assert found.total_call_oi == chain.total_call_oi is not None
    if chain.t is None:
        assert found.call_delta_oi is found.call_wall is None
        assert found.coverage == 0.0


def test_unknown_terms_leave_walls_and_take_amounts(enriched):
    chain = enriched(multiplier=math.nan)
    assert units_of_interest(chain) is None
    found = aggregates(chain, "naive")
    assert found.call_gex is found.call_delta_oi is found.gex is None
    assert found.call_wall is not None
    assert found.coverage == 0.0
    known = enriched(expiry="2027-01-06", days=65.0)
    parts = [found, aggregates(known, "naive")]
    whole = together([chain, known], parts, gamma_by_strike([chain, known]), "naive")
    assert whole.call_gex == parts[1].call_gex
    assert whole.coverage == pytest.approx(0.5)


def test_what_is_in_different_currencies_is_not_added(enriched):
    chains = [enriched(), enriched(expiry="2027-01-06", days=65.0, currency="BTC")]
    parts = [aggregates(chain, "naive") for chain in chains]
    whole = together(chains, parts, gamma_by_strike(chains), "naive")
    assert whole.call_gex is whole.gex is whole.put_vega_oi is None
    assert whole.call_delta_oi == pytest.approx(sum(part.call_delta_oi for part in parts))
    mixed = [enriched(), enriched(expiry="2027-01-06", days=65.0, oi_unit="units")]
    parts = [aggregates(chain, "naive") for chain in mixed]
    assert together(mixed, parts, gamma_by_strike(mixed), "naive").total_call_oi is None
