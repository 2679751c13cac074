"""How a simulated case, what came of it and what is wrong with it are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from deltastream.cli._output import age, clean, table
from deltastream.errors import DeltaStreamError
from deltastream.sim.case import Case
from deltastream.sim.promises import PROMISES
from deltastream.sim.verdict import Verdict
from deltastream.sim.words import describe_fault, describe_scenario, plural

__all__ = ["by_kind", "print_case", "report", "save_case", "violations"]

_FAULTS: Final = 12
_INDENT: Final = " " * 16


def print_case(out: Console, case: Case, verdict: Verdict, real_s: float, file: Path | None = None) -> None:
    """Say what was simulated and what came of it; where it failed, how to have it again."""
    shown = table("", "")
    shown.show_header = False
    for name, text in _rows(case, verdict, real_s):
        shown.add_row(Text(name, "dim"), text)
    out.print(shown)
    if verdict.ok:
        out.print(Text("Every promise was kept.", "green"))
        return
    count = len(verdict.violations)
    out.print(Text(f"{plural(count, 'violation')}:", "bold red"))
    for line in violations(verdict):
        out.print(line, soft_wrap=True)
    out.print(Text("Again: ").append(case.command(file), "bold"), soft_wrap=True)


def report(case: Case, verdict: Verdict, real_s: float, file: Path | None = None) -> dict[str, Any]:
    """The same for machines. All but `real_s` is the same for the same case everywhere."""
    return {
        "ok": verdict.ok,
        "seed": case.scenario.seed,
        "digest": verdict.digest,
        "virtual_s": verdict.virtual_s,
        "real_s": round(real_s, 3),
        "counts": verdict.counts,
        "violations": verdict.violations,
        "command": case.command(file),
        "scenario": case.scenario,
        "plan": case.plan,
    }


def violations(verdict: Verdict, *, alike: int = 3) -> Iterator[Text]:
    """The violations in the order seen, of each kind the first few; what was promised, once."""
    seen: Counter[str] = Counter()
    for violation in verdict.violations:
        name = violation.invariant
        seen[name] += 1
        if seen[name] > alike:
            continue
        head, *rest = violation.detail.splitlines() or [""]
        yield Text(f"  {violation.at:10.3f} s  ").append(name, "red").append(": ").append_text(clean(head))
        yield from (Text(_INDENT).append_text(clean(line)) for line in rest)
        if seen[name] == 1 and name in PROMISES:
            yield Text(f"{_INDENT}promised: {PROMISES[name]}", "dim")
    more = {name: count - alike for name, count in seen.items() if count > alike}
    if more:
        yield Text(f"{_INDENT}and more: {by_kind(more)}")


def save_case(folder: Path, name: str, case: Case) -> Path:
    """Write a case to a file of that name in a folder, which is made.

    Raises:
        DeltaStreamError: it cannot be written.
    """
    file = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(case.to_json())
    except OSError as error:
        raise DeltaStreamError(f"{file} cannot be written: {error.strerror or error}.") from error
    return file


def by_kind(counts: Mapping[str, int]) -> str:
    """Numbers by name, the largest first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ranked if count) or "none"


def _rows(case: Case, verdict: Verdict, real_s: float) -> Iterator[tuple[str, Text]]:
    counts = verdict.counts
    yield "scenario", Text(describe_scenario(case.scenario))
    for number, fault in enumerate(case.plan.faults[:_FAULTS]):
        line = f"{fault.at:9.3f} s  #{fault.id} {describe_fault(fault)}"
        yield "" if number else "plan", Text(line)
    if not case.plan.faults:
        yield "plan", Text("nothing goes wrong")
    if len(case.plan.faults) > _FAULTS:
        yield "", Text(f"and {len(case.plan.faults) - _FAULTS:,} more: {by_kind(case.plan.counts())}")
    struck = sum(counts.struck.values())
    yield "faults", Text(f"{len(case.plan.faults):,} planned, {struck:,} struck: {by_kind(counts.struck)}")
    messages = f"{counts.accepted:,} accepted, {counts.enriched:,} enriched, {counts.stored:,} stored"
    yield "messages", Text(f"{messages}, {plural(counts.gaps, 'gap')} told to readers")
    died = f"{plural(counts.kills, 'process', 'es')} killed, {counts.gave_up:,} gave up"
    yield "process", Text(f"started {plural(counts.starts, 'time')}: {died}")
    yield "checked", Text(f"{plural(len(PROMISES), 'invariant')}, each second and at the end")
    yield "digest", Text(verdict.digest or "none")
    rate = f", {verdict.virtual_s / real_s:,.0f} times as fast" if real_s > 0 else ""
    yield "took", Text(f"{age(real_s)} for {age(verdict.virtual_s)} of virtual time{rate}")
