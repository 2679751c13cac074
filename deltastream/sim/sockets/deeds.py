"""What clients do: the usual, and what nobody should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from deltastream.sim.sockets.talk import Gone
from deltastream.sim.sockets.wallet import NoAnswer

if TYPE_CHECKING:
    from deltastream.sim.sockets.client import Client
    from deltastream.sim.sockets.talk import Talk
    from deltastream.sim.sockets.wallet import Credential

__all__ = ["do_something", "show"]

_BEFORE_END_S: Final = 2.0
_TOO_MANY: Final = 60
_TOO_LONG: Final = 5000
_NO_ROOMS: Final = ("general:", "product:nifty", "chain:NIFTY:tomorrow", "surface", "")


async def do_something(client: Client, talk: Talk) -> None:
    """One deed, drawn from the client's own generator.

    Cancellation: it is done or not.

    Raises:
        Gone, Unreachable, NoAnswer: that ends the connection.
    """
    deeds = {
        _enter: 10, _enter_again: 8, _leave: 5, _ping: 4, _ask_wrongly: 4, _stall: 6, _dawdle: 5,
        _vanish: 1.5, _go: 1.5, _flood: 0.5, _shout: 0.5, _renew: 3, _lose: 1,
    }  # fmt: skip
    await client.rng.choices(list(deeds), list(deeds.values()))[0](client, talk)


def show(client: Client, talk: Talk, credential: Credential) -> None:
    """Say who it is: by the credential, or by a ticket for it, as a page does.

    Raises:
        Unreachable: nobody hears.
    """
    shown, ticket = {"token": credential.text}, ""
    if client.desk is not None and client.rng.random() < 0.3:
        ticket = client.desk.tickets.issue(credential.text).text
        shown = {"ticket": ticket}
    talk.say("auth", *client.refusals(credential), about=(credential, ticket), **shown)


async def _enter(client: Client, talk: Talk) -> None:
    rooms = client.rng.sample(client.rooms, min(client.rng.randint(1, 3), len(client.rooms)))
    client.wanted.update(dict.fromkeys(rooms))
    for room in list(client.wanted)[:-4]:
        del client.wanted[room]
    also = [client.rng.choice(_NO_ROOMS)] if client.rng.random() < 0.1 else []
    client.enter([room for room in rooms if room in client.wanted], also=also)


async def _enter_again(client: Client, talk: Talk) -> None:
    """Rooms that it is in, as after a gap; sometimes twice at once."""
    rooms = client.follower.inside
    if rooms:
        client.full = client.rng.random() < 0.25
        client.enter(
            client.rng.sample(rooms, client.rng.randint(1, len(rooms))), anew=client.rng.random() < 0.3
        )


async def _leave(client: Client, talk: Talk) -> None:
    room = client.rng.choice(client.rooms)
    if room not in client.follower.asked:
        client.wanted.pop(room, None)
        talk.say("unsubscribe", about=room, rooms=[room])


async def _ping(client: Client, talk: Talk) -> None:
    talk.say(client.rng.choice(("ping", "products")))


async def _ask_wrongly(client: Client, talk: Talk) -> None:
    match client.rng.randrange(5):
        case 0:
            talk.say("dance", "unknown_op")
        case 1:
            talk.say("subscribe", "bad_command", rooms=[])
        case 2:
            talk.say("ping", "bad_command", loudly=True)
        case 3 if client.ticket:
            talk.say("auth", "unauthenticated", ticket=client.ticket)  # it is good once
        case _:
            talk.babble(b"\xc1" if talk.msgpack else b"{nonsense", "bad_encoding")


async def _stall(client: Client, talk: Talk) -> None:
    """Take nothing for a while."""
    client.stalled_until = _until(client, client.rng.choice((1.0, 4.0, 15.0)))


async def _dawdle(client: Client, talk: Talk) -> None:
    """Take little at a time."""
    client.slow_until = _until(client, client.rng.uniform(1.0, 10.0))


def _until(client: Client, mean_s: float) -> float:
    end = client.world.scenario.duration_s - _BEFORE_END_S
    return min(trio.current_time() + client.rng.expovariate(1 / mean_s), end)


async def _vanish(client: Client, talk: Talk) -> None:
    raise Gone(told=False)


async def _go(client: Client, talk: Talk) -> None:
    raise Gone(told=True)


async def _flood(client: Client, talk: Talk) -> None:
    """More commands than it may give."""
    client.may_close.add(4010)
    for _ in range(_TOO_MANY):
        talk.say("ping")


async def _shout(client: Client, talk: Talk) -> None:
    """A message that is too long."""
    client.may_close.add(4013)
    talk.babble(b" " * _TOO_LONG, "bad_encoding")


async def _renew(client: Client, talk: Talk) -> None:
    """Another credential on the same connection, as before the first expires."""
    try:
        credential = await client.wallet.another()
    except NoAnswer:
        return
    show(client, talk, credential)


async def _lose(client: Client, talk: Talk) -> None:
    """Its credential is revoked, and it stays to see what comes of that."""
    if client.credential is not None:
        try:
            await client.wallet.revoke(client.credential)
        except NoAnswer:
            return
