"""The people of a simulation, and the judge of what they are answered."""

from __future__ import annotations

from collections import Counter
from functools import partial
from unittest import mock

import pytest
from msgspec.structs import replace

from deltastream.sim._kinds import AUTH, Crash, CrashLoop, Kill
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.people import People, gateways, judge
from deltastream.sim.people.judge import Family, Guesses, Judge, Level, Right, Span
from deltastream.sim.plan import Plan


class Court:
    """A judge, and what it has complained of."""

    def __init__(self, delay: float = 0.0) -> None:
        self.complaints: list[str] = []
        self.judge = Judge(lambda code, detail: self.complaints.append(code), lambda since, until: delay)


@pytest.fixture
def court() -> Court:
    return Court()


def right(**known: float) -> Right:
    return Right("text", "somebody's token", **known)


def family(*used: tuple[str, Span, str]) -> Family:
    made = Family("somebody", used[-1][2] if used else "t1")
    made.used.extend(used)
    return made


@pytest.mark.parametrize(("begun", "delay", "complaints"), [(11.0, 0, []), (11.1, 0, ["revoked_accepted"]),
                                                           (12.0, 2, []), (9.0, 0, [])])  # fmt: skip
def test_what_has_ended_is_refused_within_a_second(begun, delay, complaints):
    court, ended = Court(delay), right()
    ended.end(Span(9.5, 10.0))
    court.judge.let_in(ended, Span(begun, begun + 0.1), 0)
    assert court.complaints == complaints


def test_what_nobody_has_ended_is_accepted(court):
    court.judge.kept_out(right(), Span(1, 2), 0, "revoked")
    assert court.complaints == ["refused_wrongly"]


@pytest.mark.parametrize("unclear", ["begun", "expired", "clock", "restored"])
def test_nothing_is_demanded_where_it_cannot_be_known(court, unclear):
    doubtful = right(expires=5.0)
    if unclear == "begun":
        doubtful.begin_end(1.5)
    if unclear == "clock":
        court.judge.clock_was_set = True
    if unclear == "restored":
        doubtful.restore(0.0)
    court.judge.kept_out(doubtful, Span(1, 2), 6 if unclear == "expired" else 0, "expired")
    assert court.complaints == []


def test_what_was_barred_is_refused_until_it_is_given_back(court):
    barred = right()
    barred.bar(1.0, 2.0)
    court.judge.let_in(barred, Span(4, 5), 0)
    assert court.complaints == ["revoked_accepted"]
    barred.begin_restore()
    court.judge.let_in(barred, Span(5, 6), 0)
    barred.restore(6.0)
    court.judge.kept_out(barred, Span(60, 61), 0, "revoked")
    assert court.complaints == ["revoked_accepted", "refused_wrongly"]


def test_expired(court):
    court.judge.let_in(right(expires=100), Span(1, 2), 101)
    assert court.complaints == ["expired_accepted"]


def test_a_token_shown_again_gives_the_same_for_ten_seconds(court):
    first = ("t1", Span(0, 1), "t2")
    court.judge.refreshed(family(first), "t1", "t2", Span(10.9, 12))
    assert court.complaints == []
    court.judge.refreshed(family(first), "t1", "t3", Span(5, 6))
    court.judge.refreshed(family(first), "t1", "t2", Span(11.1, 12))
    assert court.complaints == ["successor_differs", "reuse_unnoticed"]
    used_late = family(first)
    court.judge.not_refreshed(used_late, "t1", Span(11.1, 12), "reused")
    assert court.complaints[2:] == []
    court.judge.refreshed(used_late, "t2", "t3", Span(12.5, 13))
    assert court.complaints[2:] == ["revoked_accepted"]
    court.judge.not_refreshed(family(first), "t1", Span(5, 6), "reused")
    assert court.complaints[3:] == ["refused_wrongly"]


def test_a_token_shown_again_gives_the_newest_of_its_session(court):
    chain = (("t1", Span(0, 1), "t2"), ("t2", Span(2, 3), "t3"))
    court.judge.refreshed(family(*chain), "t1", "t3", Span(4, 5))
    assert court.complaints == []
    court.judge.refreshed(family(*chain), "t1", "t2", Span(4, 5))
    assert court.complaints == ["successor_differs"]
    unsure = family(*chain)
    unsure.unsure = True  # t3 may have been exchanged
    court.judge.refreshed(unsure, "t1", "t4", Span(4, 5))
    assert court.complaints == ["successor_differs"]


def test_an_exchange_that_nobody_knows_of_may_be_held_against_the_session(court):
    unsure = family()
    unsure.unsure = True
    court.judge.not_refreshed(unsure, "t1", Span(20, 21), "reused")
    assert court.complaints == []
    assert unsure.ended == 21


def test_tokens_of_a_session_end_with_it():
    session = family()
    before, after = right(), right()
    session.give(before)
    session.end(Span(1, 2))
    session.give(after)
    assert before.ended == after.ended == 2


def test_guesses_may_come_no_faster():
    guesses = Guesses(free=2, first=1.0, longest=3.0)
    early = [guesses.looked_at(Span(at, at)) for at in (0, 0, 0, 0, 0, 3, 6)]
    assert early[:3] == [float("-inf"), 0.0, 0.0]
    assert early[3:] == [1.0, 2.0, 0.0, 0.0]


def test_a_bucket_gives_no_more_than_flows_in():
    level = Level(burst=10, rate=2)
    assert level.take(0.0, 10) == 0
    assert level.take(1.0, 2) == 0
    assert level.take(1.0, 1) == 1


def test_a_run_is_the_same_again_and_everything_happens():
    """What an invariant is about must come to pass, or it is kept by chance."""
    counts: Counter[str] = Counter()

    def counted(name, original, self, *args):
        counts[name] += 1
        return original(self, *args)

    names = ("let_in", "kept_out", "refreshed", "_repeated", "not_refreshed")
    scenario = replace(scenario_of(3), duration_s=90.0, people=3)
    with mock.patch.multiple(
        Judge, **{name: _method(partial(counted, name, getattr(Judge, name))) for name in names}
    ):
        first = examine(Case(scenario, Plan()))
    assert first.violations == ()
    assert all(counts[name] >= 3 for name in names), counts
    assert examine(Case(scenario, Plan())).digest == first.digest
    assert examine(Case(replace(scenario, people=0), Plan())).digest != first.digest


def _method(function):
    def method(self, *args):
        return function(self, *args)

    return method


def test_a_gateway_that_has_no_host_answers_nothing(monkeypatch):
    """Everything that is asked in vain leaves open what has become of it."""
    lost: Counter[str] = Counter()
    real = gateways.Gateway.ask

    async def ask(self, question):
        try:
            return await real(self, question)
        except gateways.Lost:
            lost["lost"] += 1
            raise

    monkeypatch.setattr(gateways.Gateway, "ask", ask)
    cases = [Case.of(scenario_of(seed)) for seed in range(40)]
    killed = next(case for case in cases if any(isinstance(fault, Kill) for fault in case.plan.faults))
    assert examine(Case(replace(killed.scenario, people=2), killed.plan)).violations == ()
    assert lost["lost"]


@pytest.mark.parametrize(
    "fault", [Crash(id=1, at=5.0, child=AUTH), CrashLoop(id=1, at=5.0, duration=9.0, gap_s=0.5, child=AUTH)]
)
def test_accounts_that_crash_are_started_again(fault):
    verdict = examine(Case(replace(scenario_of(3), duration_s=30.0, people=2), Plan((fault,))))
    assert sum(verdict.counts.struck.values()) == 1
    assert verdict.violations == ()


def test_the_judge_writes_the_rules_out_on_its_own():
    """They are those of the accounts; were they imported, a change there would go unnoticed here."""
    from deltastream.accounts import lockout, service

    assert service._GRACE_S == judge.GRACE_S
    assert (lockout.ACCOUNT.free, lockout.ACCOUNT.first, lockout.ACCOUNT.longest) == (5, 1.0, 60.0)
    assert (lockout.ADDRESS.free, lockout.ADDRESS.first, lockout.ADDRESS.longest) == (20, 1.0, 900.0)
    assert People.__module__ == "deltastream.sim.people"
