"""Members that fall behind, each in its own way, and what they are given then."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from deltastream.sockets.updates import Body, chain_data

T0 = 1_795_156_200_000_000_000
ANSWER = 12_000
"""Bytes of an answer where it is small."""


def test_who_fell_behind_a_message_that_came_late_has_lost_nothing(run: Any, chain: Any):
    async def late(stand: Any) -> None:
        def publish(second: int, spot: float) -> None:
            stand.publish("enriched.chain.NIFTY", chain(T0 + second * 10**9, spot=spot))

        publish(1, 1.0)
        stand.connect(0, "json", 1 << 30)
        stand.enter(0, ["chain:NIFTY"], resume=False, full=False, later=False)
        stand.members[0].free = 0
        publish(3, 3.0)
        await trio.testing.wait_all_tasks_blocked()
        publish(2, 2.0)
        await stand.settle()
        (client,) = stand.clients
        assert client.rooms["chain:NIFTY"]["chain:NIFTY"].seq == 3
        assert client.snapshots == [None, None]

    run(late)


@pytest.mark.parametrize("remembered", [True, False])
def test_who_resumes_after_much_is_not_held_more_for_than_may_be(run: Any, chain: Any, remembered: bool):
    """It is given the newest of every chain, some after the others have left."""
    expiries = ("2026-11-24", "2026-12-01", "2026-12-29")

    async def resumed(stand: Any) -> None:
        def publish(second: int, expiry: str) -> None:
            made = chain(T0 + second * 10**9, expiry=expiry, strikes=40, spot=float(second))
            made.columns[1] = second + 0.123456
            stand.publish("enriched.chain.NIFTY", made)

        def come(free: int) -> Any:
            stand.connect(0, "json", free)
            stand.enter(0, ["chain:NIFTY"], resume=True, full=False, later=False)
            return stand.members[0]

        for second, expiry in enumerate(expiries):
            publish(second, expiry)
        come(1 << 30)
        await stand.settle()
        stand.disconnect(0)
        for second in range(10, 40):
            publish(second, expiries[second % 3])
        if not remembered:
            stand.hub.streams["chain:NIFTY"]._past.clear()
        member = come(0)
        largest = len(Body(lambda: chain_data(chain(strikes=40))).raw("json")) + 1000
        while member.blocked or member.held:
            assert len(member.held) <= ANSWER + largest
            member.grow(500)
        await stand.settle()
        assert member.most <= ANSWER + largest
        assert stand.clients[0].snapshots == [None], "none but the first: it has resumed"

    run(resumed, ANSWER)


def test_who_fell_behind_in_a_room_whose_chain_has_expired_is_given_the_last_one(run: Any, chain: Any):
    """There is no state of the room any more that it could be given."""
    room = "chain:NIFTY:2026-11-24"

    async def expired(stand: Any) -> None:
        def publish(ts: int, expiry: str) -> None:
            stand.publish("enriched.chain.NIFTY", chain(ts, expiry=expiry))

        publish(T0, "2026-11-24")
        stand.connect(0, "json", 1 << 30)
        stand.enter(0, [room], resume=False, full=False, later=False)
        member, (client,) = stand.members[0], stand.clients
        member.free = 0
        publish(T0 + 1, "2026-11-24")
        publish(T0 + 2, "2026-11-24")
        publish(chain().expiry_ts, "2026-12-01")
        await trio.testing.wait_all_tasks_blocked()
        await stand.settle()
        assert client.rooms[room][room].seq == 3
        assert stand.hub.standing(member) == {room: 3}

    run(expired)


def test_who_is_passed_over_as_an_expired_room_shows_something_again_is_told_that_an_epoch_has_begun(
    run: Any, chain: Any
):
    room = "chain:NIFTY:2026-11-24"

    async def renewed(stand: Any) -> None:
        def publish(ts: int, expiry: str, **how: Any) -> None:
            stand.publish("enriched.chain.NIFTY", chain(ts, expiry=expiry), **how)

        for ts in range(T0, T0 + 3):
            publish(ts, "2026-11-24")
        stand.connect(0, "json", 1 << 30)
        stand.enter(0, [room], resume=False, full=False, later=False)
        member, (client,) = stand.members[0], stand.clients
        publish(chain().expiry_ts, "2026-12-01")
        publish(chain().expiry_ts + 1, "2026-12-01", new_epoch=True)
        await stand.settle()
        assert stand.hub.standing(member) == {}, "there is nothing to show"
        member.free = 0
        publish(T0 + 4, "2026-11-24")
        await stand.settle()
        assert client.snapshots == [None, "epoch_changed"]
        assert client.rooms[room][room].seq == 2
        assert stand.hub.standing(member) == {room: 2}

    run(renewed)


def test_who_is_lost_amid_catching_up_resumes_what_it_has(run: Any, chain: Any):
    """It has been given the newest of one chain, for which an older change of another was left out."""

    async def lost(stand: Any) -> None:
        def publish(second: int, expiry: str) -> None:
            made = chain(T0 + second * 10**9, expiry=expiry, strikes=40, spot=float(second))
            stand.publish("enriched.chain.NIFTY", made)

        async def come(free: int) -> None:
            stand.connect(0, "json", free)
            stand.enter(0, ["chain:NIFTY"], resume=True, full=False, later=False)
            await trio.testing.wait_all_tasks_blocked()

        one, other = "2026-11-24", "2026-12-01"
        publish(1, one)
        publish(2, other)
        await come(1 << 30)
        stand.members[0].free = 0
        for second, expiry in enumerate((one, other, one, other), start=3):
            publish(second, expiry)
            await trio.testing.wait_all_tasks_blocked()
        have = stand.clients[0].rooms["chain:NIFTY"]["chain:NIFTY"]
        while have.seq < 5:
            stand.members[0].grow(100)
        await come(1 << 30)
        await stand.settle()
        assert have.seq == 6

    run(lost)
