"""The client against the real desk and server, on both backends."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from deltastream.client import (
    ChainUpdate,
    Disconnected,
    Interrupted,
    MarketStatus,
    Reconnected,
    Unauthenticated,
    UnderlyingUpdate,
    connect,
)
from deltastream.messages import ENRICHED_COLUMNS


async def until(client, kind, **fields):
    """Events up to the first of a kind with these fields; that one is the last."""
    seen = []
    async for event in client:
        seen.append(event)
        if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
            return seen
    raise AssertionError("ended")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("deflate", [False, True])
async def test_a_session(stand, backend, encoding, deflate):
    await stand.tick(1.0)
    first = await stand.chain()

    async def user():
        async with connect(stand.url, token=stand.token, encoding=encoding, deflate=deflate) as client:
            entered = await client.subscribe("product:NIFTY", "chain:NIFTY", "product:NOPE", "what")
            assert entered.ok == ("product:NIFTY", "chain:NIFTY")
            assert set(entered.refused) == {"product:NOPE", "what"}
            price, chain = await anext(client), await anext(client)
            assert isinstance(price, UnderlyingUpdate)
            assert (price.price, price.volume, price.snapshot, price.seq) == (1.0, None, True, 1)
            assert isinstance(chain, ChainUpdate)
            assert chain.snapshot
            assert chain.rows is None
            assert chain.chain.key == ("NIFTY", "2036-11-25")
            assert chain.chain.atm_iv == first.atm_iv
            for row, name in enumerate(chain.chain.columns):
                np.testing.assert_array_equal(chain.chain[name], first.columns[row])
            with pytest.raises(ValueError, match="read-only"):
                chain.chain.strikes[0] = 1.0
            await backend.host(stand.tick, 2.0)
            assert (await anext(client)).price == 2.0
            second = await backend.host(stand.chain, call_bid=[19.0, 8.5, 8.0])
            update = await anext(client)
            assert isinstance(update, ChainUpdate)
            assert update.rows is not None
            assert (update.seq, update.skipped, update.snapshot) == (2, 0, False)
            for row, name in enumerate(update.chain.columns):
                np.testing.assert_array_equal(update.chain[name], second.columns[row])
            assert await client.ping() < 5
            (product,) = await client.products()
            assert (product.symbol, dict(product.expiries)) == ("NIFTY", {"NIFTY": ("2036-11-25",)})
            await backend.host(stand.status, "stale", "feed_silent")
            status = await anext(client)
            assert isinstance(status, MarketStatus)
            assert (status.status, status.reason) == ("stale", "feed_silent")
            assert (await anext(client)).room == "chain:NIFTY"
            await client.unsubscribe("chain:NIFTY")
            await backend.host(stand.chain)
            await backend.host(stand.tick, 3.0)
            assert (await anext(client)).room == "product:NIFTY"

    await backend.run(user)
    await stand.settle()


async def test_reconnects_and_resumes(stand, backend, rng):
    await stand.tick(1.0)
    await stand.chain()

    async def user():
        async with connect(stand.url, token=stand.token, rng=rng) as client:
            await client.subscribe("product:NIFTY", "chain:NIFTY", "general")
            await until(client, UnderlyingUpdate, room="general", snapshot=True)
            assert client.connected
            await backend.host(stand.cut)
            (*_, lost) = await until(client, Disconnected)
            assert "1006" in lost.reason
            for price in (2.0, 3.0):
                await backend.host(stand.tick, price)
            changed = await backend.host(stand.chain, call_bid=[19.0, 8.5, 8.0])
            assert isinstance(await anext(client), Reconnected)
            seen = [await anext(client) for _ in range(6)]
            prices = {room: [] for room in ("product:NIFTY", "general")}
            for event in seen:
                if isinstance(event, UnderlyingUpdate):
                    prices[event.room].append((event.seq, event.price, event.snapshot))
            assert prices["product:NIFTY"] == prices["general"] == [(2, 2.0, False), (3, 3.0, False)]
            (chain,) = [event for event in seen if isinstance(event, ChainUpdate)]
            np.testing.assert_array_equal(
                chain.chain["call_bid"], changed.columns[ENRICHED_COLUMNS.index("call_bid")]
            )

    await backend.run(user)


async def test_a_restarted_server(stand, backend, rng):
    """Drained with 4012, gone for a while, back on its port: resumed out of the log."""
    await stand.tick(1.0)

    async def user():
        async with connect(stand.url, token=stand.token, rng=rng) as client:
            await client.subscribe("product:NIFTY")
            await until(client, UnderlyingUpdate)
            await backend.host(stand.stop)
            (*_, lost) = await until(client, Disconnected)
            assert "4012" in lost.reason
            assert not client.connected
            await backend.host(stand.tick, 2.0)
            await backend.host(stand.start)
            seen = await until(client, UnderlyingUpdate)
            assert [type(event) for event in seen] == [Reconnected, UnderlyingUpdate]
            assert (seen[-1].seq, seen[-1].price, seen[-1].snapshot) == (2, 2.0, False)

    await backend.run(user)


async def test_revoked(stand, backend):
    identity = await stand.accounts.authenticate(stand.token)

    async def user():
        async with connect(stand.url, token=stand.token) as client:
            await backend.host(stand.accounts.logout_everywhere, identity)
            with pytest.raises(Unauthenticated, match="revoked"):
                await until(client, Reconnected)
            with pytest.raises(Unauthenticated):
                await anext(client)
            with pytest.raises(Unauthenticated):
                await client.ping()

    await backend.run(user)


async def test_a_callable_gives_another_credential_after_a_revocation(stand, backend, rng):
    key = (await stand.administration.create_key("ann@example.org", "script", ("read:market",), 30)).text
    credentials = [stand.token, key]
    identity = await stand.accounts.authenticate(stand.token)

    async def token():
        await anyio.lowlevel.checkpoint()
        return credentials.pop(0)

    async def user():
        async with connect(stand.url, token=token, rng=rng) as client:
            await backend.host(stand.accounts.logout_everywhere, identity)
            await until(client, Reconnected)
            assert await client.ping() < 5

    await backend.run(user)
    assert credentials == []


@pytest.mark.slow
async def test_tokens_are_renewed_before_they_expire(open_stand, which, backend):
    async with open_stand(which=which, token_s=3) as stand:
        await stand.tick(0.0)
        given = []

        async def login():
            return (await stand.accounts.login("ann@example.org", "correct horse")).access

        async def token():
            given.append(await backend.host(login))
            return given[-1]

        async def user():
            first = await token()
            async with connect(stand.url, token=token) as client, connect(stand.url, token=first) as mortal:
                await client.subscribe("product:NIFTY")
                for price in range(1, 9):
                    await anyio.sleep(0.5)
                    await backend.host(stand.tick, float(price))
                    await until(client, UnderlyingUpdate, price=float(price), skipped=0)
                assert client.connected
                with pytest.raises(Unauthenticated, match="expired"):
                    await until(mortal, Reconnected)

        await backend.run(user)
        assert len(given) >= 3


async def test_a_wrong_credential(stand, backend):
    async def user():
        with pytest.raises(Unauthenticated):
            async with connect(stand.url, token="ds_nothing"):
                raise AssertionError("let in")

    await backend.run(user)


async def test_a_key_without_the_right(stand, backend):
    key = (await stand.administration.create_key("ann@example.org", "script", ("write:alerts",), 30)).text

    async def user():
        with pytest.raises(Unauthenticated, match="no right"):
            async with connect(stand.url, token=key):
                raise AssertionError("let in")

    await backend.run(user)


async def test_nobody_listens(stand, backend):
    await stand.stop()

    async def user():
        with pytest.raises(OSError, match=r"."):
            async with connect(stand.url, token="t"):
                raise AssertionError("connected")

    await backend.run(user)


async def test_what_users_raise_is_theirs(stand, backend):
    group = ExceptionGroup("mine", [KeyError("a")])

    async def user():
        with pytest.raises(ZeroDivisionError):
            async with connect(stand.url, token=stand.token):
                raise ZeroDivisionError
        with pytest.raises(ExceptionGroup) as caught:
            async with connect(stand.url, token=stand.token):
                raise group
        assert caught.value is group

    await backend.run(user)


async def test_what_a_token_raises_reaches_the_user(stand, backend, rng):
    answers = [stand.token]

    def token():
        return answers.pop(0)

    async def lose_the_connection():
        async with connect(stand.url, token=token, rng=rng) as client:
            await backend.host(stand.cut)
            await until(client, Reconnected)

    async def user():
        with pytest.raises(IndexError):
            await lose_the_connection()

    await backend.run(user)


async def test_cancellation_closes(stand, backend):
    async def user():
        with anyio.move_on_after(0.1) as scope:
            async with connect(stand.url, token=stand.token) as client:
                await anext(client)
        assert scope.cancelled_caught

    await backend.run(user)
    await stand.settle()


async def test_commands_while_the_buffer_is_full(stand, backend):
    """Whoever takes the events may ask something, though many of them come before the answer."""
    await stand.tick(0.0)

    async def user():
        async with connect(stand.url, token=stand.token, buffer=2) as client:
            await client.subscribe("product:NIFTY")
            for price in range(1, 9):
                await backend.host(stand.tick, float(price))
            await anyio.sleep(0.1)
            assert (await client.subscribe("general")).ok == ("general",)
            seqs = [event.seq async for event in first(client, 9) if event.room == "product:NIFTY"]
            assert seqs == list(range(1, 10))

    await backend.run(user)


async def first(client, count):
    """As many events."""
    for _ in range(count):
        yield await anext(client)


async def test_two_may_take_events(stand, backend):
    await stand.tick(1.0)
    got = []

    async def user():
        async def take(client):
            got.append((await anext(client)).seq)

        async with connect(stand.url, token=stand.token) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(take, client)
            tasks.start_soon(take, client)
            await client.subscribe("product:NIFTY")
            await backend.host(stand.tick, 2.0)

    await backend.run(user)
    assert sorted(got) == [1, 2]


async def test_frames_of_data(stand, backend):
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    await stand.chain(call_bid=[np.nan, 9.0, 8.0])

    async def user():
        async with connect(stand.url, token=stand.token) as client:
            await client.subscribe("chain:NIFTY")
            chain = (await until(client, ChainUpdate))[-1].chain
            frame = chain.to_pandas()
            assert isinstance(frame, pandas.DataFrame)
            assert list(frame.index) == [100.0, 110.0, 120.0]
            assert frame.attrs["root"] == "NIFTY"
            np.testing.assert_array_equal(frame["call_iv"], chain["call_iv"])
            table = chain.to_polars()
            assert isinstance(table, polars.DataFrame)
            assert table["call_bid"].to_list() == [None, 9.0, 8.0]
            with pytest.raises(AttributeError, match="no 'nothing'"):
                _ = chain.nothing
            assert not hasattr(chain, "__deepcopy__")

    await backend.run(user)


async def test_no_interruption_without_a_loss(stand, backend):
    """Ten chains of two expiries, to a room of both, a room of one, and one that wants them whole."""
    await stand.tick(1.0)
    for expiry in ("2036-11-25", "2036-12-30"):
        await stand.chain(expiry=expiry)

    async def user():
        async with connect(stand.url, token=stand.token) as client:
            await client.subscribe("chain:NIFTY", "chain:NIFTY:2036-12-30")
            await client.subscribe("general", chains="full")
            sent = []
            for number in range(10):
                expiry = ("2036-11-25", "2036-12-30")[number % 2]
                sent.append(
                    await backend.host(stand.chain, expiry=expiry, call_bid=[19.0, 8.0 + number / 8, 8.0])
                )
            seen = await until(client, ChainUpdate, room="chain:NIFTY:2036-12-30", seq=12)
            assert not [event for event in seen if isinstance(event, Interrupted)]
            updates = [event for event in seen if isinstance(event, ChainUpdate) and not event.snapshot]
            both = [event for event in updates if event.room == "chain:NIFTY"]
            assert [event.seq for event in both] == list(range(3, 13))
            assert any(event.rows is not None for event in both)
            for event, chain in zip(both, sent, strict=True):
                for row, name in enumerate(event.chain.columns):
                    np.testing.assert_array_equal(event.chain[name], chain.columns[row])
            one = [event for event in updates if event.room == "chain:NIFTY:2036-12-30"]
            assert [event.seq for event in one] == [4, 6, 8, 10, 12]
            assert [event.skipped for event in one] == [1] * 5

    await backend.run(user)
