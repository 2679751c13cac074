"""Guessing gets slower, for whoever guesses, within bounded memory."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from deltastream.accounts import TooManyAttempts
from deltastream.accounts.lockout import ACCOUNT, ADDRESS, Attempts, Delays, network_of

HERE, THERE = "203.0.113.1", "198.51.100.7"


def wait(attempts: Attempts, account: str = "ann", address: str = HERE) -> float:
    try:
        attempts.check(account, address)
    except TooManyAttempts as refused:
        return refused.retry_after_s
    return 0.0


@given(st.integers(0, 10_000))
def test_delays_never_shrink_and_have_an_end(failures: int):
    delays = Delays(free=3, first=1.0, longest=60.0, forget=100.0)
    assert delays.after(failures) <= delays.after(failures + 1) <= 60.0
    assert (delays.after(failures) == 0) == (failures <= 3)


async def test_it_doubles_with_every_failure(autojump_clock: Any):
    attempts = Attempts()
    waits = []
    for _ in range(ACCOUNT.free + 9):
        attempts.failed("ann", "")
        waits.append(wait(attempts, address=""))
        await trio.sleep(waits[-1])
        assert wait(attempts, address="") == 0
    assert waits == [0.0] * ACCOUNT.free + [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_what_was_refused_does_not_lengthen_it(autojump_clock: Any):
    attempts = Attempts()
    for _ in range(ACCOUNT.free + 3):
        attempts.failed("ann", HERE)
    assert wait(attempts) == 4
    for _ in range(100):
        assert wait(attempts) > 0
    await trio.sleep(4)
    assert wait(attempts) == 0


async def test_failures_are_forgotten(autojump_clock: Any):
    attempts = Attempts()
    for _ in range(ACCOUNT.free + 3):
        attempts.failed("ann", "")
    await trio.sleep(ACCOUNT.forget)
    attempts.failed("ann", "")
    assert wait(attempts, address="") == 0


async def test_one_address_cannot_try_everybody(autojump_clock: Any):
    attempts = Attempts()
    for number in range(ADDRESS.free + 1):
        attempts.failed(f"user{number}", HERE)
    assert wait(attempts, "somebody else") == 1
    assert wait(attempts, "somebody else", THERE) == 0


async def test_an_account_of_ones_own_does_not_clear_the_address(autojump_clock: Any):
    attempts = Attempts()
    for number in range(ADDRESS.free + 2):
        attempts.failed(f"user{number}", HERE)
        attempts.failed("mallory", HERE)
        attempts.succeeded("mallory", HERE)
    assert wait(attempts) > 0


async def test_nobody_is_locked_out_where_they_have_been(autojump_clock: Any):
    attempts = Attempts()
    attempts.failed("ann", HERE)
    attempts.succeeded("ann", HERE)
    for number in range(200):
        attempts.failed("ann", f"192.0.2.{number}")
    assert wait(attempts, "ann", THERE) > 0
    assert wait(attempts, "ann", HERE) == 0
    for _ in range(ACCOUNT.free + 1):
        attempts.failed("ann", HERE)
    assert wait(attempts, "ann", HERE) > 0


async def test_what_names_no_account_holds_nobody_up(autojump_clock: Any):
    attempts = Attempts()
    for number in range(100):
        attempts.failed("", f"192.0.2.{number}")
        attempts.failed("", "")
    assert wait(attempts, "", THERE) == wait(attempts, "", "") == wait(attempts, "ann", THERE) == 0


async def test_memory_is_bounded(autojump_clock: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deltastream.accounts.lockout._ENTRIES", 100)
    attempts = Attempts()
    for number in range(1000):
        attempts.failed(f"user{number}", f"192.0.{number % 256}.{number // 256}")
        attempts.succeeded(f"user{number}", f"192.0.{number % 256}.{number // 256}")
        attempts.failed(f"user{number}", HERE)
    assert len(attempts._failures) == len(attempts._known) == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (None, ""),
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix socket", "unix socket"),
        ("x" * 10_000, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address: str | None, network: str):
    assert network_of(address) == network
