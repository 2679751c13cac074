"""The clients of sockets in a simulation, and what they complain of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from deltastream.bus.protocol import Gap, Record
from deltastream.messages import MarketStatus, Position, UnderlyingTick
from deltastream.sim._kinds import SOCKETS, Crash, CrashLoop, Kill
from deltastream.sim.case import Case, examine, scenario_of
from deltastream.sim.plan import Plan
from deltastream.sim.sockets import archive, follower, framing
from deltastream.sim.sockets.archive import Archive
from deltastream.sim.sockets.facts import Facts
from deltastream.sim.sockets.follower import Follower
from deltastream.sim.sockets.talk import Talk

ROOM = "product:NIFTY"
TOPIC = "market.tick.NIFTY"
S = 1_000_000_000


def tick(seq: int) -> UnderlyingTick:
    return UnderlyingTick(product="NIFTY", price=100.0 + seq, ts_event=seq * S, ts_recv=seq * S)


class Stand:
    """A client that is told things, and what it complains of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(follower.trio, "current_time", lambda: 0.0)
        self.complaints: list[str] = []
        self.archive = Archive()
        facts = Facts(self.archive, self._complain, lambda: False)
        self.facts = facts
        self.client = Follower("client", facts, self._complain)

    def _complain(self, code: str, detail: str) -> None:
        self.complaints.append(code)

    def publish(self, *seqs: int) -> None:
        for seq in seqs:
            self.archive.see(Record(TOPIC, Position("e", seq), tick(seq)), 0.0)

    def enter(self, mode: str = "snapshot", seq: int = 1) -> None:
        self.client.ask([ROOM])
        joined = {"room": ROOM, "mode": mode, "epoch": "e", "seq": seq}
        self.client.take({"event": "subscribed", "ok": [joined], "err": []})

    def send(self, seq: int, **how: Any) -> None:
        price = how.pop("price", 100.0 + seq)
        frame = {
            "event": "underlying_update",
            "room": ROOM,
            "first": seq,
            "seq": seq,
            "ts": seq * 1_000_000,
            "data": {"product": "NIFTY", "price": price, "volume": None},
        }
        self.client.take(frame | how)

    def snapshot(self, seq: int, **how: Any) -> None:
        self.send(seq, kind="snapshot", part=[1, 1], epoch="e", own=seq, **how)

    def beat(self, seq: int) -> None:
        self.client.take({"event": "heartbeat", "ts": 0, "seqs": {ROOM: seq}})


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand(monkeypatch)
    stand.publish(1, 2, 3, 4)
    stand.enter()
    stand.snapshot(1)
    stand.send(2)
    return stand


def test_who_is_sent_everything_complains_of_nothing(stand: Stand):
    stand.send(3)
    stand.beat(3)
    assert stand.client.resume(ROOM) == {"epoch": "e", "seq": 3}
    stand.enter("resumed", 4)
    stand.send(4)
    stand.beat(4)
    stand.facts.finish()
    assert stand.complaints == []
    assert stand.client.updates == 4


def test_a_gap(stand: Stand):
    stand.send(4)
    assert stand.complaints == ["socket_gap"]
    assert list(stand.client.again) == [ROOM]


def test_what_was_left_out_was_superseded(stand: Stand):
    stand.send(4, first=3)
    stand.beat(4)
    assert stand.complaints == []


def test_what_was_left_out_was_the_newest(stand: Stand):
    stand.publish(5)
    stand.send(5, first=3, price=104.0)
    stand.beat(5)
    assert stand.complaints == ["socket_content", "socket_state"]


def test_the_same_again(stand: Stand):
    stand.send(2)
    assert stand.complaints == ["socket_repeated"]


def test_a_heartbeat_ahead(stand: Stand):
    stand.beat(3)
    assert stand.complaints == ["socket_ahead"]


def test_a_snapshot_for_no_reason(stand: Stand):
    stand.snapshot(3)
    stand.snapshot(2, reason="lost")
    assert stand.complaints == [], "it takes the place of updates, or tells what is missing"
    stand.snapshot(1)
    stand.snapshot(4, reason="a mood")
    assert stand.complaints == ["socket_unasked", "socket_unasked"]


def test_a_new_epoch_that_is_not_told(stand: Stand):
    stand.archive.see(Gap(TOPIC, "e", 3, 4, "epoch_changed", new_epoch="f"), 0.0)
    stand.archive.see(Record(TOPIC, Position("f", 3), replace(tick(3), price=7.0)), 0.0)
    stand.send(3, price=7.0)
    assert stand.complaints == ["socket_spliced"]


def test_what_the_log_has_not_yet_is_compared_later(stand: Stand):
    stand.send(3)
    stand.send(4)
    stand.send(5, price=1.0)
    stand.send(6)
    assert stand.complaints == []
    stand.publish(5)
    assert stand.complaints == ["socket_content"]
    stand.facts.finish()
    assert stand.complaints == ["socket_content", "socket_content"], "there never was a sixth"


def test_a_change_without_its_base(stand: Stand):
    data = {"root": "NIFTY", "expiry": "2026-11-24", "base": 1, "head": {}, "rows": [], "columns": {}}
    stand.send(3, kind="delta", data=data)
    assert stand.complaints == ["socket_base"]


def test_of_a_room_that_was_left(stand: Stand):
    stand.client.take({"event": "unsubscribed", "ok": [{"room": ROOM}], "err": []})
    stand.send(3)
    assert stand.complaints == ["socket_stray"]
    stand.client.ask([ROOM])
    stand.send(3)
    assert stand.complaints == ["socket_stray"], "the answer is due, and what comes until then of no use"


def test_the_state_at_a_position_is_the_newest_by_time_then_by_place():
    log = archive.Log()
    for seq, ts in ((1, 5), (2, 9), (3, 7), (4, 9)):
        message = replace(tick(seq), ts_event=ts * S)
        log.take(Record(TOPIC, Position("e", seq), message))
    states = [log.state("e", seq) for seq in range(1, 5)]
    assert [state and state["", ""].message.price for state in states] == [101.0, 102.0, 102.0, 104.0]
    log.miss(Gap(TOPIC, "e", 3, 4, "epoch_changed", new_epoch="f"))
    assert log.damaged
    assert log.end == Position("f", 2)
    found = log.find("f", 2)
    assert found is not None
    assert found.message.price == 102.0, "what stands before the cut has two names"


def said(status: str, ts: int) -> Record:
    message = MarketStatus(product="NIFTY", status=status, reason="r", since=ts, ts_event=ts, ts_recv=ts)
    return Record("market.status.NIFTY", Position("e", ts), message)


def test_statuses_are_the_newest():
    known = Archive()
    for ts, status in ((2, "stale"), (1, "open")):
        known.see(said(status, ts), float(ts))
    assert known.statuses["NIFTY"][0].status == "stale"


def test_a_status_that_may_be_lost_is_not_demanded_until_there_is_a_newer_one():
    known = Archive()
    known.see(said("open", 5), 1.0)
    known.see(Gap("market.status.NIFTY", "e", 6, 5, "epoch_changed", "f"), 2.0)
    assert known.statuses["NIFTY"][0].status == "open", "nothing is lost"
    known.see(Gap("market.status.NIFTY", "e", 5, 5, "epoch_changed", "f"), 2.0)
    known.see(Gap("market.status.NIFTY", "f", 5, 5, "epoch_changed", "g"), 2.0)
    known.see(said("stale", 4), 3.0)
    assert known.statuses == {}
    known.see(said("closed", 6), 4.0)
    assert known.statuses["NIFTY"][0].status == "closed"


def test_frames_come_in_any_pieces():
    payloads = [b"a" * size for size in (0, 5, 200, 70_000)]
    heads = [b"\x81\x00", b"\x81\x05", b"\x82\x7e\x00\xc8", b"\x82\x7f" + (70_000).to_bytes(8, "big")]
    data = b"".join(head + payload for head, payload in zip(heads, payloads, strict=True))
    frames = framing.Frames()
    came = [frame for at in range(0, len(data), 999) for frame in frames.feed(data[at : at + 999], float(at))]
    assert [frame.payload for frame in came] == payloads
    assert [frame.at for frame in came] == [0.0, 0.0, 0.0, 0.0]


def test_a_run_is_the_same_again_and_everything_happens(monkeypatch: pytest.MonkeyPatch):
    """What an invariant is about must come to pass, or it is kept by chance."""
    seen: Counter[str] = Counter()
    told = Talk._told

    def counted(self: Talk, frame: Any) -> Any:
        came = told(self, frame)
        event = came.event
        seen[event["event"]] += 1
        seen[event.get("kind") or event.get("code") or ""] += 1
        for joined in event.get("ok", ()):
            seen[joined.get("mode", "left")] += 1
        return came

    monkeypatch.setattr(Talk, "_told", counted)
    case = Case(replace(scenario_of(7), duration_s=60.0, clients=4, expiries=2), Plan())
    first = examine(case)
    assert first.violations == ()
    events = ("connected", "subscribed", "unsubscribed", "heartbeat", "market_status", "pong", "products")
    updates = ("underlying_update", "chain_update", "chain_summary", "surface_update")
    for what in (*events, *updates, "delta", "full", "snapshot", "resumed", "token_expiring", "error"):
        assert seen[what], seen
    before = dict(seen)
    seen.clear()
    assert examine(case).digest == first.digest
    assert dict(seen) == before


@pytest.mark.parametrize("child", SOCKETS)
def test_children_that_crash_are_started_again(child: str):
    faults = (
        Crash(id=1, at=5.0, child=child),
        CrashLoop(id=2, at=12.0, duration=3.0, gap_s=0.3, child=child),
        Kill(id=3, at=20.0),
    )
    verdict = examine(Case(replace(scenario_of(3), duration_s=30.0, clients=2), Plan(faults)))
    assert verdict.violations == ()
    assert sum(verdict.counts.struck.values()) == 3
