"""The page's side of the protocol, against a server that says what the test lets it say."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOM = "product:X"
BEGIN = """({Socket}, [url, rooms]) => {
  let tickets = 0;
  globalThis.told = [];
  globalThis.states = [];
  const socket = new Socket(new URL(url), async () => `ticket ${++tickets}`);
  socket.updates.listen(({ seq, event, data = null }) => {
    told.push(["update", seq ?? event, structuredClone(data)]);
  });
  socket.breaks.listen(({room, reason}) => told.push(["break", room, reason]));
  socket.refused.listen(({room, code}) => told.push(["refused", room, code]));
  socket.changed.listen(({state}) => states.push(state));
  globalThis.socket = socket;
  socket.be(rooms);
  socket.open();
}"""


class Server:
    """One end of a socket, whose other end is the page's.

    Attributes:
        heard: commands of the page that nobody has looked at yet.
        connections: so many have come.
    """

    def __init__(self, modules: Any, *, heartbeat_s: float = 10.0) -> None:
        self.visit = modules.visit
        self.heard: list[dict[str, Any]] = []
        self.connections = 0
        self.answers = True
        self._heartbeat_s = heartbeat_s
        self._socket: Any = None
        self.visit.context.route_web_socket("**/scripted", self._come)
        self._modules = modules

    def begin(self, *rooms: str) -> None:
        url = self.visit.host.url.replace("http", "ws") + "/scripted"
        self._modules("core/socket", BEGIN, [url, list(rooms or (ROOM,))])

    def _come(self, socket: Any) -> None:
        self.connections += 1
        self._socket = socket
        socket.on_message(lambda text: self._hear(socket, json.loads(text)))

    def _hear(self, socket: Any, command: dict[str, Any]) -> None:
        self.heard.append(command)
        if command["op"] == "auth" and self.answers:
            server_time = round(time.time() * 1e6)
            said = {"event": "connected", "server_time": server_time, "heartbeat_s": self._heartbeat_s}
            socket.send(json.dumps(said))

    def hear(self, op: str) -> dict[str, Any]:
        """The next command, which is such a one."""
        command = self.visit.eventually(lambda: self.heard and self.heard.pop(0))
        assert command["op"] == op, command
        return command

    def say(self, **frame: Any) -> None:
        self._socket.send(json.dumps(frame))

    def let_in(self, mode: str = "snapshot", **place: Any) -> dict[str, Any]:
        """Answer a subscription to one room."""
        command = self.hear("subscribe")
        (room,) = command["rooms"]
        self.say(event="subscribed", id=command["id"], ok=[{"room": room, "mode": mode, **place}], err=[])
        return command

    def snapshot(self, seq: int, data: Any = "snapshot", **more: Any) -> None:
        frame = {"event": "underlying_update", "room": ROOM, "kind": "snapshot", "part": [1, 1]}
        self.say(**{**frame, "epoch": "e1", "own": seq, "seq": seq, "ts": 1, "data": data, **more})

    def update(self, seq: int, first: int | None = None, **more: Any) -> None:
        first = seq if first is None else first
        frame = {"event": "underlying_update", "room": ROOM, "first": first, "seq": seq, "ts": seq}
        self.say(**{**frame, "data": f"data {seq}", **more})

    def close(self, code: int, reason: str = "") -> None:
        self._socket.close(code=code, reason=reason)

    def arrive(self, seq: int = 5) -> None:
        """Have the page in its room, at a position."""
        assert self.hear("auth")["ticket"].startswith("ticket ")
        self.let_in(epoch="e1", seq=seq)
        self.snapshot(seq)
        self.visit.eventually(lambda: self.seqs()[-1:] == [seq])

    def told(self) -> list[Any]:
        return self.visit.page.evaluate("() => told")

    def seqs(self) -> list[Any]:
        return [each[1] for each in self.told() if each[0] == "update"]

    def breaks(self) -> list[Any]:
        return [each[1:] for each in self.told() if each[0] == "break"]

    def state(self) -> Any:
        return self.visit.page.evaluate("() => socket.state")

    def silent(self, ms: int = 150) -> bool:
        """Whether the page says nothing for a while."""
        self.visit.page.wait_for_timeout(ms)
        return self.heard == []


@pytest.fixture
def server(modules) -> Server:
    return Server(modules)


def test_snapshot_updates_and_repetitions(server):
    server.begin()
    server.arrive()
    for seq in (6, 6, 7, 5, 8):
        server.update(seq)
    server.update(11, first=9)
    server.visit.eventually(lambda: server.seqs()[-1] == 11)
    assert server.seqs() == ["began", 5, 6, 7, 8, 11]
    assert server.breaks() == []
    assert server.silent()
    assert server.state()["state"] == "live"


def test_a_gap_is_filled_and_nothing_given_before_it_is(server):
    server.begin()
    server.arrive()
    server.update(8)
    command = server.hear("subscribe")
    assert command["resume"] == {ROOM: {"epoch": "e1", "seq": 5}}
    server.update(9, first=6)
    server.say(
        event="subscribed", id=command["id"], err=[],
        ok=[{"room": ROOM, "mode": "resumed", "epoch": "e1", "seq": 9}],
    )  # fmt: skip
    for seq in (6, 7, 8, 9):
        server.update(seq)
    server.visit.eventually(lambda: server.seqs()[-1] == 9)
    assert server.seqs() == ["began", 5, 6, 7, 8, 9]
    assert server.breaks() == []


def test_what_is_lost_for_good_is_told(server):
    server.begin()
    server.arrive()
    server.update(800)
    server.let_in(epoch="e1", seq=800)
    server.snapshot(800)
    server.visit.eventually(lambda: server.seqs()[-1] == 800)
    assert server.breaks() == [[ROOM, "missed"]]
    server.snapshot(2, epoch="e2", reason="epoch_changed")
    server.update(3)
    server.visit.eventually(lambda: server.seqs()[-1] == 3)
    assert server.breaks() == [[ROOM, "missed"], [ROOM, "epoch_changed"]]
    server.close(4012)
    server.hear("auth")
    assert server.hear("subscribe")["resume"] == {ROOM: {"epoch": "e2", "seq": 3}}


CHAIN = {
    "root": "X",
    "expiry": "2026-11-24",
    "spot": 1.5,
    "flags": [],
    "columns": {"a": [1, 2, 3], "b": [None, 5, 6]},
}


def test_deltas_change_the_chain_they_are_of(server):
    server.begin("chain:X")
    server.hear("auth")
    server.let_in(epoch="e1", seq=5)
    frame = {"event": "chain_update", "room": "chain:X"}
    server.say(**frame, kind="snapshot", part=[1, 1], epoch="e1", own=4, seq=5, ts=1, data=CHAIN)
    delta = {"root": "X", "expiry": "2026-11-24", "base": 4, "head": {"spot": 2.5}, "rows": [0, 2]}
    server.say(**frame, kind="delta", first=6, seq=6, ts=2, data={**delta, "columns": {"b": [7, None]}})
    server.say(
        **frame,
        kind="delta",
        first=7,
        seq=7,
        ts=3,
        data={**delta, "base": 6, "rows": [], "columns": {}, "head": {"flags": ["x"]}},
    )
    server.visit.eventually(lambda: server.seqs()[-1] == 7)
    first, second, third = (each[2] for each in server.told() if isinstance(each[1], int))
    assert first == CHAIN
    assert second == {**CHAIN, "spot": 2.5, "columns": {"a": [1, 2, 3], "b": [7, 5, None]}}
    assert third == {**second, "flags": ["x"]}
    server.say(**frame, kind="delta", first=8, seq=8, ts=4, data={**delta, "base": 99, "columns": {}})
    command = server.hear("subscribe")
    assert command["resume"] == {}
    assert server.seqs()[-1] == 7


def test_a_snapshot_in_parts_begins_once(server):
    server.begin("chain:X")
    server.hear("auth")
    server.let_in(epoch="e1", seq=5)
    frame = {"event": "chain_update", "room": "chain:X", "kind": "snapshot", "epoch": "e1", "seq": 5, "ts": 1}
    for part, expiry in ((1, "2026-11-24"), (2, "2026-12-01")):
        server.say(**frame, own=part, part=[part, 2], data={**CHAIN, "expiry": expiry})
    server.visit.eventually(lambda: len(server.told()) == 3)
    assert server.seqs() == ["began", 5, 5]
    for own, expiry in ((1, "2026-11-24"), (2, "2026-12-01")):
        delta = {"root": "X", "expiry": expiry, "base": own, "head": {}, "rows": [], "columns": {}}
        server.say(
            event="chain_update", room="chain:X", kind="delta", first=5 + own, seq=5 + own, ts=2, data=delta
        )
    server.visit.eventually(lambda: server.seqs()[-1] == 7)
    assert server.silent()


def test_a_heartbeat_that_is_ahead_shows_a_loss(server):
    server.begin()
    server.arrive()
    server.say(event="heartbeat", ts=1, seqs={ROOM: 5, "product:OTHER": 99})
    assert server.silent()
    server.say(event="heartbeat", ts=1, seqs={ROOM: 6})
    assert server.let_in("resumed", epoch="e1", seq=9)["resume"] == {ROOM: {"epoch": "e1", "seq": 5}}
    # What was passed over on purpose on the way to 9 is no loss, nor is what begins behind it.
    server.say(event="heartbeat", ts=1, seqs={ROOM: 9})
    server.update(10)
    server.visit.eventually(lambda: server.seqs()[-1] == 10)
    assert server.silent()


def test_several_streams_of_one_room(server):
    server.begin("general")
    server.hear("auth")
    streams = {"product:X": {"epoch": "e1", "seq": 5}, "product:Y": {"epoch": "e2", "seq": 7}}
    server.let_in(streams=streams)
    for stream, place in streams.items():
        server.snapshot(place["seq"], room="general", stream=stream, epoch=place["epoch"])
    server.update(6, room="general", stream="product:X")
    server.update(1, room="general", stream="product:NEW", epoch="e3")
    server.visit.eventually(lambda: server.seqs()[-1] == 1)
    server.say(event="heartbeat", ts=1, seqs={"general": {"product:X": 6, "product:Y": 7, "product:NEW": 1}})
    assert server.silent()
    server.say(event="heartbeat", ts=1, seqs={"general": {"product:X": 6, "product:Y": 8}})
    streams["product:X"]["seq"] = 6
    assert server.hear("subscribe")["resume"] == {
        "general": {"streams": {**streams, "product:NEW": {"epoch": "e3", "seq": 1}}}
    }


def test_a_mute_server_is_left(modules):
    server = Server(modules, heartbeat_s=0.2)
    server.begin()
    server.arrive()
    server.visit.eventually(lambda: server.connections == 2, 10)
    assert server.visit.page.evaluate("() => states").count("lost") == 1
    assert server.hear("auth")["ticket"] == "ticket 2"
    assert server.let_in("resumed", epoch="e1", seq=6)["resume"] == {ROOM: {"epoch": "e1", "seq": 5}}
    server.update(6)
    server.visit.eventually(lambda: server.seqs() == ["began", 5, 6])
    assert server.breaks() == []


@pytest.mark.parametrize("code", [4001, 4008, 4009, 4010, 4012, 1011])
def test_closes_after_which_it_comes_again(server, code):
    server.begin()
    server.arrive()
    server.close(code, "because")
    server.visit.eventually(lambda: server.state()["state"] != "live")
    server.visit.eventually(lambda: server.connections == 2, 5)
    assert server.hear("auth")["ticket"] == "ticket 2"
    assert server.hear("subscribe")["resume"] == {ROOM: {"epoch": "e1", "seq": 5}}
    assert server.visit.page.evaluate("() => states") == ["connecting", "live", "lost", "connecting", "live"]


@pytest.mark.parametrize("code", [4003, 4013])
def test_closes_that_are_final(server, code):
    server.begin()
    server.arrive()
    server.close(code, "Never.")
    server.visit.eventually(lambda: server.state()["state"] == "refused")
    assert server.state()["reason"] == "Never."
    server.visit.page.evaluate("() => dispatchEvent(new Event('online'))")
    server.visit.page.wait_for_timeout(700)
    assert server.connections == 1


def test_pauses_grow_and_a_network_that_is_back_ends_them(server):
    server.answers = False
    server.begin()
    for connection in range(1, 5):
        server.visit.eventually(lambda connection=connection: server.connections == connection)
        server.hear("auth")
        server.close(4012)
    state = server.visit.eventually(lambda: (state := server.state())["state"] == "lost" and state)
    assert 0.2 * 4000 <= state["retry"] - server.visit.page.evaluate("() => Date.now()") + 200 <= 4200
    server.answers = True
    server.visit.page.evaluate("() => dispatchEvent(new Event('online'))")
    server.visit.eventually(lambda: server.connections == 5, 0.7)
    server.arrive()
    assert server.visit.page.evaluate("() => socket.pause") == 500


def test_rooms_are_left_entered_and_asked_for_again(server):
    server.begin()
    server.arrive()
    server.visit.page.evaluate("() => socket.be(['product:Y'])")
    assert server.hear("unsubscribe")["rooms"] == [ROOM]
    command = server.hear("subscribe")
    assert (command["rooms"], command["resume"]) == (["product:Y"], {})
    server.update(6)
    error = {"room": "product:Y", "code": "unknown_room", "message": "No.", "retryable": True}
    server.say(event="subscribed", id=command["id"], ok=[], err=[error])
    server.visit.eventually(lambda: server.told()[-1] == ["refused", "product:Y", "unknown_room"])
    assert server.seqs() == ["began", 5]
    server.visit.page.evaluate("() => { socket.again('product:Y'); socket.again('product:Z'); }")
    assert server.hear("subscribe")["rooms"] == ["product:Y"]


def test_a_room_that_is_left_and_entered_again_waits_for_its_own_answer(server):
    server.begin()
    server.arrive()
    server.visit.page.evaluate(
        "(room) => { for (const rooms of [[], [room], [], [room]]) socket.be(rooms); }", ROOM
    )
    first, second = [[server.hear("unsubscribe"), server.hear("subscribe")][1] for _ in range(2)]
    for command, seq in ((first, 6), (second, 7)):
        assert "resume" not in command or command["resume"] == {}
        ok = {"room": ROOM, "mode": "snapshot", "epoch": "e1", "seq": seq}
        server.say(event="subscribed", id=command["id"], ok=[ok], err=[])
        server.snapshot(seq)
    server.visit.eventually(lambda: server.seqs()[-1] == 7)
    assert server.seqs() == ["began", 5, "began", 7]
    assert server.breaks() == []
    assert server.silent()


def test_a_credential_is_renewed_and_clocks_are_compared(server):
    server.begin()
    server.arrive()
    server.say(event="token_expiring", expires=1)
    assert server.hear("auth")["ticket"] == "ticket 2"
    assert server.silent()
    assert server.state()["state"] == "live"
    server.say(event="heartbeat", ts=round((time.time() + 3600) * 1e6), seqs={})
    server.visit.eventually(
        lambda: server.visit.page.evaluate("() => Math.abs(socket.skew - 3600000) < 2000")
    )


def test_an_end_is_an_end(server):
    server.begin()
    server.arrive()
    server.visit.page.evaluate("() => socket.close()")
    server.visit.eventually(lambda: server.state()["state"] == "refused")
    server.visit.page.wait_for_timeout(700)
    assert server.connections == 1
