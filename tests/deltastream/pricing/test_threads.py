"""Calls from several threads: inputs shared, no lock held, no array read while it is written, none leaked."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from deltastream.pricing import black76

LONG = 1_000_000  # tens of milliseconds in the core
ATTEMPTS = 20  # a busy machine may let a call end before it is looked at


def during(call: Callable[[], Any], look: Callable[[], bool]) -> bool:
    """Whether `look` is ever true while `call` runs in another thread."""
    worker = threading.Thread(target=call)
    worker.start()
    seen = False
    while worker.is_alive() and not seen:
        seen = look()
    worker.join()
    return seen


def test_other_threads_run_during_a_call() -> None:
    strikes, out = np.linspace(50.0, 150.0, LONG), np.empty(LONG)

    def half_done() -> bool:
        """Only code that runs during the call can see its first number, but not its last."""
        return bool(out[0] >= 0.0) and not out[-1] >= 0.0

    for _ in range(ATTEMPTS):
        out[:] = -1.0
        if during(lambda: black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=out), half_done):
            return
    pytest.fail("the lock was held")


@pytest.mark.parametrize("n", [1, 15, 16, 17])
def test_results_are_the_same_with_and_without_the_lock(n: int) -> None:
    strikes = np.linspace(80.0, 120.0, 40)
    whole = black76.price(100.0, strikes, 0.5, 0.2, 0.03, True)
    np.testing.assert_array_equal(black76.price(100.0, strikes[:n], 0.5, 0.2, 0.03, True), whole[:n])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda busy: black76.price(100.0, busy[-8:], 0.5, 0.2, 0.03, True), "strike"),
        (lambda busy: black76.price(100.0, [90.0] * 8, 0.5, 0.2, 0.03, True, out=busy[-8:]), "out"),
    ],
)
def test_what_is_being_written_is_refused(call: Any, name: str) -> None:
    strikes, busy = np.linspace(50.0, 150.0, LONG), np.ones(LONG)

    def is_refused() -> bool:
        """Eight elements do not let the lock go: the other call is never the one to be refused."""
        try:
            call(busy)
        except ValueError as error:
            return str(error) == f"{name} is being used by a call in another thread"
        return False

    for _ in range(ATTEMPTS):
        if during(lambda: black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=busy), is_refused):
            call(busy)
            return
    pytest.fail("it was used while it was written")


def test_what_is_being_read_cannot_be_written() -> None:
    strikes, out = np.linspace(50.0, 150.0, LONG), np.empty(LONG)

    def is_refused() -> bool:
        try:
            black76.price(100.0, [90.0] * 8, 0.5, 0.2, 0.03, True, out=strikes[-8:])
        except ValueError as error:
            return str(error) == "out is being used by a call in another thread"
        return False

    for _ in range(ATTEMPTS):
        if during(lambda: black76.price(100.0, strikes, 0.5, 0.2, 0.03, True, out=out), is_refused):
            return
    pytest.fail("it was written while it was read")


def test_threads_share_inputs(function: Any, arrays_of: Any) -> None:
    n = 20_000
    values = [np.full(n, value) * np.linspace(0.9, 1.1, n) for value in function.usual]
    is_call = np.arange(n) % 2 == 0
    expected = arrays_of(function(*values, is_call))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: function(*values, is_call), range(12)))
    for result in results:
        for one, other in zip(arrays_of(result), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_parts_of_one_array_can_be_written_at_once() -> None:
    strikes, out = np.linspace(50.0, 150.0, 80_000), np.empty(80_000)
    parts = [slice(start, start + 10_000) for start in range(0, 80_000, 10_000)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda p: black76.price(100.0, strikes[p], 0.5, 0.2, 0.03, True, out=out[p]), parts))
    np.testing.assert_array_equal(out, black76.price(100.0, strikes, 0.5, 0.2, 0.03, True))


def test_nothing_is_kept(function: Any, arrays_of: Any) -> None:
    values = [np.full(32, value) for value in function.usual]
    is_call, out = np.ones(32, bool), function.empty(32)
    held = [*values, is_call, out, *arrays_of(out)]
    before = [sys.getrefcount(thing) for thing in held]
    for _ in range(50):
        function(*values, is_call)
        function(*values, is_call, out=out)
        for wrong in ({"out": values[0][:3]}, {"out": None, "nonsense": 1}):
            with pytest.raises((TypeError, ValueError)):
                function(*values, is_call, **wrong)
        with pytest.raises(ValueError, match="broadcast"):
            function(values[0][:5], *values[1:], is_call)
    assert [sys.getrefcount(thing) for thing in held] == before


def test_memory_does_not_grow(function: Any) -> None:
    values = [np.full(32, value) for value in function.usual]

    def calls() -> int:
        for _ in range(60):
            function(*values, True)
            function(*function.usual, True)
            with pytest.raises(ValueError, match="has shape"):
                function(*values, True, out=function.empty(31))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        calls()
        first, last = calls(), calls()
    finally:
        tracemalloc.stop()
    assert abs(last - first) < 5_000
