"""A right taken away is gone everywhere within a second, whoever took it and whatever fails meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from deltastream.accounts import TOPIC, Administration, InvalidToken
from deltastream.bus import BusSettings, open_bus
from deltastream.errors import StoreUnavailable
from deltastream.messages import Revocation

ANN = "ann@example.org"


@pytest.fixture
async def bus(world: Any) -> AsyncIterator[Any]:
    async with open_bus(world.directory / "journal.db", BusSettings(), world.seams) as opened:
        yield opened


@asynccontextmanager
async def running(accounts: Any, bus: Any) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(accounts.service.run, bus)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_gateways(world: Any, bus: Any) -> AsyncIterator[tuple[Any, Any]]:
    async with world.gateway() as here, world.gateway() as there, running(here, bus), running(there, bus):
        yield here, there


async def stands(accounts: Any, credential: str) -> bool:
    try:
        await accounts.service.authenticate(credential)
    except InvalidToken:
        return False
    return True


async def published(bus: Any) -> list[Any]:
    return [record.message for record in await bus.read(TOPIC)]


class Counted:
    """A store that counts how often it is asked for sessions and keys, and may be away."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked = 0
        self.away = False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            if self.away:
                raise StoreUnavailable("away")
            self.asked += name in ("session", "key")
            return await getattr(self._store, name)(*args, **more)

        return call


async def test_a_logout_here_is_one_there_within_a_second(world: Any, bus: Any, autojump_clock: Any):
    async with two_gateways(world, bus) as (here, there):
        ann = await here.ann()
        assert await stands(there, ann.access)
        await here.service.logout(await here.service.authenticate(ann.access))
        assert not await stands(here, ann.access)
        await trio.sleep(1)
        assert not await stands(there, ann.access)
        (message,) = await published(bus)
        assert (message.user_id, message.session, message.reason) == (ann.user.id, ann.session, "logout")
        assert await here.store.revocations() == []


async def test_what_an_operator_does_beside_the_host_is_heard(
    world: Any, bus: Any, password: str, autojump_clock: Any
):
    """Another process that knows neither the host nor its bus."""
    async with two_gateways(world, bus) as (here, there), world.store() as files:
        operator = Administration(files, world.seams)
        await here.ann()
        for change, expected in (
            (lambda: operator.logout(ANN), "logout_everywhere"),
            (lambda: operator.set_disabled(ANN, True), "user_disabled"),
            (lambda: operator.delete(ANN), "user_deleted"),
        ):
            await operator.set_disabled(ANN, False)
            await trio.sleep(1)
            ann = await here.service.login(ANN, password)
            assert await stands(there, ann.access)
            await change()
            await trio.sleep(1)
            assert not await stands(here, ann.access)
            assert not await stands(there, ann.access)
            assert (await published(bus))[-1].reason == expected


async def test_a_key_revoked_is_gone_everywhere(world: Any, bus: Any, autojump_clock: Any):
    async with two_gateways(world, bus) as (here, there):
        who = await here.service.authenticate((await here.ann()).access)
        keys = [await here.service.create_key(who, name, ["read:market"]) for name in ("a", "b")]
        assert [await stands(there, key.text) for key in keys] == [True, True]
        await here.service.revoke_key(who, keys[0].key.id)
        await trio.sleep(1)
        assert [await stands(there, key.text) for key in keys] == [False, True]


async def test_what_is_known_is_not_asked_again(world: Any, bus: Any, autojump_clock: Any):
    async with world.gateway() as accounts:
        counted = Counted(accounts.store)
        accounts.service._who._store = counted
        ann = await accounts.ann()
        for _ in range(10):
            await accounts.service.authenticate(ann.access)
        assert counted.asked == 10  # nobody follows revocations, so nothing is kept
        async with running(accounts, bus):
            for _ in range(10):
                await accounts.service.authenticate(ann.access)
            assert counted.asked == 11
            counted.away = True
            await accounts.service.authenticate(ann.access)
            await trio.sleep(30)
            with pytest.raises(StoreUnavailable):
                await accounts.service.authenticate(ann.access)
            counted.away = False
            await accounts.service.authenticate(ann.access)
        counted.away = True
        with pytest.raises(StoreUnavailable):
            await accounts.service.authenticate(ann.access)


async def test_an_answer_that_was_under_way_is_not_kept(world: Any, bus: Any, autojump_clock: Any):
    """Asked before the revocation, answered after it: the answer must not outlive the question."""
    async with world.gateway() as accounts, running(accounts, bus):
        ann = await accounts.ann()
        who = accounts.service._who
        real = who._store

        class Slow:
            async def session(self, name: str) -> Any:
                found = await real.session(name)
                await trio.sleep(0.1)
                return found

        who._store = Slow()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accounts.service.authenticate, ann.access)
            await trio.sleep(0.05)
            await accounts.service.logout_with_refresh(ann.refresh)
        assert not await stands(accounts, ann.access)


async def test_a_bus_that_takes_nothing_holds_nobody(world: Any, bus: Any, autojump_clock: Any):
    class Stuck:
        def __getattr__(self, name: str) -> Any:
            return getattr(bus, name)

        async def append_batch(self, entries: Any) -> Any:
            await trio.sleep_forever()

    async with world.gateway() as here, world.store() as files, running(here, Stuck()):
        first, second = await here.ann(), await here.service.login(ANN, "correct horse")
        assert await stands(here, first.access)
        assert await stands(here, second.access)
        with trio.fail_after(1):
            await here.service.logout_with_refresh(first.refresh)
        assert not await stands(here, first.access)
        await trio.sleep(1)
        await files.end_sessions(first.user.id)
        await trio.sleep(1)
        assert not await stands(here, second.access)
        assert len(await here.store.revocations()) == 2


async def test_killed_between_store_and_bus_the_next_one_tells(world: Any, bus: Any, autojump_clock: Any):
    async with world.gateway() as here:
        ann = await here.ann()
        await here.service.logout_with_refresh(ann.refresh)
    assert await published(bus) == []
    async with world.gateway() as later, running(later, bus):
        await trio.sleep(1)
        assert [message.session for message in await published(bus)] == [ann.session]
        assert await later.store.revocations() == []


async def test_killed_between_bus_and_forgetting_it_is_told_once(world: Any, bus: Any, autojump_clock: Any):
    async with world.gateway() as here:
        ann = await here.ann()
        await here.service.logout_with_refresh(ann.refresh)
        (waiting,) = await here.store.revocations()
        await bus.append(TOPIC, waiting, key=waiting.id)
        async with running(here, bus):
            await trio.sleep(1)
        assert await published(bus) == [waiting]
        assert await here.store.revocations() == []


async def test_a_store_that_is_away_is_asked_until_it_is_back(world: Any, bus: Any, autojump_clock: Any):
    async with world.gateway() as here:
        counted = Counted(here.store)
        here.service._store = counted
        async with running(here, bus):
            ann = await here.ann()
            counted.away = True
            await trio.sleep(5)
            counted.away = False
            await here.service.logout_with_refresh(ann.refresh)
            await trio.sleep(1)
            assert len(await published(bus)) == 1


async def test_a_gap_makes_everything_asked_again(world: Any, bus: Any, autojump_clock: Any):
    from deltastream.accounts._revocations import Courier
    from deltastream.bus import Gap

    heard: list[Any] = []

    class Follower:
        def __init__(self) -> None:
            self.items: list[Any] = [
                [Gap(TOPIC, "e", 1, 5, "trimmed")],
                [],
            ]

        async def batch(self) -> list[Any]:
            if not self.items:
                await trio.sleep_forever()
            return self.items.pop(0)

    async with world.store() as store:
        courier = Courier(store, heard.extend, lambda: heard.append("all"))
        with trio.move_on_after(1):
            await courier.follow(Follower())  # type: ignore[arg-type]  # only what is used
    assert heard == ["all"]


async def test_uses_of_keys_are_recorded_once_a_minute_and_at_the_end(
    world: Any, bus: Any, autojump_clock: Any
):
    async with world.gateway() as here:
        async with running(here, bus):
            who = await here.service.authenticate((await here.ann()).access)
            key = await here.service.create_key(who, "robot", ["read:market"])
            await here.service.authenticate(key.text)
            assert (await here.store.key(key.key.prefix))[1].last_used is None
            await trio.sleep(61)
            first = (await here.store.key(key.key.prefix))[1].last_used
            assert first is not None
            await here.service.authenticate(key.text)
        assert (await here.store.key(key.key.prefix))[1].last_used > first


async def test_the_signing_key_changes_by_itself(world: Any, bus: Any, seams: Any, autojump_clock: Any):
    async with world.gateway() as here, running(here, bus):
        first = here.ring.current
        await trio.sleep(60)
        assert here.ring.current == first
        seams.clock.set_ahead(30 * 86_400)
        await trio.sleep(60)
        assert here.ring.current != first


def test_word_of_it_says_nothing_secret():
    assert set(Revocation.__struct_fields__) == {"v", "id", "ts", "user_id", "reason", "session", "key"}
