"""Sessions against a model, in virtual time: any order of logins, refreshes, replays and endings.

The model keeps every token that was ever given, and knows of each whether it is the newest of its
session, when it was used, and what followed it. Each rule reopens everything, as after a crash.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from deltastream.accounts import (
    AccountService,
    AccountSettings,
    Administration,
    InvalidToken,
    KeyRing,
    SqliteAccountStore,
)
from deltastream.seams import InlineThreads, Seams

S = 1_000_000_000
GRACE_S = 10.0
SETTINGS = AccountSettings(bcrypt_cost=4, access_s=900, refresh_s=3600, session_s=7200)


@dataclass
class Family:
    """What must be true of one session."""

    user: str
    began: float
    alive: bool = True


@dataclass
class Given:
    """One pair of tokens that was given out."""

    family: Family
    access: str
    access_until: float
    refresh: str
    refresh_until: float
    used: float | None = None
    successor: Given | None = None


class SessionMachine(RuleBasedStateMachine):
    """Time moves only by `wait`."""

    given = Bundle("given")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now = 0.0
        self.families: list[Family] = []
        rng = random.Random(7)
        ids = iter(f"{number:016x}" for number in range(1, 1 << 30))
        machine = self

        class Clock:
            def now_ns(self) -> int:
                return round((1_795_000_000 + machine.now) * S)

        class Ids:
            def new(self) -> str:
                return next(ids)

        class Secrets:
            def draw(self, count: int) -> bytes:
                return rng.randbytes(count)

        self.seams = Seams(
            clock=Clock(), rng=random.Random(1), ids=Ids(), threads=InlineThreads(), secrets=Secrets()
        )

        async def populate(_: AccountService, administration: Administration) -> None:
            await administration.first_contact()
            for name in "ab":
                await administration.add_user(f"{name}@example.org", name, "user")

        self.on(populate)

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    def on(self, work: Callable[[AccountService, Administration], Awaitable[Any]]) -> Any:
        """Open everything, do it, close everything."""

        async def main() -> Any:
            ring = KeyRing(self.directory / "keys", token_s=900, seams=self.seams)
            await ring.open()
            async with SqliteAccountStore(self.directory / "accounts.db", self.seams) as store:
                service = AccountService(store, ring, SETTINGS, self.seams)
                return await work(service, Administration(store, self.seams))

        return trio.run(main)

    def tokens(self, family: Family, signed_in: Any) -> Given:
        end = family.began + SETTINGS.session_s
        return Given(
            family,
            signed_in.access,
            min(self.now + SETTINGS.access_s, end),
            signed_in.refresh,
            min(self.now + SETTINGS.refresh_s, end),
        )

    @rule(target=given, user=st.sampled_from("ab"))
    def login(self, user: str) -> Given:
        async def work(service: AccountService, administration: Administration) -> Any:
            link = await administration.link(f"{user}@example.org")
            return await service.login_with_link(link.token)

        family = Family(user, self.now)
        self.families.append(family)
        return self.tokens(family, self.on(work))

    @rule(target=given, one=given)
    def refresh(self, one: Given) -> Given:
        """With the newest token, or with one used before: within the grace, or after it."""

        async def work(service: AccountService, _: Administration) -> Any:
            try:
                return await service.refresh(one.refresh)
            except InvalidToken as refused:
                return refused.reason

        answer = self.on(work)
        if not one.family.alive:
            assert answer in ("revoked", "unknown")  # purged, once it has expired
        elif self.now >= one.refresh_until:
            assert answer in ("expired", "unknown")
        elif one.used is None:
            one.used = self.now
            one.successor = self.tokens(one.family, answer)
            assert one.successor.refresh != one.refresh
            return one.successor
        elif self.now - one.used <= GRACE_S:
            newest = one
            while newest.successor is not None:
                newest = newest.successor
            assert answer.refresh == newest.refresh
        else:
            assert answer == "reused"
            one.family.alive = False
        return one

    @rule(one=given)
    def authenticate(self, one: Given) -> None:
        async def work(service: AccountService, _: Administration) -> str | None:
            try:
                return (await service.authenticate(one.access)).email
            except InvalidToken as refused:
                return refused.reason

        answer = self.on(work)
        if self.now >= one.access_until:
            assert answer == "expired"
        elif one.family.alive:
            assert answer == f"{one.family.user}@example.org"
        else:
            assert answer == "revoked"

    @rule(one=consumes(given))
    def logout(self, one: Given) -> None:
        self.on(lambda service, _: service.logout_with_refresh(one.refresh))
        one.family.alive = False

    @rule(user=st.sampled_from("ab"))
    def logout_everywhere(self, user: str) -> None:
        self.on(lambda _, administration: administration.logout(f"{user}@example.org"))
        for family in self.families:
            family.alive = family.alive and family.user != user

    @rule(seconds=st.sampled_from([1.0, 4.0, 10.0, 11.0, 600.0, 1800.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def purge(self) -> None:
        async def work(service: AccountService, _: Administration) -> None:
            await service._store.purge(grace_s=GRACE_S)

        if all(family.began + SETTINGS.session_s > self.now for family in self.families):
            self.on(work)

    @invariant()
    def one_token_of_a_session_is_unused(self) -> None:
        with sqlite3.connect(self.directory / "accounts.db") as db:
            loose = db.execute(
                "SELECT count(*) FROM refresh_tokens WHERE used IS NULL GROUP BY session"
            ).fetchall()
        db.close()
        assert {count for (count,) in loose} <= {1}


SessionMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSessions = SessionMachine.TestCase
