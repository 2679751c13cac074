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


def test_a_room_whose_chain_has_expired_says_that_it_shows_nothing(run: Any, chain: Any):
    """To who comes, to who fell behind, and to all when an epoch begins; what comes late of it is shown."""
    room = "chain:NIFTY:2026-11-24"

    async def expired(stand: Any) -> None:
        def publish(ts: int, expiry: str, **how: Any) -> None:
            stand.publish("enriched.chain.NIFTY", chain(ts, expiry=expiry), **how)

        def come(number: int, *, later: bool = False) -> None:
            stand.connect(number, "json", 1 << 30)
            stand.enter(number, [room], resume=False, full=False, later=later)

        def known() -> list[tuple[int, int]]:
            have = [client.rooms[room][room] for client in stand.clients]
            return [(one.seq, len(one.state)) for one in have]

        publish(T0, "2026-11-24")
        come(0)
        stand.members[0].free = 0
        publish(T0 + 1, "2026-11-24")
        publish(chain().expiry_ts, "2026-12-01")
        await trio.testing.wait_all_tasks_blocked()
        come(1)
        come(2, later=True)
        await stand.settle()
        assert known() == [(3, 0)] * 3
        assert [client.snapshots for client in stand.clients] == [[None, None], [None], [None]]

        publish(chain().expiry_ts + 1, "2026-12-01", new_epoch=True)
        await stand.settle()
        assert known() == [(0, 0)] * 3
        assert [client.snapshots[-1] for client in stand.clients] == ["epoch_changed"] * 3

        stand.members[0].free = 0
        publish(T0 + 4, "2026-11-24")
        await stand.settle()
        assert known() == [(2, 0), (2, 1), (2, 1)]
        assert [stand.hub.standing(member) for member in stand.members.values()] == [{room: 2}] * 3

    run(expired)


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
