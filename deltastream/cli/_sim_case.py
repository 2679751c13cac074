"""One case: run, traced, shrunk, and what is shown of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final, TextIO

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deltastream.cli._interrupt import until_interrupted
from deltastream.cli._output import console, print_json
from deltastream.cli._sim_view import print_case, report, save_case
from deltastream.errors import DeltaStreamError
from deltastream.seams import Seams
from deltastream.sim import Part, World
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.shrink import Shrinker
from deltastream.sim.trace import Trace
from deltastream.sim.words import plural
from deltastream.sim.worker import Outcome, open_worker

__all__ = ["Options", "case_of", "fresh_seed", "run_case", "shrink_case"]

Options = tuple[float | str | None, int | None, str | None]
"""Duration, readers and faults, as the command line's options say."""

_FRESH: Final = 10**9


def fresh_seed() -> int:
    """A seed that nobody has chosen."""
    return Seams.system().rng.randrange(_FRESH)


def case_of(seed: int | None, options: Options, plan: str | None) -> tuple[Case, Path | None]:
    """The case that options describe, or a file holds; and the file that holds all of it.

    Raises:
        CaseRefused: the file cannot be used.
    """
    if plan is None:
        return Case.of(scenario_of(fresh_seed() if seed is None else seed, *options)), None
    case, whole = Case.read(Path(plan), scenario_of(seed or 0, *options))
    if whole and (seed is not None or any(option is not None for option in options)):
        raise click.UsageError(f"{plan} tells what is simulated: give no seed, duration, readers or faults.")
    if not whole and seed is None:
        raise click.UsageError(f"{plan} holds faults alone: give the --seed of what they strike.")
    return case, Path(plan) if whole else None


def run_case(case: Case, file: Path | None, trace: str | None, folder: Path, *, as_json: bool) -> bool:
    """Run a case and show what came of it; whether every promise was kept."""
    outcome = _run(case, trace)
    if not outcome.verdict.ok and case.options is None and file is None:
        file = save_case(folder, str(case.scenario.seed), case)
    _show(outcome, file, as_json)
    return outcome.verdict.ok


def shrink_case(case: Case, file: Path | None, trace: str | None, folder: Path, *, as_json: bool) -> bool:
    """Run a case; where it fails, reduce it, save and show what is left; whether it was good."""
    found, shrinker = trio.run(_shrunk, case)
    if shrinker is None:
        click.echo("There is nothing to shrink.", err=True)
        _show(found, None, as_json)
        return True
    if not as_json:
        print_case(console(), *found, file)
    file = save_case(folder, f"{case.scenario.seed}-{shrinker.invariant}", shrinker.case)
    if not as_json:
        click.echo(f"\nReduced in {plural(shrinker.runs, 'run')} to {_extent(shrinker.case)}: {file}\n")
    if trace is not None:
        shrinker.smallest = _run(shrinker.case, trace)
    _show(shrinker.smallest, file, as_json)
    return False


async def _shrunk(case: Case) -> tuple[Outcome, Shrinker | None]:
    """What came of a case; where it failed, the search for a smaller one, ended."""
    err = console(stderr=True)
    async with open_worker() as worker:
        with err.status(f"Simulating seed {case.scenario.seed}"):
            found = await worker.run(case)
        if found.verdict.ok:
            return found, None
        with _progress_of_search(err) as tell:
            shrinker = Shrinker(found, worker.run, tell)
            await until_interrupted(shrinker.run)
    return found, shrinker


@contextmanager
def _progress_of_search(err: Console) -> Iterator[Callable[[Shrinker], None]]:
    """How far a search is: on one line of a terminal; elsewhere a line for each smaller case."""
    best: Case | None = None
    with err.status("Shrinking") as status:

        def tell(shrinker: Shrinker) -> None:
            nonlocal best
            case = shrinker.smallest.case
            line = f"Shrinking {shrinker.invariant}: {plural(shrinker.runs, 'run')}, {_extent(case)}"
            if err.is_terminal:
                status.update(f"{line}; Ctrl-C takes that")
            elif case != best:
                click.echo(line, err=True)
            best = case

        yield tell


def _extent(case: Case) -> str:
    scenario = case.scenario
    faults, products = plural(len(case.plan.faults), "fault"), plural(len(scenario.products), "product")
    return f"{faults}, {products}, {plural(scenario.readers, 'reader')}, {scenario.duration_s:g} s"


def _run(case: Case, trace: str | None) -> Outcome:
    """What comes of a case, in this process; with a trace where one is asked for.

    Raises:
        DeltaStreamError: the trace cannot be written.
    """
    clock = Seams.system().clock
    with _progress(case) as progress, _traced(trace) as traced:
        began = clock.now_ns()
        verdict = examine(case, [*traced, progress])
        return Outcome(case, verdict, (clock.now_ns() - began) / 1e9)


@contextmanager
def _progress(case: Case) -> Iterator[Part]:
    """How far a simulation is, on standard error where that is a terminal."""
    err = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(f"seed {case.scenario.seed}", total=case.scenario.duration_s)

        def attach(world: World) -> None:
            async def look() -> None:
                bar.update(task, completed=world.now())

            if err.is_terminal:
                world.every_second.append(look)

        yield attach


@contextmanager
def _traced(name: str | None) -> Iterator[Sequence[Part]]:
    """A trace to a file, or to standard output; nothing where none is asked for."""
    if name is None:
        yield ()
        return
    try:
        with nullcontext(sys.stdout) if name == "-" else open(name, "w", encoding="utf-8") as stream:
            lines = _Lines(stream)
            yield (Trace(lines.write).attach,)
            lines.finish()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DeltaStreamError(f"{name} cannot be written: {error.strerror or error}.") from error


class _Lines:
    """Writes lines until one cannot be written: that is told at the end, a simulation knows no such error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def write(self, line: str) -> None:
        if self._error is None:
            try:
                self._stream.write(line)
            except OSError as error:
                self._error = error

    def finish(self) -> None:
        if self._error is not None:
            raise self._error
        self._stream.flush()


def _show(outcome: Outcome, file: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(report(*outcome, file))
    else:
        print_case(console(), *outcome, file)
