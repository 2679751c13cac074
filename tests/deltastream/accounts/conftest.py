"""Accounts over real files and a real bus, in virtual time; secrets drawn from a seed; bcrypt counted."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trio

from deltastream.accounts import (
    AccountService,
    AccountSettings,
    Administration,
    KeyRing,
    SignedIn,
    SqliteAccountStore,
)
from deltastream.seams import InlineThreads, Seams

S = 1_000_000_000
T0 = 1_795_000_000 * S
PASSWORD = "correct horse"
SETTINGS = AccountSettings(bcrypt_cost=4)


class Clock:
    """Goes on with Trio's clock, and can be set."""

    def __init__(self) -> None:
        self.ahead = 0

    def now_ns(self) -> int:
        try:
            return T0 + self.ahead + round(trio.current_time() * S)
        except RuntimeError:  # outside of Trio
            return T0 + self.ahead

    def set_ahead(self, seconds: float) -> None:
        self.ahead += round(seconds * S)


class Ids:
    def __init__(self) -> None:
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"{self._count:016x}"


class SeededSecrets:
    """The same secrets in every run."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def draw(self, count: int) -> bytes:
        return self._rng.randbytes(count)


def make_seams(seed: int = 1) -> Seams:
    return Seams(
        clock=Clock(),
        rng=random.Random(seed),
        ids=Ids(),
        threads=InlineThreads(),
        secrets=SeededSecrets(seed),
    )


@pytest.fixture
def seams() -> Seams:
    return make_seams()


@dataclass
class World:
    """One installation: its files, and as many processes over them as a test opens."""

    directory: Path
    seams: Seams
    settings: AccountSettings = SETTINGS

    def store(self, seams: Seams | None = None) -> SqliteAccountStore:
        return SqliteAccountStore(self.directory / "accounts.db", seams or self.seams)

    def ring(self, seams: Seams | None = None) -> KeyRing:
        return KeyRing(
            self.directory / "accounts.keys", token_s=self.settings.access_s, seams=seams or self.seams
        )

    @asynccontextmanager
    async def gateway(self, *, open_registration: bool = True, **changed: Any) -> AsyncIterator[Accounts]:
        """Another process with these accounts."""
        seams = replace(self.seams, **changed)
        async with self.store(seams) as store:
            ring = self.ring(seams)
            await ring.open()
            administration = Administration(store, seams)
            await administration.first_contact()
            service = AccountService(store, ring, self.settings, seams, open_registration=open_registration)
            yield Accounts(service, administration, store, ring, seams)


@dataclass
class Accounts:
    """What a test works with."""

    service: AccountService
    administration: Administration
    store: SqliteAccountStore
    ring: KeyRing
    seams: Seams

    async def ann(self, **more: Any) -> SignedIn:
        """Register Ann."""
        return await self.service.register("ann@example.org", PASSWORD, "Ann", **more)


@pytest.fixture
def world(tmp_path: Path, seams: Seams) -> World:
    return World(tmp_path, seams)


@pytest.fixture
async def accounts(world: World) -> AsyncIterator[Accounts]:
    async with world.gateway() as opened:
        yield opened


@pytest.fixture
def password() -> str:
    return PASSWORD


@pytest.fixture
def bcrypt_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every call of bcrypt that came to an answer: which function, and its cost."""
    calls: list[tuple[str, int]] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(password: bytes, salt: bytes) -> Any:
            result = function(password, salt)
            calls.append((name, int(salt.split(b"$")[2])))
            return result

        return call

    monkeypatch.setattr(bcrypt, "checkpw", counted("check", bcrypt.checkpw))
    monkeypatch.setattr(bcrypt, "hashpw", counted("hash", bcrypt.hashpw))
    return calls


@pytest.fixture
def fresh_world() -> Callable[[Path], World]:
    """Makes a world for tests that need many."""
    return lambda directory: World(directory, make_seams())
