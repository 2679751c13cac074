"""Traces: readable, short, the same each time, and without influence on what they show."""

from __future__ import annotations

import re

import msgspec
import pytest

from deltastream.sim import Verdict
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.plan import Plan
from deltastream.sim.trace import Trace

FAULTS = """{"faults": [
    {"kind": "crash", "id": 1, "at": 5.0, "child": "host/pipeline/enricher", "steps": 3},
    {"kind": "kill", "id": 2, "at": 12.0, "down_s": 0.5},
    {"kind": "mute", "id": 3, "at": 13.0, "duration": 4.0, "product": "QQQ"},
    {"kind": "kill_at_statement", "id": 4, "at": 25.0, "file": "journal", "verb": "VACUUM", "moment": "after"}
]}"""
LINE = re.compile(r"[ |]{3} *(\d+\.\d{6})  (\d\d:\d\d:\d\d)  (\S.{17})  (\S.*)\n")


def case(seconds: float = 30.0, plan: str = FAULTS, readers: int = 1) -> Case:
    scenario = msgspec.structs.replace(scenario_of(2, seconds, readers, "none"), clients=0, expiries=1)
    return Case(scenario, Plan.from_json(plan))


def traced(case: Case, *parts) -> tuple[list[str], Verdict]:
    lines: list[str] = []
    verdict = examine(case, [Trace(lines.append).attach, *parts])
    return lines, verdict


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return traced(case())[0]


def what(lines: list[str], who: str) -> list[str]:
    """What a trace says of an actor."""
    return [m[4] for line in lines if (m := LINE.fullmatch(line)) and m[3].strip() == who]


def test_the_head_names_the_scenario_and_the_plan(lines: list[str]):
    assert re.fullmatch(
        r"seed 2: \w+, \w+ for 30 s from 2026-11-\d\d \d\d:\d\d:\d\d [\w/]+, around the clock; "
        r"1 reader, faults none\n",
        lines[0],
    )
    assert lines[1] == ("  planned at      5.000 s  #1 crash (child host/pipeline/enricher, steps 3)\n")
    assert lines[3] == "  planned at     13.000 s  #3 mute (product QQQ, for 4 s)\n"
    assert lines[5].split() == ["seconds", "time", "who", "what"]


def test_a_line_says_when_who_and_what(lines: list[str]):
    parsed = [LINE.fullmatch(line) for line in lines[6:]]
    assert all(parsed)
    seconds = [float(match[1]) for match in parsed if match]
    assert seconds == sorted(seconds)
    assert seconds[-1] >= 30.0


def test_faults_strike_where_they_struck_and_the_rest_is_told(lines: list[str]):
    assert what(lines, "fault #1")[0].startswith("crash (child host/pipeline/enricher, steps 3) strikes")
    assert what(lines, "fault #2")[0].startswith("kill (down_s 0.5, steps 0) strikes")
    assert what(lines, "fault #4") == []
    assert [text for text in what(lines, "world") if "struck nothing" in text] == [
        "fault #4 kill_at_statement (down_s 1, file journal, verb VACUUM, moment after, skip 0) "
        "has struck nothing"
    ]


def test_the_tree_and_the_process_are_followed(lines: list[str]):
    told = what(lines, "enricher")
    assert any(text.startswith("crashed, incarnation 1: ") for text in told)
    assert any(text.startswith("restarted, incarnation 2") for text in told)
    assert what(lines, "process") == [
        "incarnation 1 is up",
        "incarnation 1 was killed",
        "incarnation 2 is up",
        "incarnation 2 has stopped in order",
    ]


def test_messages_are_summed_up_and_none_is_missed(lines: list[str]):
    _, verdict = traced(case())

    def total(who: str, verb: str) -> int:
        return sum(int(m[1]) for text in what(lines, who) if (m := re.match(rf"{verb} (\d+)", text)))

    assert total("feed", "accepted") == verdict.counts.accepted
    assert total("enricher", "published") == verdict.counts.enriched
    assert len(lines) < 80


def test_the_same_case_gives_the_same_trace_and_the_same_digest():
    first, verdict = traced(case())
    second, again = traced(case())
    assert first == second
    assert verdict == again == examine(case())


def test_a_violation_shows_what_came_before_it():
    def planted(world) -> None:
        async def look() -> None:
            if int(world.now()) == 9:
                world.violate("planted", f"seen in {world.directory}")

        world.every_second.append(look)

    lines, verdict = traced(case(12.0, '{"faults": []}'), planted)
    assert not verdict.ok
    at = next(number for number, line in enumerate(lines) if "VIOLATION" in line)
    assert LINE.fullmatch(lines[at])[4] == "planted: seen in ~"
    before = [line for line in lines[at - 20 : at] if line.startswith(" | ")]
    assert len(before) == 20
    assert any("accepted market.tick." in line for line in before)
    assert any("Journal.commit done" in line for line in before)
    assert all(float(LINE.fullmatch(line)[1]) <= 9.01 for line in before)


@pytest.mark.parametrize(
    "where", ["{}: 1 missing: 0/7", "{} 7 has no result", "reader 1: {} f00/7 came where 9 was due"]
)
def test_a_violation_shows_what_happened_around_its_message(where: str):
    def planted(world) -> None:
        async def check() -> None:
            for _ in range(2):
                world.violate("planted", where.format("market.tick.QQQ"))

        world.at_end.append(check)

    lines, _ = traced(case(40.0, '{"faults": []}'), planted)
    (at,) = [number for number, line in enumerate(lines) if "accepted market.tick.QQQ #7\n" in line]
    assert len([line for line in lines[at - 8 : at + 9] if line.startswith(" | ")]) == 17
    assert lines[at + 9] == " | …\n"
    assert float(LINE.fullmatch(lines[at])[1]) < 10 < 30 < float(LINE.fullmatch(lines[at + 12])[1])
    assert [line.count("planted") for line in lines[at + 9 :] if "planted" in line] == [1, 1]


def test_what_comes_again_and_again_is_summed_up():
    def planted(world) -> None:
        async def look() -> None:
            for number in range(50):
                world.violate("planted", f"number {number}")

        world.every_second.append(look)

    plan = (
        '{"faults": [{"kind": "crash_loop", "id": 1, "at": 2.0, "duration": 15.0, '
        '"child": "host/pipeline/storage", "gap_s": 0.01}]}'
    )
    lines, verdict = traced(case(30.0, plan), planted)
    assert len(verdict.violations) > 1000
    assert len(what(lines, "VIOLATION")) == 5
    count = sum(1 for violation in verdict.violations if violation.invariant == "planted")
    assert f"planted was violated {count} times in all" in what(lines, "world")
    assert len(lines) < 250


def test_a_long_simulation_has_a_short_trace():
    lines, verdict = traced(case(240.0, '{"faults": []}', readers=0))
    assert verdict.counts.accepted > 500
    assert len(lines) < 220


def test_where_there_are_many_topics_their_kinds_are_named(lines: list[str]):
    told = what(lines, "feed")
    assert told[0] == "accepted 14: 2 of market.status.*, 10 of market.tick.*, 2 of market.chain.*"
    assert told[1] == "accepted 2: market.tick.QQQ #6, market.chain.QQQ #2"
