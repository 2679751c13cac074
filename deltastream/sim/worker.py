"""A simulation in a process of its own: it may hang or die, and can be stopped at any time.

A worker reads cases, a line of JSON each, and answers each with a line. It imports what the process
that has started it imports, and ends when that one does.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE
from typing import IO, Final, NamedTuple

import msgspec
import trio

from deltastream.sim.case import Case, examine
from deltastream.sim.files import remove_scratch
from deltastream.sim.scenario import Scenario
from deltastream.sim.verdict import Counts, Verdict, Violation

__all__ = ["Outcome", "Worker", "main", "open_worker", "patience"]

_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from deltastream.sim.worker import main; main()"
_LAST_WORDS_S: Final = 10.0
_LAST_WORDS: Final = 6000
_MOST_VIOLATIONS: Final = 1000


class Outcome(NamedTuple):
    """What came of a case.

    Attributes:
        verdict: where the process hung or died: without digest, with that as the violation.
        real_s: how long it took.
    """

    case: Case
    verdict: Verdict
    real_s: float


def patience(scenario: Scenario) -> float:
    """Real seconds after which a simulation counts as hung: a hundred times what it takes."""
    return 90.0 + scenario.duration_s / 15.0


@asynccontextmanager
async def open_worker() -> AsyncIterator[Worker]:
    """A worker, whose process is killed at the end.

    Cancellation: kills it at once.
    """
    worker = Worker()
    try:
        yield worker
    finally:
        await worker.close()


class Worker:
    """Runs one case after another in a process; in a new one after it has hung or died.

    Use `open_worker`. Cancellation: a case that is running is lost, and its process killed.
    """

    def __init__(self) -> None:
        self._process: _Process | None = None

    async def run(self, case: Case, limit_s: float | None = None) -> Outcome:
        """What comes of a case.

        Args:
            case: what is simulated.
            limit_s: real seconds after which it counts as hung; `patience` unless given.
        """
        limit_s = patience(case.scenario) if limit_s is None else limit_s
        try:
            if self._process is None:
                self._process = await _Process.start()
                await self._process.ready()
            start = trio.current_time()
            with trio.move_on_after(limit_s) as scope:
                answer = await self._process.ask(msgspec.json.encode(case))
            if scope.cancelled_caught:
                told = await self._end(f"no verdict after {limit_s:g} s; ", hung=True)
                verdict = _failed(case, "process_hung", told)
            elif answer is None:
                verdict = _failed(case, "process_died", await self._end())
            else:
                verdict = msgspec.json.decode(answer, type=Verdict)
        except BaseException:
            await self.close()
            raise
        return Outcome(case, verdict, trio.current_time() - start)

    async def close(self) -> None:
        """Kill the process, if there is one. Cancellation: no effect, it takes no time."""
        if self._process is not None:
            with trio.CancelScope(shield=True):
                await self._process.kill()
            self._process = None

    async def _end(self, why: str = "", *, hung: bool = False) -> str:
        """End a process that is of no use any more; what is to be said of it."""
        assert self._process is not None
        end = await self._process.end(hung=hung)
        await self.close()
        return why + end


class _Process:
    """The process, and the way to it."""

    def __init__(self, process: trio.Process, errors: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._cases = process.stdin
        self._verdicts = process.stdout
        self._errors = errors
        self._read = bytearray()

    @classmethod
    async def start(cls) -> _Process:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by kill)
        try:
            command = [sys.executable, "-c", _PROGRAM, *sys.path]
            process = await trio.lowlevel.open_process(
                command, stdin=PIPE, stdout=PIPE, stderr=errors, start_new_session=True
            )
        except BaseException:
            errors.close()
            raise
        return cls(process, errors)

    async def ready(self) -> None:
        """Wait until it can be asked, or has ended."""
        await self._line()

    async def ask(self, line: bytes) -> bytes | None:
        """The line that answers a line; None if the process has ended instead."""
        try:
            await self._cases.send_all(line + b"\n")
        except trio.BrokenResourceError:
            return None
        return await self._line()

    async def _line(self) -> bytes | None:
        while b"\n" not in self._read:
            some = await self._verdicts.receive_some()
            if not some:
                return None
            self._read += some
        line, _, self._read = self._read.partition(b"\n")
        return bytes(line)

    async def end(self, *, hung: bool) -> str:
        """Wait for its end; where it hangs, it tells where before. How it ended, and what it said last."""
        if hung:
            self._process.send_signal(signal.SIGABRT)
        with trio.move_on_after(_LAST_WORDS_S):
            await self._process.wait()
        self._errors.seek(max(self._errors.seek(0, os.SEEK_END) - _LAST_WORDS, 0))
        said = self._errors.read().decode(errors="replace").strip()
        return f"the process {_fate(self._process.returncode)}" + (f":\n{said}" if said else "")

    async def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        remove_scratch(self._process.pid)
        await self._cases.aclose()
        await self._verdicts.aclose()
        self._errors.close()


def _fate(code: int | None) -> str:
    if code is None:
        return "does not end"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"has ended with code {code}"


def _failed(case: Case, invariant: str, detail: str) -> Verdict:
    return Verdict(
        scenario=case.scenario,
        plan=case.plan,
        digest="",
        counts=Counts(),
        virtual_s=0.0,
        violations=(Violation(invariant, 0.0, detail),),
    )


def main() -> None:
    """The worker's own end: say that it is ready, then answer cases until there are no more."""
    faulthandler.enable()
    verdicts = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by anybody else is no verdict
    verdicts.write(b"\n")
    verdicts.flush()
    for line in sys.stdin.buffer:
        case = msgspec.json.decode(line, type=Case)
        signal.alarm(round(2 * patience(case.scenario)))  # should whoever waits for it be gone
        verdict = examine(case)
        if len(verdict.violations) > _MOST_VIOLATIONS:
            verdict = msgspec.structs.replace(verdict, violations=verdict.violations[:_MOST_VIOLATIONS])
        verdicts.write(msgspec.json.encode(verdict) + b"\n")
        verdicts.flush()
