"""Surfaces: which volatility stands at which strike, and which chains count."""

from __future__ import annotations

import math

from deltastream.analytics import AnalyticsSettings, enrich, surface, surface_slice
from deltastream.messages import ROW

SETTINGS = AnalyticsSettings(rates={"USD": 0.05})
DAY_NS = 86_400 * 10**9


def test_a_slice_takes_the_out_of_the_money_side(make_chain):
    enriched = enrich(make_chain(forward=101.0), SETTINGS, ts_recv=1)
    enriched.columns[ROW["call_iv"]] = 0.3
    enriched.columns[ROW["put_iv"]] = 0.4
    smile = surface_slice(enriched)
    assert smile.strikes == tuple(enriched.strikes)
    assert smile.ivs == tuple(0.4 if k < enriched.forward else 0.3 for k in enriched.strikes)


def test_an_unsolved_volatility_is_none_not_the_other_side(make_chain):
    enriched = enrich(make_chain(), SETTINGS, ts_recv=1)
    enriched.columns[ROW["put_iv"], 0] = math.nan
    assert surface_slice(enriched).ivs[0] is None


def test_slices_come_by_expiry_and_expired_ones_fall_out(make_chain):
    near = enrich(make_chain(days=3, expiry="2026-11-05"), SETTINGS, ts_recv=1)
    far = enrich(make_chain(days=30), SETTINGS, ts_recv=1)
    after = make_chain().ts_event + 4 * DAY_NS
    late = enrich(
        make_chain(days=60, expiry="2027-01-01", ts_event=after, expiry_ts=after + 57 * DAY_NS),
        SETTINGS,
        ts_recv=1,
    )
    both = surface("TEST", [far, near], ts_recv=2)
    assert [s.expiry for s in both.slices] == ["2026-11-05", "2026-12-02"]
    assert both.ts_event == far.ts_event
    moved_on = surface("TEST", [late, far, near], ts_recv=2)
    assert [s.expiry for s in moved_on.slices] == ["2026-12-02", "2027-01-01"]
    assert moved_on.ts_event == after


def test_no_slice_no_surface(make_chain):
    chain = make_chain()
    expired = enrich(make_chain(expiry_ts=chain.ts_event), SETTINGS, ts_recv=1)
    assert surface_slice(expired) is None
    assert surface("TEST", [expired], ts_recv=2) is None
    assert surface("TEST", [], ts_recv=2) is None


def test_adjusted_contracts_stay_out(make_chain):
    adjusted = enrich(make_chain(flags=("adjusted_contract",)), SETTINGS, ts_recv=1)
    assert surface_slice(adjusted) is None
