"""Cases: to files and back, to the command line and back."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.cli import sim as cli_sim
from deltastream.sim import Scenario
from deltastream.sim.case import Case, CaseRefused, examine, scenario_of
from deltastream.sim.plan import PROFILES, Plan, draw

SEEDS = st.integers(0, 2**63 - 1)
SPANS = st.none() | st.integers(5, 100_000).map(float) | st.just("session")


@given(SEEDS, SPANS, st.none() | st.integers(0, 50), st.none() | st.sampled_from(sorted(PROFILES)))
def test_options_describe_the_case_that_they_make(seed, duration, readers, profile):
    case = Case.of(scenario_of(seed, duration, readers, profile))
    words = shlex.split(case.command())
    assert words[:2] == ["deltastream", "sim"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    span = given.pop("--duration", None)
    again = scenario_of(
        int(given.pop("--seed")),
        float(span[:-1]) if span not in (None, "session") else span,
        int(given.pop("--readers")) if "--readers" in given else None,
        given.pop("--faults", None),
    )
    assert given == {}
    assert Case.of(again) == case


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        (scenario_of(7), "--seed 7"),
        (scenario_of(7, 60.0), "--seed 7"),
        (scenario_of(7, 90.5), "--seed 7 --duration 90.5s"),
        (scenario_of(7, 7200.0), "--seed 7 --duration 7200s"),
        (scenario_of(7, "session"), "--seed 7 --duration session"),
        (scenario_of(7, "session", 3, "wild"), "--seed 7 --duration session --readers 3 --faults wild"),
        (scenario_of(7, None, 0), "--seed 7 --readers 0"),
        (scenario_of(7, None, None, "short"), "--seed 7"),
    ],
)
def test_options_are_as_few_as_can_be(scenario: Scenario, options: str):
    assert Case.of(scenario).options == options


def test_a_case_of_its_own_needs_a_file():
    case = Case.of(scenario_of(11, None, None, "wild"))
    fewer = Case(case.scenario, case.plan.without(case.plan.faults[0].id))
    assert fewer.options is None
    assert fewer.command(Path("sim failures/x.json")) == "deltastream sim --plan 'sim failures/x.json'"
    assert Case.of(msgspec.structs.replace(case.scenario, strikes=9, products=("SPY",))).options is None


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_file_holds_all_of_a_case(tmp_path: Path, profile: str):
    case = Case.of(scenario_of(3, None, None, profile))
    file = tmp_path / "case.json"
    file.write_text(case.to_json())
    assert Case.read(file, scenario_of(99)) == (case, True)
    assert len(file.read_text().splitlines()) == (len(case.plan.faults) + 3 if case.plan.faults else 2)
    json.loads(file.read_text())


def test_a_plan_alone_strikes_the_scenario_at_hand(tmp_path: Path):
    plan = draw(scenario_of(3))
    file = tmp_path / "plan.json"
    file.write_text(plan.to_json())
    assert Case.read(file, scenario_of(4)) == (Case(scenario_of(4), plan), False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no plan of faults: "),
        ("[]", "Expected `object`, got `array`"),
        (
            '{"faults": [{"kind": "curse", "id": 1, "at": 1.0}]}',
            "Invalid value 'curse' - at `$.faults[0].kind`",
        ),
        ('{"faults": [], "seed": 3}', "unknown field `seed`"),
        (
            '{"faults": [{"kind": "pause", "id": 1, "at": 1.0}, {"kind": "pause", "id": 1, "at": 2.0}]}',
            "two faults of a plan have the same id",
        ),
        ('{"faults": [], "scenario": {"seed": -1}}', "`$.scenario.seed`"),
        ('{"faults": [], "scenario": {"seed": 1, "products": []}}', "it names no product"),
        ('{"faults": [], "scenario": {"seed": 1, "products": ["GOLD"]}}', "there is no product 'GOLD'"),
        ('{"faults": [], "scenario": {"seed": 1, "profile": "worse"}}', "there is no profile 'worse'"),
        ('{"faults": [], "scenario": {"seed": 1, "duration_s": 0}}', "Expected `float` > 0"),
    ],
)
def test_what_is_no_case_is_refused(tmp_path: Path, text: str, sentence: str):
    file = tmp_path / "case.json"
    file.write_text(text)
    with pytest.raises(CaseRefused) as refused:
        Case.read(file, scenario_of(1))
    assert str(refused.value).startswith(f"{file} holds no plan of faults: ")
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CaseRefused, match="cannot be read: No such file or directory"):
        Case.read(tmp_path / "none.json", scenario_of(1))


def test_a_profile_that_does_not_exist():
    with pytest.raises(ValueError, match="no profile 'worse'"):
        Case.of(scenario_of(1, None, None, "worse"))


def test_the_command_line_offers_every_profile():
    assert tuple(PROFILES) == cli_sim.PROFILES


def test_examining_a_case_has_its_faults_happen_and_everything_checked():
    plan = Plan.from_json('{"faults": [{"kind": "kill", "id": 1, "at": 5.5}]}')
    scenario = scenario_of(1, 10.0, 1, "none")
    seen = []
    verdict = examine(
        Case(scenario, plan), [lambda world: world.on_struck.append(lambda *_: seen.append(world.now()))]
    )
    assert (verdict.counts.kills, verdict.counts.starts, verdict.counts.struck) == (1, 2, {"kill": 1})
    assert 5.5 <= seen[0] < 6.0
    assert verdict.ok, verdict.violations
