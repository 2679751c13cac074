"""A hub with members that block, return, join, leave and resume, and the truth that they must come to.

The law: whatever a correct client, which knows the rules of the protocol alone, has at the end is what
the server has; it has never been sent a gap that it was not told of, nor the same thing twice, and no
heartbeat has claimed more than it was sent.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import EnrichedChain, MarketStatus, Message, Position
from deltastream.sockets import events as e
from deltastream.sockets.commands import Resume
from deltastream.sockets.fanout import Batch, Form, Member
from deltastream.sockets.hub import ANSWER_BYTES, Hub, NotThere
from deltastream.sockets.rooms import parse
from deltastream.sockets.streams import stream_name
from deltastream.sockets.updates import Body, chain_data, microseconds, summary_data, surface_data, tick_data

T0 = 1_795_156_200_000_000_000
EXPIRES_AT = 60
"""The step at which the expiry of 2026-11-20 has passed."""

ROOMS = (
    "general",
    "product:NIFTY",
    "chain:NIFTY",
    "chain:SPX",
    "chain:SPXW",
    "chain:NIFTY:2026-11-20",
    "chain:SPX:2026-11-24",
    "chain:SPX:2026-12-29",
    "surface:NIFTY",
)
FORMS = {
    encoding: Form(encoding, lambda payload: len(payload).to_bytes(4, "big") + payload)
    for encoding in ("json", "msgpack")
}
DECODE: dict[str, Callable[[bytes], Any]] = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode}
TOPICS = {"product": "market.tick.", "chain": "enriched.chain.", "surface": "analytics.surface."}


class SimMember(Member):
    """A client behind a socket that takes so many bytes and no more.

    Attributes:
        free: bytes that its socket takes at present.
        held: what did not leave.
        most: that was ever held.
    """

    def __init__(self, hub: Hub, form: Form, client: Any, free: int) -> None:
        super().__init__(form)
        self.hub = hub
        self.client = client
        self.free = free
        self.held = b""
        self.most = 0
        self._came = b""

    def offer(self, batch: Batch) -> bool:
        if not self.free:
            self.blocked = True
            return False
        self._leave(batch.joined)
        return True

    def hold(self, batch: Batch) -> None:
        self._leave(batch.joined)

    def block(self) -> None:
        self.blocked = True

    def grow(self, free: int) -> None:
        """The client has read."""
        self.free += free
        self._leave(b"")
        while self.free and self.blocked and not self.held and self.hub.fanout.catch_up(self):
            self._leave(b"")

    def _leave(self, data: bytes) -> None:
        self.held += data
        taken, self.held = self.held[: self.free], self.held[self.free :]
        self.free -= len(taken)
        self.most = max(self.most, len(self.held))
        self.blocked = self.blocked or bool(self.held)
        self._came += taken
        while len(self._came) >= 4 and len(self._came) >= (size := 4 + int.from_bytes(self._came[:4], "big")):
            frame, self._came = self._came[4:size], self._came[size:]
            self.client.take(DECODE[self.form.encoding](frame))


class Truth:
    """The log, as it was, and what follows from it."""

    def __init__(self) -> None:
        self.log: dict[str, list[Record]] = {}
        self.kept_from: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        self.state: dict[tuple[str, Any], tuple[tuple[int, int], Message]] = {}
        self.statuses: dict[str, MarketStatus] = {}
        self.newest: dict[str, int] = {}

    def append(self, topic: str, message: Message, *, lost: int = 0, new_epoch: bool = False) -> list[Any]:
        """What a follower of the log is given."""
        if new_epoch:
            self.epochs[topic] = self.epochs.get(topic, 0) + 1
            self.log[topic] = []
        epoch = f"e{self.epochs.get(topic, 0)}"
        log = self.log.setdefault(topic, [])
        last = log[-1].position.seq if log else 0
        items: list[Any] = []
        if lost and log:
            items.append(Gap(topic, epoch, last + 1, last + lost, "lost"))
            last += lost
        record = Record(topic, Position(epoch, last + 1), message)
        log.append(record)
        self.keep(message)
        return [*items, record]

    def keep(self, message: Message) -> None:
        if isinstance(message, MarketStatus):
            held = self.statuses.get(message.product)
            if held is None or message.ts_event >= held.ts_event:
                self.statuses[message.product] = message
            return
        name = stream_name(message)
        assert name is not None
        key = (message.root, message.expiry) if isinstance(message, EnrichedChain) else ()
        ts = microseconds(message.ts_event)  # type: ignore[attr-defined]
        held = self.state.get((name, key))
        if held is None or ts >= held[0][0]:
            self.state[name, key] = ((ts, 0), message)
        self.newest[name] = max(self.newest.get(name, 0), message.ts_event)  # type: ignore[attr-defined]

    def read(self, topic: str, epoch: str, after: int, until: int) -> list[tuple[int, Message]]:
        """As a log from which the oldest may have been trimmed."""
        return [
            (record.position.seq, record.message)
            for record in self.log.get(topic, ())
            if record.position.epoch == epoch
            and max(after, self.kept_from.get(topic, 0)) < record.position.seq <= until
        ]

    def expected(self, room: str) -> dict[str, dict[Any, Any]]:
        """By stream and key the data that everybody in a room has; of what has not expired."""
        wanted = parse(room)
        found: dict[str, dict[Any, Any]] = {}
        for (name, key), (_, message) in self.state.items():
            kind, _, product = name.partition(":")
            if wanted.kind == "general":
                if kind == "surface":
                    continue
            elif wanted.kind != kind or (kind != "chain" and wanted.symbol != product):
                continue
            if isinstance(message, EnrichedChain):
                if wanted.kind == "chain" and (
                    wanted.symbol not in (message.product, message.root)
                    or wanted.expiry not in (None, message.expiry)
                ):
                    continue
                if message.expiry_ts <= self.newest[name]:
                    continue
                data = summary_data(message) if wanted.kind == "general" else chain_data(message)
            else:
                data = {"product": tick_data, "surface": surface_data}[kind](message)  # type: ignore[arg-type]
            stream = name if wanted.kind == "general" else room
            found.setdefault(stream, {})[key] = _sent(data)
        return found


def _sent(data: Any) -> Any:
    return msgspec.json.decode(Body(lambda: data).raw("json"))


class Stand:
    """A hub, its fan-out, the log, and members."""

    def __init__(self, model_client: Any, answer_bytes: int = ANSWER_BYTES) -> None:
        self.hub = Hub(answer_bytes)
        self.truth = Truth()
        self.members: dict[int, SimMember] = {}
        self.clients: list[Any] = []
        self._hidden: list[tuple[str, Message]] = []
        self._model = model_client

    def publish(self, topic: str, message: Message, **how: Any) -> None:
        for item in self.truth.append(topic, message, **how):
            self.hub.take(item)

    def hide(self, messages: list[tuple[str, Message]]) -> None:
        """They were there before the log begins, and the store that knows the latest of them is away."""
        self.hub.whole = False
        for _, message in messages:
            self.truth.keep(message)
        known = [*self.truth.statuses.values(), *(message for _, message in self.truth.state.values())]
        latest = {id(message) for message in known}
        self._hidden = [(topic, message) for topic, message in messages if id(message) in latest]

    def complete(self) -> None:
        """The store is back."""
        if not self.hub.whole:
            self.hub.complete(self._hidden)

    def connect(self, number: int, encoding: str, free: int) -> None:
        """A client that comes again knows what it knew."""
        while len(self.clients) <= number:
            self.clients.append(self._model())
        self.disconnect(number)
        self.clients[number].asked.clear()
        self.members[number] = SimMember(self.hub, FORMS[encoding], self.clients[number], free)

    def disconnect(self, number: int) -> None:
        if (member := self.members.pop(number, None)) is not None:
            self.hub.remove(member)

    def enter(self, number: int, names: list[str], *, resume: bool, full: bool, later: bool) -> None:
        """As the desk does."""
        member = self.members[number]
        ok, begins = [], []
        for name in [name for name in dict.fromkeys(names) if name not in member.client.asked]:
            room = parse(name)
            places = member.client.resume(name) if resume else None
            member.client.ask(name)
            wanted = None if places is None else msgspec.convert(places, Resume)
            try:
                gaps = [] if wanted is None else self.hub.missing(room, wanted)
                read = {g.stream: self.truth.read(g.topic, g.epoch, g.after, g.until) for g in gaps}
                self.hub.leave(member, room)
                joined, begin = self.hub.enter(member, room, full=full, resume=wanted, read=read)
            except NotThere:
                member.client.refused(name)
                continue
            ok.append(joined)
            begins.append(begin)
        self.tell(number, e.Subscribed(ok=tuple(ok), err=()))
        for begin in begins:
            begin(later)

    def leave(self, number: int, name: str) -> None:
        self.hub.leave(self.members[number], parse(name))

    def tell(self, number: int, event: msgspec.Struct) -> None:
        member = self.members[number]
        self.hub.fanout.tell(member, [member.form.wrap(e.encode(event, member.form.encoding))])

    def beat(self, number: int) -> None:
        if not self.members[number].blocked:
            self.tell(number, e.Heartbeat(ts=0, seqs=self.hub.standing(self.members[number])))

    async def settle(self) -> None:
        """Everybody reads all there is, the store among them; then all is compared."""
        self.complete()
        await trio.testing.wait_all_tasks_blocked()
        for member in self.members.values():
            member.grow(1 << 40)
        await trio.testing.wait_all_tasks_blocked()
        for number, member in self.members.items():
            self.beat(number)
            assert not member.blocked
            assert not member.behind
            for room in self.hub.rooms(member):
                self.compare(member, str(room))

    def compare(self, member: SimMember, room: str) -> None:
        streams = member.client.rooms[room]
        for name, expected in self.truth.expected(room).items():
            have = {key: held[2] for key, held in streams[name].state.items()}
            assert {key: have.get(key) for key in expected} == expected, (room, name)
        for product, status in self.truth.statuses.items():
            if any(name.endswith(f":{product}") for name in streams) and room == "general":
                assert member.client.statuses[room, product] == status.status
        known = self.hub.standing(member).get(room, {})
        for name, seq in (known if isinstance(known, dict) else {room: known}).items():
            assert seq <= streams[name].seq


@pytest.fixture
def run(model_client: Any) -> Callable[..., None]:
    """Runs work over a stand in virtual time, with the fan-out at work."""

    def run(work: Callable[[Stand], Awaitable[None]], answer_bytes: int = ANSWER_BYTES) -> None:
        async def main() -> None:
            stand = Stand(model_client, answer_bytes)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stand.hub.fanout.run)
                await work(stand)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=trio.testing.MockClock())

    return run


@pytest.fixture
def random_message(chain: Any, tick: Any, surface: Any, status: Any) -> Callable[..., tuple[str, Message]]:
    def make(rng: random.Random, ts: int) -> tuple[str, Message]:
        late = rng.random() < 0.1
        ts = T0 + (ts - rng.randrange(5) if late else ts) * 1_000_000
        product = rng.choice(("NIFTY", "NIFTY", "SPX"))
        draw = rng.random()
        if draw < 0.3:
            return f"market.tick.{product}", tick(ts, rng.random(), product)
        if draw < 0.4:
            return f"market.status.{product}", status(ts, rng.choice(("open", "stale")), product)
        if draw < 0.45:
            return f"analytics.surface.{product}", surface(ts, product, rng.random())
        root = rng.choice(("SPX", "SPXW")) if product == "SPX" else product
        expiry = rng.choice(("2026-11-20", "2026-11-24", "2026-12-01"))
        about = {"expiry_ts": T0 + EXPIRES_AT * 1_000_000} if expiry == "2026-11-20" else {}
        made = chain(ts, product=product, root=root, expiry=expiry, spot=float(rng.randrange(3)), **about)
        for _ in range(rng.randrange(4)):
            value = rng.choice((float("nan"), 1.0, 2.5))
            made.columns[rng.randrange(1, len(made.columns)), rng.randrange(3)] = value
        return f"enriched.chain.{product}", made

    return make


async def _live(stand: Stand, rng: random.Random, make: Any, steps: int) -> None:
    """Anything that can happen, at random."""
    if rng.random() < 0.3:
        stand.hide([make(rng, -10) for _ in range(rng.randrange(12))])
    for step in range(steps):
        number = rng.randrange(5)
        draw = rng.random()
        if draw < 0.5:
            topic, message = make(rng, step)
            fault = rng.random() if not topic.startswith("market.status") else 1.0
            stand.publish(
                topic, message, new_epoch=fault < 0.02, lost=rng.randrange(1, 4) * (0.02 < fault < 0.04)
            )
        elif number not in stand.members or draw < 0.53:
            stand.connect(number, rng.choice(("json", "msgpack")), rng.choice((0, 100, 5_000, 1 << 30)))
        elif draw < 0.68:
            names = rng.sample(ROOMS, rng.randrange(1, 4))
            stand.enter(
                number, names, resume=rng.random() < 0.7, full=rng.random() < 0.3, later=rng.random() < 0.2
            )
        elif draw < 0.71 and (rooms := stand.hub.rooms(stand.members[number])):
            stand.leave(number, str(rng.choice(rooms)))
        elif draw < 0.73:
            stand.disconnect(number)
        elif draw < 0.83:
            stand.beat(number)
        elif draw < 0.95:
            stand.members[number].grow(rng.choice((1, 50, 500, 20_000)))
        elif draw < 0.955:
            stand.complete()
        elif draw < 0.965:
            topic = rng.choice(sorted(stand.truth.log) or [""])
            if log := stand.truth.log.get(topic):
                stand.truth.kept_from[topic] = rng.choice(log).position.seq
        else:
            await trio.testing.wait_all_tasks_blocked()
        if rng.random() < 0.3:
            stand.hub.fanout.carry()
        if rng.random() < 0.3:
            await trio.lowlevel.checkpoint()
        if rng.random() < 0.02:
            await stand.settle()
    await stand.settle()


@pytest.fixture
def scenario(random_message: Any) -> Callable[[int, int], Callable[[Stand], Awaitable[None]]]:
    """What a seed has happen to a stand in so many steps."""
    return lambda seed, steps: lambda stand: _live(stand, random.Random(seed), random_message, steps)
