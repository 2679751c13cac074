"""The desk: carries out what sessions ask for, keeps their time, and ends those that must end.

Both transports bring their connections here, and the simulation does. It follows the bus for the hub
and hears of revocations; nothing that one client does delays another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
import trio

from deltastream.accounts import AccountService, Identity, InvalidToken
from deltastream.bus import Bus, Follower
from deltastream.errors import StoreUnavailable
from deltastream.gateway.live import Live
from deltastream.messages import Message, Position, Revocation
from deltastream.seams import Seams
from deltastream.sockets import events as e
from deltastream.sockets import session as s
from deltastream.sockets._deadlines import Deadlines
from deltastream.sockets._strangers import Strangers
from deltastream.sockets.connection import Connection
from deltastream.sockets.events import ERRORS, CloseCode, encode
from deltastream.sockets.hub import Hub, Missing, NotThere
from deltastream.sockets.rooms import Room
from deltastream.sockets.settings import SocketSettings
from deltastream.sockets.statistics import SocketStatistics
from deltastream.sockets.tickets import Tickets
from deltastream.sockets.updates import microseconds
from supervisors import Context

__all__ = ["Desk"]

PATTERNS: Final = ("market.tick.*", "enriched.chain.*", "analytics.surface.*", "market.status.*")

_STATUS: Final = "market.status."
_LOOK_S: Final = 0.1
_LOOK_AGAIN_S: Final = 0.5
_TURN_S: Final = 0.002
_PIECE: Final = 64
_PAGE: Final = 200

log = structlog.get_logger("deltastream.sockets")


class Desk:
    """Everything about sockets but the sockets.

    Attributes:
        hub: rooms and members.
        tickets: by which browsers tell who they are.
        connections: those there are.
        strangers: those of them that have not said who they are.

    Args:
        bus: followed.
        live: what is known of the market at the start.
        accounts: who may come.
        settings: limits and times.
        seams: time and ids.
    """

    def __init__(
        self, bus: Bus, live: Live, accounts: AccountService, settings: SocketSettings, seams: Seams
    ) -> None:
        self.hub = Hub(settings.outbox_bytes)
        self.tickets = Tickets(seams)
        self.connections: dict[Connection, None] = {}
        self.strangers = Strangers(settings.strangers_per_address)
        self._bus = bus
        self._live = live
        self._accounts = accounts
        self._settings = settings
        self._seams = seams
        self._deadlines = Deadlines()
        self._of_user: dict[str, dict[Connection, None]] = {}
        self._draining = False
        self._doubt = trio.Event()
        self._closed: Counter[int] = Counter()

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Follow the bus and keep time until cancelled; once.

        Cancellation: closes every connection with 4012; returns without waiting for the clients.

        Raises:
            BusClosed: the bus was closed.
        """
        after = self._recall()
        async with self._bus.follow(PATTERNS, after=after) as follower:
            try:
                with self._accounts.told(self._voided):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self.hub.fanout.run)
                        nursery.start_soon(self._keep_time)
                        nursery.start_soon(self._look_again)
                        nursery.start_soon(self._recall_rest)
                        task_status.started()
                        await self._follow(follower)
            finally:
                self.drain()

    async def _follow(self, follower: Follower) -> None:
        while True:
            items = await follower.batch(_PIECE)
            turn = trio.current_time() + _TURN_S
            for item in items:
                await self.hub.fanout.room()
                self.hub.take(item)
                if trio.current_time() > turn:
                    await trio.lowlevel.checkpoint()
                    turn = trio.current_time() + _TURN_S
            self.hub.fanout.carry()

    def statistics(self, url: str | None) -> SocketStatistics:
        """What has been done so far.

        Args:
            url: of the socket gateway.
        """
        fanout = self.hub.fanout
        return SocketStatistics(
            url=url,
            connections=len(self.connections),
            rooms=self.hub.open_rooms,
            frames=fanout.frames,
            writes=fanout.writes,
            passed=fanout.passed,
            closed=dict(self._closed),
        )

    def drain(self) -> None:
        """Accept nobody any more, and tell all clients to go."""
        self._draining = True
        for connection in list(self.connections):
            self.let_go(connection)

    def let_go(self, connection: Connection) -> None:
        """Tell a client to go: the server that it came to stops."""
        self._carry_out_now(connection, connection.session.drained())

    def admit(self, connection: Connection) -> str | None:
        """Take in a new connection; a reason where it cannot be, and must be turned away."""
        if self._draining:
            return "the server stops"
        if len(self.connections) >= self._settings.connections:
            return "too many connections"
        if self.strangers.too_many(connection.address):
            return "too many connections that have not said who they are"
        self.strangers.come(connection.address)
        self.connections[connection] = None
        self._deadlines.watch(connection)
        return None

    def turn_away(self, connection: Connection, reason: str) -> None:
        """Close a connection that has not been taken in; it may be served until it has gone."""
        self._carry_out_now(connection, connection.session.turned_away(reason))

    def dismiss(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self.connections:
            del self.connections[connection]
            if connection.identity is None:
                self.strangers.go(connection.address)
        self._forget_user(connection)
        self.hub.remove(connection)

    async def received(self, connection: Connection, data: bytes | str) -> None:
        """A whole message has come: do what it asks for, and answer.

        Cancellation: the rest of it is not done.
        """
        for effect in connection.session.received(data, trio.current_time()):
            await self._carry_out(connection, effect)

    async def identify(self, connection: Connection, credential: str) -> None:
        """The connection has told who it is in its handshake.

        Cancellation: it stays nobody's.
        """
        if not connection.session.closed:
            await self._authenticate(connection, s.Authenticate(None, credential, None))

    def catch_up(self, connection: Connection) -> bool:
        """Hand a connection that had fallen behind, and holds nothing, some of what it has missed.

        Returns:
            Whether it holds something now; False: it has caught up.
        """
        return self.hub.fanout.catch_up(connection)

    def too_slow(self, connection: Connection) -> None:
        """A connection has more to hold than it may, or nobody may fall behind."""
        self._carry_out_now(connection, connection.session.slow())

    def controlled(self, connection: Connection) -> None:
        """A ping or a pong has come."""
        self._carry_out_now(connection, connection.session.controlled(trio.current_time()))

    def violated(self, connection: Connection, reason: str) -> None:
        """What came breaks the rules of WebSocket, or of its lengths."""
        self._carry_out_now(connection, connection.session.violated(reason))

    def _recall(self) -> dict[str, Position]:
        """Give the hub what is known already; returns where to follow on."""
        live = self._live
        self.hub.whole = live.recalled.is_set()
        for product in self._products():
            for held in (live.tick(product), live.surface(product), live.status(product)):
                if held is not None:
                    self._recall_state(held.topic, [(held.position, held.message)])
            if chains := live.chains(product):
                self._recall_state(chains[0].topic, [(held.position, held.message) for held in chains])
        return dict(live.positions)

    async def _recall_rest(self) -> None:
        """Give the hub what the store alone knows, once that has answered."""
        live = self._live
        await live.recalled.wait()
        if not self.hub.whole:
            held = [
                one
                for name in self._products()
                for one in (live.tick(name), live.surface(name), live.status(name), *live.chains(name))
            ]
            self.hub.complete([(one.topic, one.message) for one in held if one and one.position is None])
            self.hub.fanout.carry()

    def _products(self) -> list[str]:
        """Those that something is known of, if only a status."""
        told = [topic for topic in self._live.positions if topic.startswith(_STATUS)]
        return sorted({*self._live.products(), *(topic.removeprefix(_STATUS) for topic in told)})

    def _recall_state(self, topic: str, state: Sequence[tuple[Position | None, Message]]) -> None:
        position = self._live.positions.get(topic) or Position("", 0)
        numbered = [
            (0 if at is None or at.epoch != position.epoch else at.seq, message) for at, message in state
        ]
        self.hub.recall(topic, position, numbered)

    async def _carry_out(self, connection: Connection, effect: s.Effect) -> None:
        match effect:
            case s.Authenticate():
                await self._authenticate(connection, effect)
            case s.Enter():
                await self._enter(connection, effect)
            case _:
                self._do(connection, effect)

    def _carry_out_now(self, connection: Connection, effects: Sequence[s.Effect]) -> None:
        for effect in effects:
            self._do(connection, effect)

    def _do(self, connection: Connection, effect: s.Effect) -> None:
        match effect:
            case s.Send():
                self._tell(connection, effect.event)
            case s.Close():
                log.debug(
                    "socket_closed",
                    session=connection.session.name,
                    code=int(effect.code),
                    reason=effect.reason,
                )
                self._closed[int(effect.code)] += 1
                self.hub.remove(connection)
                connection.close(effect.code, effect.reason)
            case s.Beat():
                if not connection.blocked:
                    beat = e.Heartbeat(ts=self._now_us(), seqs=self.hub.standing(connection))
                    self._tell(connection, beat)
                connection.ping()  # also who is slow shows that it lives
            case s.Leave():
                self._leave(connection, effect)
            case s.ListProducts():
                self._tell(connection, e.ProductList(id=effect.id, products=self.hub.products()))
            case s.TellTime():
                self._tell(connection, e.Pong(id=effect.id, ts=self._now_us()))
            case s.Authenticate() | s.Enter():
                raise TypeError("this takes time")

    async def _authenticate(self, connection: Connection, effect: s.Authenticate) -> None:
        session = connection.session
        credential = effect.token or self.tickets.take(effect.ticket or "")
        try:
            if credential is None:
                raise InvalidToken("unknown")
            identity = await self._accounts.authenticate(credential)
        except InvalidToken as error:
            self._carry_out_now(connection, session.not_authenticated(effect.id, str(error)))
            return
        except StoreUnavailable:
            message = "Nobody can tell at the moment; try again."
            self._carry_out_now(connection, session.not_authenticated(effect.id, message, retryable=True))
            return
        if self._crowded(connection, identity):
            connection.session.not_authenticated(effect.id, "")
            self._do(connection, s.Close(CloseCode.RATE_LIMITED, "too many connections of one user"))
            return
        now, now_ns = trio.current_time(), self._seams.clock.now_ns()
        who = s.Pass(
            user_id=identity.user_id,
            may_read="read:market" in identity.scopes,
            expires=now + (identity.expires - now_ns) / 1e9,
            expires_us=microseconds(identity.expires),
        )
        self._carry_out_now(connection, session.authenticated(effect.id, who, now_ns // 1000, now))
        if session.user_id == identity.user_id and not session.closed and connection in self.connections:
            if connection.identity is None:
                self.strangers.go(connection.address)
            connection.identity, connection.credential = identity, credential
            self._of_user.setdefault(identity.user_id, {})[connection] = None
            self._deadlines.watch(connection)

    async def _enter(self, connection: Connection, effect: s.Enter) -> None:
        """Enter rooms one by one: each answer part is of the instant at which its room was entered."""
        ok, err, begins = [], list(effect.refused), []
        here = set(self.hub.rooms(connection))
        read: dict[Room, dict[str, list[tuple[int, Message]]]] = {}
        for room in effect.rooms:
            if (resume := effect.resume.get(str(room))) is not None:
                try:
                    for gap in self.hub.missing(room, resume):
                        read.setdefault(room, {})[gap.stream] = await self._read(gap)
                except NotThere:
                    pass  # told below
        if connection.session.closed:
            return
        for room in effect.rooms:
            if room not in here and len(here) >= self._settings.rooms:
                err.append(_refused(room, "too_many_rooms", f"At most {self._settings.rooms} rooms."))
                continue
            if room in here:
                self.hub.leave(connection, room)
            try:
                joined, begin = self.hub.enter(
                    connection,
                    room,
                    full=effect.full_chains,
                    resume=effect.resume.get(str(room)),
                    read=read.get(room),
                )
            except NotThere as error:
                err.append(_refused(room, "unknown_room", str(error)))
                continue
            here.add(room)
            ok.append(joined)
            begins.append(begin)
        self._tell(connection, e.Subscribed(id=effect.id, ok=tuple(ok), err=tuple(err)))
        turn = trio.current_time() + _TURN_S
        for begin in begins:
            begin(trio.current_time() > turn)

    async def _read(self, gap: Missing) -> list[tuple[int, Message]]:
        """Messages of the log; fewer where some are not to be had."""
        found: list[tuple[int, Message]] = []
        after = gap.after
        while after < gap.until:
            records = await self._bus.read(gap.topic, after=after, limit=min(_PAGE, gap.until - after))
            if not records or records[-1].position.epoch != gap.epoch:
                break
            found += [(record.position.seq, record.message) for record in records]
            after = records[-1].position.seq
        return found

    def _leave(self, connection: Connection, effect: s.Leave) -> None:
        here = set(self.hub.rooms(connection))
        ok, err = [], list(effect.refused)
        for room in effect.rooms:
            if room in here:
                self.hub.leave(connection, room)
                ok.append(e.Left(room=str(room)))
            else:
                err.append(_refused(room, "not_subscribed", "You are not in this room."))
        self._tell(connection, e.Unsubscribed(id=effect.id, ok=tuple(ok), err=tuple(err)))

    def _tell(self, connection: Connection, event: msgspec.Struct) -> None:
        frame = connection.form.wrap(encode(event, connection.form.encoding))
        self.hub.fanout.tell(connection, [frame])

    def _now_us(self) -> int:
        return microseconds(self._seams.clock.now_ns())

    async def _keep_time(self) -> None:
        """Look every tenth of a second whose deadline has come, a few at a time."""
        while True:
            now = trio.current_time()
            turn = now + _TURN_S
            for connection in self._deadlines.due(now):
                self._carry_out_now(connection, connection.session.elapsed(now))
                if trio.current_time() > turn:
                    await trio.lowlevel.checkpoint()
                    turn = trio.current_time() + _TURN_S
            await trio.sleep(_LOOK_S)

    def _voided(self, revocations: Sequence[Revocation] | None) -> None:
        """Somebody's rights have ended: so do their connections."""
        if revocations is None:
            self._doubt.set()
            return
        for revocation in revocations:
            for connection in list(self._of_user.get(revocation.user_id, ())):
                identity = connection.identity
                ended = revocation.session or revocation.key
                if identity is not None and ended in (None, identity.session, identity.key):
                    self._carry_out_now(connection, connection.session.revoked())

    async def _look_again(self) -> None:
        """Revocations may have been missed: look at everybody's credential once more."""
        while True:
            await self._doubt.wait()
            self._doubt = trio.Event()
            try:
                for connection in list(self.connections):
                    if connection.credential is not None and not connection.session.closed:
                        try:
                            await self._accounts.authenticate(connection.credential)
                        except InvalidToken:
                            self._carry_out_now(connection, connection.session.revoked())
            except StoreUnavailable:
                self._doubt.set()
            await trio.sleep(_LOOK_AGAIN_S)

    def _crowded(self, connection: Connection, identity: Identity) -> bool:
        of_user = self._of_user.get(identity.user_id, {})
        return connection not in of_user and len(of_user) >= self._settings.connections_per_user

    def _forget_user(self, connection: Connection) -> None:
        if connection.identity is not None:
            of_user = self._of_user.get(connection.identity.user_id, {})
            of_user.pop(connection, None)
            if not of_user:
                self._of_user.pop(connection.identity.user_id, None)


def _refused(room: Room, code: str, message: str) -> e.Refused:
    return e.Refused(room=str(room), code=code, message=message, retryable=ERRORS[code])
