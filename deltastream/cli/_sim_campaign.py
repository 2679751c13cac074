"""A campaign at the command line: how far it is, what fails, and the sum at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from deltastream.cli._interrupt import until_interrupted
from deltastream.cli._output import age, console, print_json, table
from deltastream.cli._sim_case import Options
from deltastream.cli._sim_view import by_kind, save_case, violations
from deltastream.sim.campaign import Summary, campaign
from deltastream.sim.case import Case, scenario_of
from deltastream.sim.words import plural
from deltastream.sim.worker import Outcome

__all__ = ["run_campaign"]

_LINE_S: Final = 30.0
_FRAME_S: Final = 0.25
_TOLD: Final = 10
"""So many failures are told in full; all of them are saved."""


def run_campaign(
    seeds: Iterable[int],
    options: Options,
    folder: Path,
    *,
    for_s: float | None,
    jobs: int | None,
    as_json: bool,
) -> bool:
    """Run the seeds, or as many as there is time for; whether every promise was kept.

    Cases that failed are written into the folder. Ctrl-C ends it with the sum of what was done.
    """
    return trio.run(partial(_run, seeds, options, folder, for_s, jobs or _cores(), as_json))


async def _run(
    seeds: Iterable[int], options: Options, folder: Path, for_s: float | None, jobs: int, as_json: bool
) -> bool:
    summary = Summary()
    err = console(stderr=True)
    cases = (Case.of(scenario_of(seed, *options)) for seed in seeds)
    files: dict[int, Path] = {}
    with _progress(err, len(seeds) if isinstance(seeds, Sized) else None, for_s) as progress:

        def tell(outcome: Outcome) -> None:
            if not outcome.verdict.ok:
                seed = outcome.case.scenario.seed
                files[seed] = save_case(folder, str(seed), outcome.case)
                if len(files) <= _TOLD:
                    for line in _failure(outcome, files[seed]):
                        err.print(line, soft_wrap=True)

        async def work() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_show_progress, progress, summary)
                await campaign(cases, summary, jobs=jobs, for_s=for_s, tell=tell)
                nursery.cancel_scope.cancel(reason="the campaign is over")

        interrupted = await until_interrupted(work)
    if as_json:
        print_json(_report(summary, files, interrupted))
    else:
        _print(console(), summary, files, jobs, interrupted)
    return summary.ok


async def _show_progress(progress: Callable[[Summary], None], summary: Summary) -> None:
    while True:
        progress(summary)
        await trio.sleep(_FRAME_S)


@contextmanager
def _progress(err: Console, seeds: int | None, for_s: float | None) -> Iterator[Callable[[Summary], None]]:
    """A bar in a terminal; elsewhere a line now and then. To be called some times a second."""
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    begun = trio.current_time()
    told = begun

    def share(summary: Summary) -> float:
        by_time = (trio.current_time() - begun) / for_s if for_s else 0.0
        by_seeds = len(summary.rows) / seeds if seeds else 0.0
        return min(max(by_time, by_seeds), 1.0)

    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0)

        def show(summary: Summary) -> None:
            nonlocal told
            line = _standing(summary)
            if err.is_terminal:
                bar.update(task, completed=share(summary), description=line)
            elif trio.current_time() - told >= _LINE_S:
                told = trio.current_time()
                err.print(f"{share(summary):4.0%}  {line}")

        yield show


def _standing(summary: Summary) -> str:
    failed = f", {len(summary.failures):,} failed" if summary.failures else ""
    return f"{plural(len(summary.rows), 'seed')}, {age(summary.virtual_s)} simulated{failed}"


def _failure(outcome: Outcome, file: Path) -> Iterator[Text]:
    """What is wrong with a seed, and the line that has it again."""
    yield Text(f"seed {outcome.case.scenario.seed} fails: ", "bold red").append(
        plural(len(outcome.verdict.violations), "violation"), "default"
    )
    yield from violations(outcome.verdict, alike=1)
    yield Text("  again: ").append(outcome.case.command(file), "bold")


def _print(out: Console, summary: Summary, files: dict[int, Path], jobs: int, interrupted: bool) -> None:
    shown = table("", "")
    shown.show_header = False
    counts, slowest = summary.counts, summary.slowest
    messages = (
        f"{counts['accepted']:,} accepted, {counts['enriched']:,} enriched, {counts['stored']:,} stored"
    )
    faults = f"{summary.planned.total():,} planned, {summary.struck.total():,} struck"
    for name, text in (
        ("seeds", _reach(summary, interrupted)),
        ("time", _speed(summary, jobs)),
        ("messages", messages),
        ("hosts", f"{counts['starts']:,} started, {counts['kills']:,} killed, {counts['gave_up']:,} gave up"),
        ("faults", f"{faults}: {by_kind(summary.struck)}"),
        ("digests", f"{summary.distinct:,} different"),
        ("slowest", f"seed {slowest.seed}: {age(slowest.real_s)}" if slowest else "-"),
    ):
        shown.add_row(Text(name, "dim"), text)
    out.print(shown)
    if summary.ok:
        out.print(Text("Every promise was kept." if summary.rows else "No seed was finished.", "green"))
        return
    out.print(Text(f"{plural(len(summary.failures), 'seed')} failed:", "bold red"))
    for outcome in sorted(summary.failures, key=lambda outcome: outcome.case.scenario.seed):
        invariants = ", ".join(dict.fromkeys(v.invariant for v in outcome.verdict.violations))
        file = files[outcome.case.scenario.seed]
        out.print(
            Text("  ").append(outcome.case.command(file), "bold").append(f"  {invariants} ({file})"),
            soft_wrap=True,
        )


def _reach(summary: Summary, interrupted: bool) -> str:
    seeds = [row.seed for row in summary.rows]
    reach = f", from {min(seeds)} to {max(seeds)}" if seeds else ""
    return f"{len(seeds):,}{reach}{', interrupted' if interrupted else ''}"


def _speed(summary: Summary, jobs: int) -> str:
    rate = f", {summary.virtual_s / summary.real_s:,.0f} times as fast" if summary.real_s else ""
    minutes = f"{len(summary.rows) / summary.real_s * 60:,.0f} seeds a minute" if summary.real_s else ""
    where = plural(jobs, "process", "es")
    return f"{age(summary.virtual_s)} simulated in {age(summary.real_s)} on {where}{rate}; {minutes}"


def _report(summary: Summary, files: dict[int, Path], interrupted: bool) -> dict[str, Any]:
    """The same for machines; the seeds in order, so that two campaigns can be laid side by side."""
    return {
        "ok": summary.ok,
        "interrupted": interrupted,
        "real_s": round(summary.real_s, 3),
        "virtual_s": summary.virtual_s,
        "counts": summary.counts,
        "planned": summary.planned,
        "struck": summary.struck,
        "distinct_digests": summary.distinct,
        "slowest": summary.slowest,
        "failures": [
            {
                "seed": outcome.case.scenario.seed,
                "command": outcome.case.command(files[outcome.case.scenario.seed]),
                "file": str(files[outcome.case.scenario.seed]),
                "violations": outcome.verdict.violations,
            }
            for outcome in sorted(summary.failures, key=lambda outcome: outcome.case.scenario.seed)
        ],
        "seeds": sorted(summary.rows, key=lambda row: row.seed),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0))
