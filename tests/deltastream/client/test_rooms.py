"""What a client knows of its rooms, beside what the real hub knows, whatever is lost between them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltastream.bus.protocol import Gap, Record
from deltastream.client import ChainSummary, ChainUpdate, Interrupted, UnderlyingUpdate
from deltastream.client._link import Frame
from deltastream.client._rooms import Rooms
from deltastream.messages import Position, UnderlyingTick
from deltastream.sockets import events as wire
from deltastream.sockets.commands import Resume
from deltastream.sockets.fanout import Form, Member
from deltastream.sockets.hub import Hub
from deltastream.sockets.rooms import parse

ROOMS = ("product:NIFTY", "product:SPY", "chain:NIFTY", "chain:NIFTY:2036-12-30", "general")
EXPIRIES = ("2036-11-25", "2036-12-30")
FORMS = {
    "json": (Form("json", bytes), msgspec.json.Decoder(Frame)),
    "msgpack": (Form("msgpack", bytes), msgspec.msgpack.Decoder(Frame)),
}
T0 = 2_000_000_000_000_000_000


class Recorder(Member):
    """A member whose frames lie in a list."""

    def __init__(self, form):
        super().__init__(form)
        self.frames = []
        self.stalled = False

    def offer(self, batch):
        self.frames += batch.frames
        return True

    def hold(self, batch):
        self.frames += batch.frames

    def block(self):
        self.blocked = True


class World:
    """A hub, a line that may lose frames, and a client."""

    def __init__(self, chain_of, encoding):
        self.base = {expiry: chain_of(T0, expiry=expiry) for expiry in EXPIRIES}
        self.form, self.decoder = FORMS[encoding]
        self.hub = Hub()
        self.epoch, self.seqs, self.count = 1, {}, 0
        self.member = Recorder(self.form)
        self.rooms = Rooms()
        self.known = {}
        self.interruptions = []
        for room in ROOMS:
            self.rooms.state(room)

    def put(self, topic, message):
        self.seqs[topic] = self.seqs.get(topic, 0) + 1
        position = Position(f"e{self.epoch}", self.seqs[topic])
        self.hub.take(Record(topic=topic, position=position, message=message))

    def tick(self, product, price):
        self.count += 1
        now = T0 + self.count * 1_000
        self.put(
            f"market.tick.{product}", UnderlyingTick(product=product, price=price, ts_event=now, ts_recv=now)
        )

    def chain(self, expiry, row, bid):
        self.count += 1
        old = self.base[expiry]
        columns = old.columns.copy()
        columns[1, row] = bid
        made = msgspec.structs.replace(old, columns=columns, ts_event=T0 + self.count * 1_000, pcr_oi=bid)
        self.base[expiry] = made
        self.put("enriched.chain.NIFTY", made)

    def lose_messages(self, topic, count):
        """The bus has lost some: the hub hears of it."""
        first = self.seqs.get(topic, 0) + 1
        self.seqs[topic] = first + count - 1
        self.hub.take(
            Gap(topic=topic, epoch=f"e{self.epoch}", first=first, last=first + count - 1, reason="lost")
        )

    def change_epoch(self):
        self.epoch += 1
        self.seqs = {}

    def settle(self):
        self.hub.fanout.settle(self.member)
        while self.member.blocked and not self.member.stalled and self.hub.fanout.catch_up(self.member):
            pass

    def enter(self):
        """Ask for every room that is out, as the client does."""
        out = [state for state in self.rooms if state.standing == "out"]
        for state in out:
            state.standing = "asked"
            place = state.resume()
            resume = None if place is None else msgspec.convert(place, Resume)
            room = parse(state.name)
            if room in self.hub.rooms(self.member):
                self.hub.leave(self.member, room)
            joined, begin = self.hub.enter(self.member, room, resume=resume)
            answer = wire.Subscribed(ok=(joined,), err=())
            self.hub.fanout.tell(self.member, [wire.encode(answer, self.form.encoding)])
            begin(self.count % 3 == 0)  # now and then late, as where many enter at once

    def reconnect(self):
        self.hub.remove(self.member)
        self.member = Recorder(self.form)
        self.rooms.disconnected()
        self.enter()

    def deliver(self, lost=(), twice=()):
        """Hand over what waits, save what is lost on the way; answers never are."""
        self.settle()
        frames, self.member.frames = self.member.frames, []
        for number, data in enumerate(frames):
            frame = self.decoder.decode(data)
            if isinstance(frame, wire.Subscribed):
                self.note(self.rooms.subscribed(frame))
            elif number not in lost:
                for _ in range(1 + (number in twice)):
                    self.note(self.rooms.take(frame))

    def beat(self):
        self.settle()
        beat = wire.Heartbeat(ts=0, seqs=self.hub.standing(self.member))
        self.deliver()
        self.note(self.rooms.take(beat))

    def note(self, events):
        for event in events:
            match event:
                case Interrupted():
                    self.interruptions.append(event)
                case UnderlyingUpdate():
                    self.known[event.room, event.product] = event.price
                case ChainUpdate():
                    self.known[event.room, event.chain.expiry] = event.chain
                case ChainSummary():
                    self.known[event.room, event.head["expiry"]] = event.head["pcr_oi"]

    def check(self):
        """What the client knows is the state of the hub."""
        for product in ("NIFTY", "SPY"):
            for entry in self.hub.streams[f"product:{product}"].state():
                for room in (f"product:{product}", "general"):
                    assert self.known[room, product] == entry.message.price
        for entry in self.hub.streams["chain:NIFTY"].state():
            truth = entry.message
            assert self.known["general", truth.expiry] == truth.pcr_oi
            for room in (
                "chain:NIFTY",
                *(("chain:NIFTY:2036-12-30",) if truth.expiry == "2036-12-30" else ()),
            ):
                chain = self.known[room, truth.expiry]
                assert (chain.ts, chain.pcr_oi) == (truth.ts_event // 1000, truth.pcr_oi)
                for row, name in enumerate(chain.columns):
                    np.testing.assert_array_equal(chain[name], truth.columns[row])


prices = st.integers(1, 99).map(float)
steps = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from(("NIFTY", "SPY")), prices),
    st.tuples(st.just("chain"), st.sampled_from(EXPIRIES), st.integers(0, 2), prices),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("deliver"), st.just(()), st.sets(st.integers(0, 8))),
    st.tuples(st.just("reconnect")),
    st.tuples(st.just("beat")),
    st.tuples(st.just("block")),
    st.tuples(st.just("ready")),
)
troubles = st.one_of(
    st.tuples(st.just("deliver"), st.sets(st.integers(0, 8)), st.sets(st.integers(0, 8))),
    st.tuples(
        st.just("lose_messages"), st.sampled_from(("market.tick.SPY", "enriched.chain.NIFTY")), st.just(3)
    ),
    st.tuples(st.just("change_epoch")),
)


def play(chain_of, encoding, script):
    world = World(chain_of, encoding)
    for product in ("NIFTY", "SPY"):
        world.tick(product, 1.0)
    for expiry in EXPIRIES:
        world.chain(expiry, 0, 1.0)
    world.enter()
    for name, *arguments in script:
        if name == "block":
            world.settle()
            world.member.stalled = world.member.blocked = True
        elif name == "ready":
            world.member.stalled = False
        else:
            getattr(world, name)(*arguments)
            world.enter()
    world.member.stalled = False
    for product in ("NIFTY", "SPY"):
        world.tick(product, 50.0)
    for expiry in EXPIRIES:
        world.chain(expiry, 1, 50.0)
    for _ in range(3):  # a heartbeat tells what is missing, an answer brings it
        world.beat()
        world.enter()
    world.deliver()
    return world


@settings(max_examples=150)
@given(script=st.lists(steps, max_size=40), encoding=st.sampled_from(("json", "msgpack")))
def test_nothing_is_missing_where_nothing_was_lost(chain_of, script, encoding):
    """However slow a client is and however often it comes back, it hears of no gap, and has the state."""
    world = play(chain_of, encoding, script)
    world.check()
    assert world.interruptions == []


@settings(max_examples=300)
@given(
    script=st.lists(st.one_of(steps, troubles), max_size=40), encoding=st.sampled_from(("json", "msgpack"))
)
def test_the_client_has_the_state_whatever_was_lost(chain_of, script, encoding):
    world = play(chain_of, encoding, script)
    world.check()
    assert all(state.standing == "in" for state in world.rooms)


@pytest.mark.parametrize("encoding", sorted(FORMS))
def test_where_there_is_nothing_to_show_the_client_knows_where_it_stands(chain_of, encoding):
    world = World(chain_of, encoding)
    world.rooms = Rooms()
    room = world.rooms.state("chain:NIFTY:2036-11-25")
    world.chain("2036-11-25", 0, 1.0)
    world.count = (world.base["2036-11-25"].expiry_ts - T0) // 1_000
    world.chain("2036-12-30", 0, 1.0)
    world.enter()
    world.beat()
    assert (world.known, world.interruptions) == ({}, [])
    assert room.resume() == {"epoch": "e1", "seq": 2}
    world.change_epoch()
    world.chain("2036-12-30", 0, 2.0)
    world.beat()
    assert [told.reason for told in world.interruptions] == ["epoch_changed"]
    assert room.resume() == {"epoch": "e2", "seq": 0}
