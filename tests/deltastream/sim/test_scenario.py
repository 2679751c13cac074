"""Scenarios: JSON, the short ones that the suite runs, and a whole session."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from deltastream.market import calendar
from deltastream.sim import Scenario, simulate


@pytest.mark.parametrize("scenario", [Scenario.short(3), Scenario.session(4), Scenario(seed=5)])
def test_a_scenario_is_one_json_object(scenario):
    assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario


def test_short_scenarios_differ_in_more_than_their_seed():
    scenarios = [Scenario.short(seed) for seed in range(20)]
    assert all(scenario.duration_s >= 60 and len(scenario.products) == 2 for scenario in scenarios)
    assert len({scenario.products for scenario in scenarios}) > 10
    assert len({scenario.start for scenario in scenarios}) == 20
    assert Scenario.short(3) == Scenario.short(3)


def test_a_session_begins_before_the_opening_and_ends_after_the_close():
    scenario = Scenario.session(1)
    end = scenario.start + round(scenario.duration_s * 1e9)
    for market in ("XNSE", "XBOM"):
        session = calendar(market).session(calendar(market).date_of(scenario.start))
        assert scenario.start < session.open_ns < session.close_ns < end


def test_the_market_opens_and_closes_in_a_session():
    scenario = msgspec.structs.replace(Scenario.session(1), duration_s=1200.0, products=("NIFTY",))
    statuses = []

    def part(world):
        world.on_record.append(
            lambda item: item.topic.startswith("market.status.") and statuses.append(item.message.status)
        )

    verdict = simulate(scenario, parts=[part])
    assert verdict.ok
    assert statuses == ["closed", "open"]
    assert verdict.counts.accepted > 280


def test_the_market_stays_closed_on_a_holiday():
    """A Tuesday without a session, in the hour of the opening."""
    xnse = calendar("XNSE")
    holiday = date(2026, 11, 24)
    assert xnse.session(holiday) is None
    session = Scenario.session(1)
    days = (holiday - xnse.date_of(session.start)).days
    scenario = msgspec.structs.replace(
        session,
        start=session.start + days * 86_400 * 10**9,
        duration_s=2400.0,
        products=("NIFTY",),
        bundle_s=0.0,
    )
    topics = []

    def part(world):
        world.on_record.append(lambda item: topics.append((item.topic, item.message)))

    assert simulate(scenario, parts=[part]).ok
    ((topic, said),) = topics
    assert (topic, said.status, said.reason) == ("market.status.NIFTY", "closed", "holiday")
