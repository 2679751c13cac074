"""One client: calls a gateway, enters rooms, is slow or gone, and comes back to where it was.

What else it does, and should not, is in `deeds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.sim.excuses import Excuses
from deltastream.sim.host import SOCKETS
from deltastream.sim.sockets.deeds import do_something, show
from deltastream.sim.sockets.facts import Facts
from deltastream.sim.sockets.follower import Follower
from deltastream.sim.sockets.gateways import Gateway
from deltastream.sim.sockets.network import Unreachable
from deltastream.sim.sockets.talk import Closed, Gone, Talk, Told, misanswered
from deltastream.sim.sockets.wallet import Credential, NoAnswer, Wallet

if TYPE_CHECKING:
    from deltastream.sim.world import World
    from deltastream.sockets.desk import Desk

__all__ = ["Client"]

MUTE_S: Final = 2.5 * SOCKETS.heartbeat_s
"""Who hears nothing for so long connects again."""

_CAPACITIES: Final = (2_000, 20_000, 200_000)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 4.0
_EVERY_S: Final = 2.0
_ALL: Final = 1 << 20
_SIP: Final = 512
_SIP_S: Final = 0.1
_LATE_S: Final = 1.0
_CLOSING_S: Final = 1.2
_SILENCE_S: Final = 3 * SOCKETS.heartbeat_s
_NEVER: Final = float("inf")


class Client:
    """One client.

    Attributes:
        name: such as "client 2".
        rooms: those that there are; wanted: those that it wants to be in.
        follower: what it knows.
        talk: its connection; None while it has none.
        gateway, desk: where that is; credential: by which it was let in.
        since: since when it has been let in and has taken everything that came; infinite while it does not.
        full: it wants whole chains.
        may_close: codes with which it has earned to be closed.
        ticket: one that has let it in; empty where something else has.

    Args:
        facts: what it is given is compared with.
        excuses: what has struck.
    """

    def __init__(
        self,
        number: int,
        world: World,
        gateways: Sequence[Gateway],
        facts: Facts,
        excuses: Excuses,
        rooms: Sequence[str],
    ) -> None:
        self.name = f"client {number}"
        self.world = world
        self.rng = world.rng(f"sockets/client/{number}")
        self.rooms = list(rooms)
        self.wanted: dict[str, None] = dict.fromkeys(self.rng.sample(self.rooms, 2))
        self.follower = Follower(self.name, facts, world.violate)
        self.wallet = Wallet(number, world.rng(f"sockets/wallet/{number}"), self._accounts)
        self.talk: Talk | None = None
        self._let_in = False
        self._session = ""
        self._left: list[tuple[str, float]] = []
        self.desk: Desk | None = None
        self.gateway: Gateway | None = None
        self.credential: Credential | None = None
        self.since = _NEVER
        self.full = self.rng.random() < 0.25
        self.may_close: set[int | None] = set()
        self.ticket = ""
        self.stalled_until = self.slow_until = 0.0
        self._gateways = gateways
        self._excuses = excuses
        self._pause_s = _FIRST_PAUSE_S
        self._next_deed = self._dawdled = 0.0
        self._expires = self._may_expire = _NEVER

    @property
    def served(self) -> bool:
        """Whether the gateway that it is connected to is still there."""
        return self.gateway is not None and self.desk is not None and self.gateway.desk is self.desk

    def ghosts(self, before: float) -> list[str]:
        """The sessions that it left before that; each is told once."""
        names = [name for name, at in self._left if at <= before]
        self._left = [(name, at) for name, at in self._left if at > before]
        return names

    @property
    def inside(self) -> bool:
        """Whether it has been let in."""
        return self.talk is not None and self._let_in

    def _accounts(self) -> Any:
        found = [known for gateway in self._gateways if (known := gateway.accounts()) is not None]
        return self.rng.choice(found) if found else None

    async def run(self) -> None:
        """Connect again and again until cancelled."""
        while True:
            with suppress(Unreachable, NoAnswer):
                await self._connect()
            await trio.sleep(self._pause_s * self.rng.uniform(0.2, 1.0))
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> None:
        """One connection from beginning to end."""
        credential = await self.wallet.credential()
        self.gateway = gateway = self.rng.choice(self._gateways)
        caller = gateway.connect(self.rng.choice(_CAPACITIES))
        self.talk = talk = Talk(self.name, caller, self.rng, self.world.violate, self._disturbed)
        self.desk, self.credential, self._let_in = gateway.desk, credential, False
        self.may_close = set()
        self._expires = self._may_expire = _NEVER
        told = True
        try:
            in_header = self.rng.random() < 0.4
            await talk.open(credential.text if in_header else None)
            self.follower.connected_anew()
            if in_header:
                talk.expect(None, "auth", self.refusals(credential), (credential, ""))
            else:
                show(self, talk, credential)
            await self._listen(talk)
        except Closed as closed:
            self._was_closed(closed)
        except Gone as gone:
            told = gone.told
        finally:
            if self._session:
                self._left.append((self._session, trio.current_time()))
            self._session = ""
            self.talk = self.gateway = self.desk = self.credential = None
            self.since = _NEVER
            if told:
                talk.hang_up()

    async def _listen(self, talk: Talk) -> None:
        """Take what comes, at its own pace, and do something now and then."""
        self._next_deed = trio.current_time() + self.rng.expovariate(1 / _EVERY_S)
        while True:
            await self._be_slow()
            now = trio.current_time()
            slow = now < self.slow_until
            mute = talk.heard + MUTE_S
            with trio.move_on_at(min(self._next_deed, mute) if self._let_in else mute):
                for told in await talk.listen(_SIP if slow else _ALL):
                    self._take(told)
            if slow:
                await trio.sleep(_SIP_S)
            now = trio.current_time()
            if now >= talk.heard + MUTE_S:
                self._is_mute(talk, now)
            if self._let_in and now >= self._next_deed:
                self._next_deed = now + self.rng.expovariate(1 / _EVERY_S)
                await self._act(talk)

    async def _be_slow(self) -> None:
        """Take nothing while it stalls; then it has not heard anything until now."""
        if trio.current_time() >= max(self.stalled_until, self.slow_until):
            if self.since == _NEVER and self._let_in:
                self.since = trio.current_time()
            return
        self.since, self._dawdled = _NEVER, max(self.stalled_until, self.slow_until)
        if trio.current_time() < self.stalled_until:
            await trio.sleep_until(self.stalled_until)
            assert self.talk is not None  # it is being listened to
            self.talk.heard = trio.current_time()

    def _is_mute(self, talk: Talk, now: float) -> None:
        """An open connection that says nothing is lost."""
        if self.served and self.since <= talk.heard and self._excuses.calm(talk.heard, now):
            self.world.violate("socket_mute", f"{self.name}: nothing comes since {talk.heard:.3f} s")
        raise Gone(told=True)

    async def _act(self, talk: Talk) -> None:
        follower = self.follower
        if self.world.closing:
            self._next_deed = trio.current_time() + 0.5
            others = [room for room in follower.inside if room not in (*self.wanted, *follower.asked)]
            if others:
                talk.say("unsubscribe", rooms=others)
            self.enter([room for room in self.wanted if room not in follower.inside])
        else:
            await do_something(self, talk)

    def enter(self, rooms: Sequence[str], *, anew: bool = False, also: Sequence[str] = ()) -> None:
        """Ask for rooms, to go on where it was, but for those of which the answer is due.

        Args:
            anew: begin anew instead.
            also: names that are none.
        """
        rooms = [room for room in rooms if room not in self.follower.asked]
        if not rooms and not also:
            return
        assert self.talk is not None  # it acts on a connection
        resume = {} if anew else {room: self.follower.resume(room) for room in rooms}
        self.talk.say(
            "subscribe",
            about=(tuple(rooms), tuple(also)),
            rooms=[*rooms, *also],
            resume={room: place for room, place in resume.items() if place is not None},
            chains="full" if self.full else "delta",
        )
        self.follower.ask(rooms)

    def refusals(self, credential: Credential) -> tuple[str | None, ...]:
        """With what a credential may be refused; nothing where it must be accepted."""
        now = trio.current_time()
        if credential.ended + _LATE_S < now and self._excuses.calm(credential.ended, now):
            return ("unauthenticated", "unavailable")
        doubtful = min(credential.ending, credential.over - _LATE_S) <= now + _LATE_S
        if doubtful or self._excuses.ever("late_clock", "new_epoch", "lost_tail"):
            return (None, "unauthenticated", "unavailable")
        return () if self._excuses.calm(now, now) else (None, "unavailable")

    def _take(self, told: Told) -> None:
        event, command = told.event, told.answers
        kind = event["event"]
        if kind == "connected":
            self._connected(told)
        elif kind == "error" and command is not None and command.op == "auth":
            if command.about is not None:  # that was not refused for good reason
                self._was_refused(again=event["retryable"])
        elif kind in ("products", "pong", "error", "token_expiring"):
            pass
        else:
            self._judge_lateness(told)
            if kind == "subscribed" and command is not None:
                for what in misanswered(event, *command.about):
                    self.world.violate("socket_answer", f"{self.name}: {what}")
            self.follower.take(event)
            if self.follower.again and command is None:
                self.enter(list(self.follower.again), anew=True)

    def _disturbed(self, since: float) -> bool:
        return not self._excuses.calm(since, trio.current_time())

    def _was_refused(self, *, again: bool) -> None:
        if not again:
            self.may_close.add(4001)
            self.wallet.discard()
        elif not self._let_in:
            raise Gone(told=True)

    def _connected(self, told: Told) -> None:
        event = told.event
        assert told.answers is not None  # or it would have been complained of
        self.credential, self.ticket = told.answers.about or (None, "")
        left_s = (event["expires"] - event["server_time"]) / 1e6
        self._expires, self._may_expire = told.at + left_s, told.answers.at + left_s
        if not self._let_in:
            self._let_in, self._session = True, event["session"]
            self._pause_s = _FIRST_PAUSE_S
            self.enter(list(self.wanted))

    def _judge_lateness(self, told: Told) -> None:
        """Nothing is sent any more to whose credential has ended, save that another is yet to be answered."""
        credential = self.credential
        if credential is None or told.renewing:
            return
        ended = min(self._expires, credential.ended)
        late_s = _LATE_S if told.at > self._dawdled + _SILENCE_S else _LATE_S + _CLOSING_S
        if told.at > ended + late_s and self._excuses.calm(ended, told.at):
            self.world.violate("socket_outlives", f"{self.name}: its credential ended at {ended:.3f} s")

    def _was_closed(self, closed: Closed) -> None:
        """Whether it has earned that."""
        credential, now = self.credential, trio.current_time()
        assert credential is not None  # it was connected
        earned = {*self.may_close, 4012}
        if min(credential.ending, self._may_expire) <= now:
            earned.add(4001)
        if not self.served or now < self._dawdled + 2 * _SILENCE_S:
            earned |= {None, 4008, 4009}
        if closed.code == 4001:
            self.wallet.discard()
        if closed.code not in earned and self._excuses.calm(now, now):
            self.world.violate("socket_refused", f"{self.name}: closed with {closed.args}")
