"""The client against a server that says what the real one would only say in trouble, or never."""

from __future__ import annotations

import anyio
import numpy as np
import pytest
import trio

from deltastream.client import (
    ChainUpdate,
    Closed,
    Disconnected,
    Interrupted,
    MarketStatus,
    Reconnected,
    UnderlyingUpdate,
    connect,
)

ROOM = "product:NIFTY"


async def seqs(client, count):
    """Of so many updates; anything else is given as it is."""
    seen = [await anext(client) for _ in range(count)]
    return [event.seq if isinstance(event, UnderlyingUpdate) else event for event in seen]


async def test_a_mute_server_is_left(script, backend, rng):
    async def mute(on):
        await on.greet(heartbeat_s=0.04)
        await on.enter("snapshot", 7)
        await on.price(7, kind="snapshot", part=[1, 1], epoch="e1", own=7)
        for _ in range(100):
            await on.socket.ping()
            await trio.sleep(0.01)

    async def well(on):
        await on.greet()
        command = await on.enter("resumed", 8)
        assert command["resume"] == {ROOM: {"epoch": "e1", "seq": 7}}
        await on.price(8)
        await on.rest()

    script.handlers = [mute, well]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            await client.subscribe(ROOM)
            assert await seqs(client, 1) == [7]
            began = anyio.current_time()
            lost = await anext(client)
            assert lost == Disconnected(room="", reason="nothing was heard for 0.1 s")
            assert 0.05 < anyio.current_time() - began < 1
            assert await seqs(client, 2) == [Reconnected(room=""), 8]

    await backend.run(user)


async def test_a_gap_is_found_and_made_good(script, backend):
    async def server(on):
        await on.greet()
        await on.enter("snapshot", 2)
        await on.price(2, kind="snapshot", part=[1, 1], epoch="e1", own=2)
        await on.price(3)
        await on.price(3)
        await on.price(6)
        await on.price(7)
        command = await on.enter("resumed", 7)
        assert command["resume"] == {ROOM: {"epoch": "e1", "seq": 3}}
        for seq in (4, 5, 6, 7, 8):
            await on.price(seq)
        await on.price(11, first=9)
        await on.say("heartbeat", ts=0, seqs={ROOM: 11, "product:OTHER": 4})
        await on.say("heartbeat", ts=0, seqs={ROOM: 12})
        command = await on.enter("snapshot", 20, epoch="e2")
        assert command["resume"] == {ROOM: {"epoch": "e1", "seq": 11}}
        await on.price(20, kind="snapshot", part=[1, 1], epoch="e2", own=20)
        await on.price(21)
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t") as client:
            await client.subscribe(ROOM)
            found = await seqs(client, 12)
            gap = Interrupted(room=ROOM, stream=ROOM, after=3, reason="gap")
            assert found[:9] == [2, 3, gap, 4, 5, 6, 7, 8, 11]
            assert found[9:] == [Interrupted(room=ROOM, stream=ROOM, after=11, reason="gap"), 20, 21]

    await backend.run(user)


async def test_what_cannot_be_resumed_is_told(script, backend, rng):
    async def first(on):
        await on.greet()
        await on.enter("snapshot", 2)
        await on.price(3)

    async def second(on):
        await on.greet()
        await on.enter("snapshot", 1, epoch="e2")
        await on.price(1, kind="snapshot", part=[1, 1], epoch="e2", own=1)
        await on.price(4, kind="snapshot", part=[1, 1], epoch="e3", own=4, reason="epoch_changed")
        await on.price(5)
        await on.rest()

    script.handlers = [first, second]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            await client.subscribe(ROOM)
            assert (await anext(client)).seq == 3
            assert isinstance(await anext(client), Disconnected)
            assert isinstance(await anext(client), Reconnected)
            assert await seqs(client, 5) == [
                Interrupted(room=ROOM, stream=ROOM, after=3, reason="not_resumed"),
                1,
                Interrupted(room=ROOM, stream=ROOM, after=1, reason="epoch_changed"),
                4,
                5,
            ]

    await backend.run(user)


def chain(kind, seq, data, **fields):
    head = {"root": "NIFTY", "expiry": "2036-11-25"}
    return {"room": "chain:NIFTY", "kind": kind, "seq": seq, "ts": seq, "data": {**head, **data}, **fields}


async def test_a_change_of_a_chain_that_is_not_there(script, backend):
    """A snapshot is asked for: from where it stands, the same change would come again."""
    whole = {"atm_iv": 0.1, "columns": {"strike": [1.0, 2.0], "call_bid": [None, 3.0]}}

    def delta(base, bid):
        return {"base": base, "head": {"atm_iv": 0.2}, "rows": [1], "columns": {"call_bid": [bid]}}

    async def server(on):
        await on.greet()
        await on.enter("snapshot", 9, room="chain:NIFTY")
        await on.say("chain_update", **chain("snapshot", 9, whole, part=[1, 1], epoch="e1", own=5))
        await on.say("chain_update", **chain("delta", 10, delta(5, 4.0), first=10))
        await on.say("chain_update", **chain("delta", 11, delta(9, 5.0), first=11))
        command = await on.enter("snapshot", 11, room="chain:NIFTY")
        assert command["resume"] == {}
        await on.say("chain_update", **chain("snapshot", 11, whole, part=[1, 1], epoch="e1", own=11))
        await on.say("chain_update", **chain("full", 12, whole, first=12))
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t") as client:
            await client.subscribe("chain:NIFTY")
            first, second, lost, third, fourth = [await anext(client) for _ in range(5)]
            np.testing.assert_array_equal(first.chain["call_bid"], [np.nan, 3.0])
            np.testing.assert_array_equal(second.chain["call_bid"], [np.nan, 4.0])
            assert isinstance(second, ChainUpdate)
            assert (second.rows, second.chain.atm_iv, second.chain.expiry) == ((1,), 0.2, "2036-11-25")
            assert lost == Interrupted(room="chain:NIFTY", stream="chain:NIFTY", after=10, reason="gap")
            assert (third.seq, third.snapshot, third.rows) == (11, True, None)
            assert (fourth.seq, fourth.snapshot, fourth.rows) == (12, False, None)

    await backend.run(user)


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        "{}",
        '{"event":"heartbeat"}',
        '{"event":"underlying_update","room":"product:NIFTY","first":3,"seq":3,"ts":1,"data":{}}',
        '{"event":"underlying_update","room":"product:NIFTY","first":3,"seq":3,"ts":1,"data":[]}',
        b"\x80",
    ],
)
async def test_garbage_ends_the_connection_only(script, backend, rng, frame):
    async def first(on):
        await on.greet()
        await on.enter("snapshot", 2)
        await on.socket.send_message(frame)
        await on.rest()

    async def second(on):
        await on.greet()
        await on.enter("resumed", 3)
        await on.price(3)
        await on.rest()

    script.handlers = [first, second]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            await client.subscribe(ROOM)
            lost, back, update = [await anext(client) for _ in range(3)]
            assert "1002" in lost.reason
            assert isinstance(back, Reconnected)
            assert update.seq == 3

    await backend.run(user)


async def test_later_versions_may_say_more(script, backend):
    async def server(on):
        await on.greet()
        await on.enter("snapshot", 2)
        await on.say("weather", room=ROOM)
        await on.price(3, colour="blue")
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t") as client:
            await client.subscribe(ROOM)
            assert await seqs(client, 1) == [3]

    await backend.run(user)


async def test_a_room_that_was_left_before_it_was_entered(script, backend):
    async def server(on):
        await on.greet()
        command = await on.hear("subscribe")
        left = await on.hear("unsubscribe")
        joined = {"room": ROOM, "mode": "snapshot", "epoch": "e1", "seq": 1}
        await on.say("subscribed", id=command["id"], ok=[joined], err=[])
        await on.price(1, kind="snapshot", part=[1, 1], epoch="e1", own=1)
        await on.price(2)
        await on.say("unsubscribed", id=left["id"], ok=[{"room": ROOM}], err=[])
        await on.enter("snapshot", 5)
        await on.price(5, kind="snapshot", part=[1, 1], epoch="e1", own=5)
        await on.rest()

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t") as client:
            with anyio.move_on_after(0.05):
                await client.subscribe(ROOM)
            await client.unsubscribe(ROOM)
            await client.subscribe(ROOM)
            assert await seqs(client, 1) == [5]

    await backend.run(user)


async def test_an_answer_that_never_comes(script, backend):
    async def server(on):
        await on.greet()
        await on.hear("ping")

    script.handlers = [server]

    async def user():
        async with connect(script.url, token="t") as client:
            with pytest.raises(Closed):
                await client.ping()
            with pytest.raises(Closed, match="no connection"):
                await client.ping()

    await backend.run(user)


async def test_several_hundred_rooms_are_entered_again_in_pieces(script, backend, rng):
    rooms = [f"product:P{number}" for number in range(250)]

    async def enter(on, mode):
        command = await on.hear("subscribe")
        ok = [{"room": room, "mode": mode, "epoch": "e", "seq": 0} for room in command["rooms"]]
        await on.say("subscribed", id=command["id"], ok=ok, err=[])
        return len(command["rooms"])

    async def first(on):
        await on.greet()
        assert await enter(on, "snapshot") == 250

    async def second(on):
        await on.greet()
        assert [await enter(on, "resumed") for _ in range(3)] == [100, 100, 50]
        await on.say("market_status", room=rooms[0], product="P0", status="open", reason="", since=0)
        await on.rest()

    script.handlers = [first, second]

    async def user():
        async with connect(script.url, token="t", rng=rng) as client:
            await client.subscribe(*rooms)
            assert isinstance(await anext(client), Disconnected)
            assert isinstance(await anext(client), Reconnected)
            assert isinstance(await anext(client), MarketStatus)

    await backend.run(user)
