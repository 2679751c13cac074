"""Simulations in processes of their own: as in this one, and what becomes of those that hang or die."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from deltastream.sim import files
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.worker import open_worker, patience

QUICK = Case.of(scenario_of(1, 6.0, 1, "none"))


def case(seed: int) -> Case:
    return Case.of(scenario_of(seed, 6.0, 1, "none"))


def left_behind(pid: int) -> Iterator[Path]:
    return files._where().glob(f"deltastream-sim-{pid:07d}-*")


def test_the_verdict_is_that_of_this_process():
    async def asked() -> list:
        with trio.fail_after(60):
            async with open_worker() as worker:
                return [await worker.run(case(seed)) for seed in (1, 2, 1)]

    first, second, again = trio.run(asked)
    assert first.case == QUICK
    assert first.verdict.ok
    assert first.verdict.digest == examine(QUICK).digest == again.verdict.digest
    assert second.verdict.digest != first.verdict.digest
    assert all(0 < each.real_s < 60 for each in (first, second, again))


async def test_a_process_that_dies_is_a_failure_and_the_next_case_gets_another(plant):
    plant("if seed == 2: os.kill(os.getpid(), signal.SIGKILL)\nreturn examine(case)")
    with trio.fail_after(60):
        async with open_worker() as worker:
            good, dead, after = [await worker.run(case(seed)) for seed in (1, 2, 3)]
    assert good.verdict.ok
    assert after.verdict.ok
    (violation,) = dead.verdict.violations
    assert (violation.invariant, violation.detail) == ("process_died", "the process was ended by SIGKILL")
    assert (dead.case, dead.verdict.scenario.seed, dead.verdict.digest) == (case(2), 2, "")


async def test_what_a_dying_process_says_is_told(plant):
    plant("raise RuntimeError('a defect of the simulation')")
    with trio.fail_after(60):
        async with open_worker() as worker:
            outcome = await worker.run(QUICK)
    (violation,) = outcome.verdict.violations
    assert violation.invariant == "process_died"
    assert violation.detail.startswith("the process has ended with code 1:\nTraceback")
    assert violation.detail.endswith("RuntimeError: a defect of the simulation")


async def test_a_process_that_hangs_is_ended_and_tells_where_it_was(plant):
    plant("def loops_for_ever():\n    while True: pass\nif seed == 2: loops_for_ever()\nreturn examine(case)")
    with trio.fail_after(60):
        async with open_worker() as worker:
            first = await worker.run(case(1))
            hung = await worker.run(case(2), limit_s=0.3)
            after = await worker.run(case(3))
    assert first.verdict.ok
    assert after.verdict.ok
    (violation,) = hung.verdict.violations
    assert violation.invariant == "process_hung"
    assert violation.detail.startswith("no verdict after 0.3 s; the process was ended by SIGABRT:\n")
    assert "in loops_for_ever" in violation.detail


async def test_what_is_printed_is_no_verdict(plant):
    plant("print('{}')\nprint('x' * 200_000)\nprint('y' * 200_000, file=sys.stderr)\nreturn examine(case)")
    with trio.fail_after(60):
        async with open_worker() as worker:
            assert (await worker.run(QUICK)).verdict.ok


async def test_of_very_many_violations_the_first_are_told(plant):
    plant(
        "verdict = examine(case)\n"
        "found = tuple(Violation('many', n / 1000, 'x' * 50) for n in range(5000))\n"
        "return replace(verdict, violations=found)"
    )
    with trio.fail_after(60):
        async with open_worker() as worker:
            verdict = (await worker.run(QUICK)).verdict
    assert len(verdict.violations) == 1000
    assert verdict.violations[-1].at == 0.999


async def test_cancellation_kills_the_process_and_leaves_nothing(plant, tmp_path: Path):
    told = tmp_path / "pid"
    plant(
        f"from deltastream.sim.files import scratch_directory\n"
        f"with scratch_directory() as path:\n"
        f"    (path / 'file').write_text('x')\n"
        f"    open({str(told)!r}, 'w').write(str(os.getpid()))\n"
        f"    time.sleep(60)"
    )
    with trio.fail_after(60):
        async with open_worker() as worker, trio.open_nursery() as nursery:
            nursery.start_soon(worker.run, QUICK)
            while not (told.exists() and told.read_text()):  # noqa: ASYNC110 (of another process)
                await trio.sleep(0.01)
            pid = int(told.read_text())
            assert len(list(left_behind(pid))) == 1
            nursery.cancel_scope.cancel()
    assert list(left_behind(pid)) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_patience_is_generous():
    assert patience(scenario_of(1)) > 60
    assert patience(scenario_of(1, "session")) > 1200
