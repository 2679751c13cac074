"""bcrypt: one run whatever the answer, one thread, nothing cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bcrypt
import pytest
import trio

from deltastream.accounts.passwords import Passwords
from deltastream.seams import Seams


@pytest.fixture
def passwords(seams: Seams) -> Passwords:
    return Passwords(4, seams)


async def test_a_hash_fits_its_password_alone(passwords: Passwords):
    stored = await passwords.hash(b"correct horse")
    assert stored.startswith("$2b$04$")
    assert len(stored) == 60
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("correct horsf", stored)
    assert bcrypt.checkpw(b"correct horse", stored.encode())


async def test_salts_come_from_the_secrets_and_differ(passwords: Passwords, seams: Seams):
    hashes = {await passwords.hash(b"correct horse") for _ in range(8)}
    assert len(hashes) == 8


async def test_no_byte_of_72_is_lost(passwords: Passwords):
    stored = await passwords.hash(b"x" * 71 + b"a")
    assert await passwords.verify("x" * 71 + "a", stored)
    assert not await passwords.verify("x" * 71 + "b", stored)
    assert not await passwords.verify("x" * 71 + "a" + "tail", stored)


@pytest.mark.parametrize("typed", ["x" * 73, "x" * 5_000_000, "nul\0nul nul", "\ud800", "", "wrong"])
@pytest.mark.parametrize("known", [True, False])
async def test_every_answer_costs_one_run(
    passwords: Passwords, bcrypt_calls: list[Any], typed: str, known: bool
):
    stored = await passwords.hash(b"correct horse") if known else None
    bcrypt_calls.clear()
    assert not await passwords.verify(typed, stored)
    assert bcrypt_calls == [("check", 4)]


async def test_what_is_too_long_is_not_taken_for_nothing(passwords: Passwords):
    assert not await passwords.verify("x" * 73, await passwords.hash(b""))


async def test_nobodys_password_is_not_empty(passwords: Passwords):
    assert not await passwords.verify("", None)


@pytest.mark.parametrize("stored", ["", "garbage", "$2b$04$short", "$1$md5", "$2b$99$" + "a" * 53])
async def test_a_broken_hash_lets_nobody_in_and_is_told(
    passwords: Passwords, bcrypt_calls: list[Any], stored: str, capsys: pytest.CaptureFixture[str]
):
    assert not await passwords.verify("correct horse", stored)
    assert bcrypt_calls[-1] == ("check", 4)
    out = capsys.readouterr().out
    assert "password_hash_malformed" in out
    assert "correct horse" not in out


async def test_a_change_of_cost_is_seen(passwords: Passwords, seams: Seams):
    stored = await passwords.hash(b"correct horse")
    assert not passwords.is_outdated(stored)
    assert Passwords(5, seams).is_outdated(stored)


async def test_one_runs_at_a_time(seams: Seams):
    """In real threads: never two inside of bcrypt, and always away from the event loop."""
    inside, most = 0, 0

    class Watched:
        async def run(self, fn: Any, *args: Any, limiter: trio.CapacityLimiter | None = None) -> Any:
            nonlocal inside, most

            def work() -> Any:
                nonlocal inside, most
                inside += 1
                most = max(most, inside)
                try:
                    return fn(*args)
                finally:
                    inside -= 1

            return await trio.to_thread.run_sync(work, limiter=limiter)

    passwords = Passwords(4, replace(seams, threads=Watched()))
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(passwords.verify, "wrong", None)
    assert most == 1
