"""Rooms, commands, streams and tickets by themselves; what fan-out costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from deltastream.bus.protocol import Record
from deltastream.messages import Position
from deltastream.seams import Seams
from deltastream.sockets import commands, streams
from deltastream.sockets.commands import BadCommand, Subscribe, decode
from deltastream.sockets.fanout import Batch, Form, Member
from deltastream.sockets.hub import Hub
from deltastream.sockets.rooms import BadRoom, Room, parse
from deltastream.sockets.streams import Stream
from deltastream.sockets.tickets import LIFE_S, Tickets
from deltastream.sockets.updates import Body

S = 1_000_000_000


@pytest.mark.parametrize(
    "name",
    ["general", "product:NIFTY", "product:M&M", "chain:SPXW", "chain:NIFTY:2026-11-24", "surface:SPX"],
)
def test_a_room_has_one_name(name: str):
    assert str(parse(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "General", "general:X", "product", "product:", "product:nifty", "product:\n", "alerts"),
        *("product:NIFTY:2026-11-24", "chain:X:", "chain:X:2026-13-01", "chain:X:2026-1-1"),
        *("chain:X:2026-11-24:", "chain:" + "X" * 100),
    ],
)
def test_what_is_no_room(name: str):
    with pytest.raises(BadRoom):
        parse(name)


@given(st.text(max_size=100))
def test_any_text_is_a_room_or_is_not(name: str):
    try:
        assert str(parse(name)) == name
    except BadRoom as bad:
        said = str(bad)
    else:
        return
    assert said.endswith(".")


@given(st.binary(max_size=200), st.sampled_from(("json", "msgpack")))
def test_any_bytes_are_a_command_or_are_told_why_not(data: bytes, encoding: Any):
    try:
        decode(data, encoding)
    except BadCommand as bad:
        code = bad.code
    else:
        return
    assert code in ("bad_encoding", "bad_command", "unknown_op")


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("{", "bad_encoding", None),
        ("[]", "bad_command", None),
        ('{"op":"dance","id":"x"}', "unknown_op", "x"),
        ('{"id":1}', "unknown_op", 1),
        ('{"op":"subscribe","id":1}', "bad_command", 1),
        ('{"op":"subscribe","id":1,"rooms":[]}', "bad_command", 1),
        ('{"op":"ping","id":1,"more":2}', "bad_command", 1),
        ('{"op":"ping","id":1.5}', "bad_command", None),
        ('{"op":"ping","id":true}', "bad_command", None),
        ('{"op":"ping","id":"' + "x" * 65 + '"}', "bad_command", None),
        ('{"op":["ping"]}', "unknown_op", None),
        ("[" * 100_000, "bad_encoding", None),
        ('{"op":"ping","id":' + "9" * 5000 + "}", "bad_command", None),
    ],
)
def test_what_is_wrong_with_a_command(text: str, code: str, number: Any):
    with pytest.raises(BadCommand) as caught:
        decode(text, "json")
    assert (caught.value.code, caught.value.id) == (code, number)


def test_both_encodings_say_the_same():
    plain = {
        "op": "subscribe",
        "id": 1,
        "rooms": ["general"],
        "resume": {"general": {"epoch": "e", "seq": 3}},
    }
    command = decode(msgspec.msgpack.encode(plain), "msgpack")
    assert command == decode(msgspec.json.encode(plain).decode(), "json")
    assert isinstance(command, Subscribe)
    assert command.resume["general"] == commands.Resume("e", 3)


# Streams


def test_the_past_is_bounded_and_whole_or_none(tick: Any):
    stream = Stream("product:NIFTY", "market.tick.NIFTY")
    stream.recall("e", 100, [])
    for number in range(101, 3000):
        stream.take(number, tick(number * S, float(number)))
    for after in (0, 100, 1974, 1975, 1976, 2998, 2999, 5000):
        past = stream.past(after)
        if after < 2999 - streams.PAST_MESSAGES:
            assert past is None
        else:
            assert [entry.seq for entry in past or ()] == list(range(after + 1, 3000))


def test_the_past_is_bounded_in_bytes(chain: Any):
    stream = Stream("chain:NIFTY", "enriched.chain.NIFTY")
    big = chain(strikes=2000)
    for number in range(1, 100):
        stream.take(number, msgspec.structs.replace(big, ts_event=number * S))
    assert sum(entry.size for entry in stream.past(98) or ()) == big.columns.nbytes
    kept = next(after for after in range(100) if stream.past(after) is not None)
    assert (99 - kept) * big.columns.nbytes <= streams.PAST_BYTES < (99 - kept + 1) * big.columns.nbytes


def test_what_has_changed_and_what_has_expired(chain: Any):
    stream = Stream("chain:NIFTY", "enriched.chain.NIFTY")
    stream.take(1, chain(1 * S, expiry="2026-11-24", expiry_ts=10 * S))
    stream.take(2, chain(2 * S, expiry="2026-12-01"))
    stream.take(3, chain(3 * S, expiry="2026-12-01"))
    assert [entry.seq for entry in stream.state()] == [1, 3]
    assert [entry.seq for entry in stream.changed(1)] == [3]
    stream.take(4, chain(2 * S, expiry="2026-12-01"))  # late
    assert [entry.seq for entry in stream.state()] == [1, 3]
    stream.take(5, chain(10 * S, expiry="2026-12-01"))
    assert [entry.seq for entry in stream.state()] == [5]
    stream.begin("f", 0, "epoch_changed")
    assert stream.past(0) == []
    assert [entry.seq for entry in stream.state()] == [0]


# Tickets


class Clock:
    now = 1_000 * S

    def now_ns(self) -> int:
        return self.now


def test_a_ticket_is_good_once_and_not_for_long():
    clock = Clock()
    tickets = Tickets(replace(Seams.system(), clock=clock))
    first, second = tickets.issue("a"), tickets.issue("b")
    assert first.expires == clock.now + LIFE_S * S
    assert tickets.take("nothing") is None
    assert tickets.take("\ud800") is None
    assert tickets.take(first.text) == "a"
    assert tickets.take(first.text) is None
    clock.now += LIFE_S * S
    assert tickets.take(second.text) is None
    held = tickets.issue("c")
    for _ in range(10_000):
        tickets.issue("d")
    assert tickets.take(held.text) is None, "there is an end to what is kept"


# Fan-out


class Counting(Member):
    """Takes everything."""

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.batches: list[Batch] = []

    def offer(self, batch: Batch) -> bool:
        self.batches.append(batch)
        return True

    def hold(self, batch: Batch) -> None:
        self.batches.append(batch)

    def block(self) -> None:
        self.blocked = True


@pytest.fixture
def forms() -> tuple[dict[str, Form], list[bytes]]:
    wrapped: list[bytes] = []

    def wrap(payload: bytes) -> bytes:
        wrapped.append(payload)
        return payload

    return {"json": Form("json", wrap), "msgpack": Form("msgpack", wrap)}, wrapped


def test_a_room_is_closed_where_its_member_has_been_closed_on_entering(forms: Any, tick: Any):
    """What it was told of the first room was too much; nobody is in the second."""
    kinds, _ = forms
    hub = Hub()
    for number, product in enumerate(("NIFTY", "SPX"), start=1):
        hub.take(Record(f"market.tick.{product}", Position("e", number), tick(product=product)))

    class Full(Counting):
        def hold(self, batch: Batch) -> None:
            hub.remove(self)

    member = Full(kinds["json"])
    begins = [hub.enter(member, parse(f"product:{product}"))[1] for product in ("NIFTY", "SPX")]
    for begin in begins:
        begin(False)
    assert hub.open_rooms == 0
    assert not member.blocked


def test_a_state_without_a_place_in_the_log_is_told_anew_when_the_log_begins(forms: Any, tick: Any):
    """The store had it, and the log had nothing of the topic."""
    kinds, _ = forms
    hub = Hub()
    hub.recall("market.tick.NIFTY", Position("", 0), [(0, tick(1 * S, 1.0))])
    member = Counting(kinds["json"])
    hub.enter(member, parse("product:NIFTY"))[1](False)
    hub.take(Record("market.tick.NIFTY", Position("e", 1), tick(2 * S, 2.0)))
    hub.fanout.settle(member)
    frames = [msgspec.json.decode(frame) for batch in member.batches for frame in batch.frames]
    told = [(frame.get("epoch"), frame["seq"], frame.get("reason")) for frame in frames]
    assert told == [("", 0, None), ("e", 0, "epoch_changed"), (None, 1, None)]
    assert frames[-1]["first"] == 1


def test_what_the_store_alone_knew_is_told_with_its_market(forms: Any, tick: Any, status: Any):
    """A product that nobody has heard of, and a price newer than the log's last."""
    kinds, _ = forms
    hub = Hub()
    hub.whole = False
    hub.recall("market.tick.NIFTY", Position("e", 5), [(5, tick(1 * S, 1.0))])
    member = Counting(kinds["json"])
    hub.enter(member, parse("general"))[1](False)
    member.batches.clear()
    known = [("market.status.SPX", status(product="SPX")), ("market.tick.SPX", tick(1 * S, 7.0, "SPX"))]
    hub.complete([*known, ("market.tick.NIFTY", tick(2 * S, 2.0))])
    hub.fanout.settle(member)
    frames = [msgspec.json.decode(frame) for batch in member.batches for frame in batch.frames]
    told = [(f["event"], f.get("reason"), f.get("data", {}).get("price")) for f in frames]
    assert sorted(told, key=str) == [
        ("market_status", "because", None),
        ("underlying_update", "trimmed", 2.0),
        ("underlying_update", None, 7.0),
    ]


def test_who_has_seen_a_stream_that_is_not_there_any_more_is_given_a_snapshot(forms: Any, tick: Any):
    """The log was put back from before its first message: what comes of it goes on from nothing."""
    kinds, _ = forms
    hub = Hub()
    hub.take(Record("market.tick.NIFTY", Position("e", 1), tick()))
    known = {"product:NIFTY": commands.Place("e", 1)}
    for lost, mode in (({}, "resumed"), ({"product:SPX": commands.Place("e", 7)}, "snapshot")):
        joined, _ = hub.enter(
            Counting(kinds["json"]), parse("general"), resume=commands.Resume(streams=known | lost)
        )
        assert joined.mode == mode


async def test_a_message_is_made_once_for_all_who_want_it_alike(
    autojump_clock: Any, forms: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
):
    kinds, wrapped = forms
    hub = Hub()
    members = [Counting(kinds[("json", "msgpack")[number % 2]]) for number in range(400)]
    hub.take(Record("enriched.chain.NIFTY", Position("e", 1), chain(1 * S)))
    for number, member in enumerate(members):
        for room in ("chain:NIFTY", "general")[: 1 + number % 3]:
            hub.enter(member, parse(room), full=number % 5 == 0)[1](False)
    encoded: list[str] = []
    raw = Body.raw
    monkeypatch.setattr(Body, "raw", lambda body, encoding: encoded.append(encoding) or raw(body, encoding))
    wrapped.clear()
    for member in members:
        member.batches.clear()
    hub.take(Record("enriched.chain.NIFTY", Position("e", 2), chain(2 * S, spot=3.0)))
    assert len(wrapped) == len(encoded) <= 2 * 3 + 2  # delta and full of the room, for each encoding; general
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.fanout.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert all(len(member.batches) == 1 for member in members)
    whole = {id(frame) for member in members for frame in member.batches[0].frames}
    assert len(whole) == len(wrapped)


async def test_a_round_lets_others_have_their_turn(autojump_clock: Any, forms: Any, tick: Any):
    kinds, _ = forms
    hub = Hub()
    hub.take(Record("market.tick.NIFTY", Position("e", 1), tick()))
    running: list[int] = []
    steps: list[int] = []

    class Slow(Counting):
        def offer(self, batch: Batch) -> bool:
            autojump_clock.jump(0.0001)  # what a socket may take
            running.append(1)
            return super().offer(batch)

    members = [Slow(kinds["json"]) for _ in range(3000)]
    for member in members:
        hub.enter(member, parse("product:NIFTY"))[1](False)

    async def watch() -> None:
        while True:
            steps.append(len(running))
            running.clear()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        nursery.start_soon(hub.fanout.run)
        for number in range(2, 5):
            hub.take(Record("market.tick.NIFTY", Position("e", number), tick(number * S)))
        while sum(steps) < 3000:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert max(steps) * 0.0001 <= 0.005, "somebody held the loop"
    assert all([len(batch.frames) for batch in member.batches[1:]] == [3] for member in members)


@pytest.mark.parametrize("count", [1, 8, 9, 100])
def test_few_are_given_what_is_published_without_a_turn_of_the_loop(forms: Any, tick: Any, count: int):
    kinds, _ = forms
    hub = Hub()
    hub.take(Record("market.tick.NIFTY", Position("e", 1), tick()))
    members = [Counting(kinds["json"]) for _ in range(count)]
    for member in members:
        hub.enter(member, parse("product:NIFTY"))[1](False)
        member.batches.clear()
    for number in range(2, 5):
        hub.take(Record("market.tick.NIFTY", Position("e", number), tick(number * S)))
    hub.fanout.carry()
    given = [3] if count <= 8 else []
    assert all([len(batch.frames) for batch in member.batches] == given for member in members)
    hub.fanout.carry()
    assert all(len(member.batches) == len(given) for member in members)


async def test_no_more_is_taken_than_can_be_carried(autojump_clock: Any, forms: Any, chain: Any):
    kinds, _ = forms
    hub = Hub()
    member = Counting(kinds["json"])
    hub.take(Record("enriched.chain.NIFTY", Position("e", 1), chain(1 * S)))
    hub.enter(member, Room("chain", "NIFTY"), full=True)[1](False)
    columns = chain(strikes=300).columns
    taken = 0
    with trio.move_on_after(5):
        for number in range(2, 1000):
            await hub.fanout.room()
            columns[1:] = number + 0.123456789
            made = chain(number * S, columns=columns.copy())
            hub.take(Record("enriched.chain.NIFTY", Position("e", number), made))
            taken = number
    assert 10 < taken < 999
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.fanout.run)
        with trio.fail_after(5):
            await hub.fanout.room()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sum(len(batch.frames) for batch in member.batches) == taken
