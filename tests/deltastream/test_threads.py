"""Real worker threads, as the system's seams give them."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest
import trio

from deltastream.seams import Seams

NAME: ContextVar[str] = ContextVar("NAME")


async def test_what_the_work_returns_or_raises_is_had_from_another_thread():
    threads = Seams.system().threads
    assert await threads.run(threading.get_ident) != threading.get_ident()
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


async def test_the_work_sees_the_context_of_who_asks():
    NAME.set("asked")
    assert await Seams.system().threads.run(NAME.get) == "asked"


@pytest.mark.parametrize("limit", [1, 2])
async def test_no_more_run_at_once_than_may(limit: int):
    threads, limiter = Seams.system().threads, trio.CapacityLimiter(limit)
    at_once, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(limit)

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait(timeout=10)
        with lock:
            at_once -= 1

    async def ask() -> None:
        await threads.run(work, limiter=limiter)

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask)
    assert most == limit
    assert limiter.borrowed_tokens == 0


async def test_a_failure_leaves_room_for_the_next():
    threads, limiter = Seams.system().threads, trio.CapacityLimiter(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 1, 0, limiter=limiter)
    assert limiter.borrowed_tokens == 0


async def test_work_that_runs_is_waited_for_and_its_result_had_though_cancelled():
    threads = Seams.system().threads
    begun, go_on = threading.Event(), threading.Event()
    results = []

    def work() -> str:
        begun.set()
        go_on.wait(timeout=10)
        return "done"

    async def ask() -> None:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel, scope)
            results.append(await threads.run(work))
            await trio.lowlevel.checkpoint()
        results.append(scope.cancelled_caught)

    async def cancel(scope: trio.CancelScope) -> None:
        await trio.to_thread.run_sync(begun.wait, 10)
        scope.cancel()
        await trio.sleep(0.01)
        assert results == []
        go_on.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
    assert results == ["done", True]


async def test_work_is_not_begun_by_who_is_cancelled():
    done: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await Seams.system().threads.run(done.append, 1)
    assert scope.cancelled_caught
    assert done == []
