"""The state machine of one connection: every command and event in every state, and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deltastream.sockets import events as e
from deltastream.sockets import session as s
from deltastream.sockets.events import ERRORS
from deltastream.sockets.rooms import Room
from deltastream.sockets.session import Pass, Session
from deltastream.sockets.settings import SocketSettings

SETTINGS = SocketSettings(heartbeat_s=10, auth_s=5, commands_per_s=2, burst=4)
ANN = Pass(user_id="ann", may_read=True, expires=1000.0, expires_us=1)


def new() -> Session:
    return Session("s", "json", SETTINGS, 0.0)


def pending() -> Session:
    session = new()
    session.received('{"op":"auth","token":"t"}', 0.0)
    return session


def opened(who: Pass = ANN) -> Session:
    session = pending()
    session.authenticated(None, who, 1, 0.0)
    return session


def renewing() -> Session:
    session = opened()
    session.received('{"op":"auth","token":"t"}', 0.0)
    return session


def closed() -> Session:
    session = opened()
    session.drained()
    return session


STATES = {"new": new, "pending": pending, "open": opened, "renewing": renewing, "closed": closed}
COMMANDS = {
    "token": '{"id":7,"op":"auth","token":"t"}',
    "ticket": '{"id":7,"op":"auth","ticket":"t"}',
    "both": '{"id":7,"op":"auth","ticket":"t","token":"t"}',
    "subscribe": '{"id":7,"op":"subscribe","rooms":["general","nope","general"]}',
    "unsubscribe": '{"id":7,"op":"unsubscribe","rooms":["product:A"]}',
    "products": '{"id":7,"op":"products"}',
    "ping": '{"id":7,"op":"ping"}',
    "unknown": '{"id":7,"op":"dance"}',
    "wrong": '{"id":7,"op":"subscribe","rooms":[]}',
    "garbage": "{",
}
TABLE = """
              new             pending         open            renewing        closed
token         Authenticate    bad_command     Authenticate    bad_command     nothing
ticket        Authenticate    bad_command     Authenticate    bad_command     nothing
both          bad_command     bad_command     bad_command     bad_command     nothing
subscribe     4001            unauthenticated Enter           Enter           nothing
unsubscribe   4001            unauthenticated Leave           Leave           nothing
products      4001            unauthenticated ListProducts    ListProducts    nothing
ping          4001            unauthenticated TellTime        TellTime        nothing
unknown       4013            4013            unknown_op      unknown_op      nothing
wrong         4013            4013            bad_command     bad_command     nothing
garbage       4013            4013            bad_encoding    bad_encoding    nothing
good          connected       connected       connected       connected       nothing
another       connected       connected       forbidden       forbidden       nothing
no right      4003            4003            4003            4003            nothing
expired       refused,4001    refused,4001    refused         refused         nothing
bad           refused,4001    refused,4001    refused         refused         nothing
away          unavailable     unavailable     unavailable     unavailable     nothing
revoked       4001            4001            4001            4001            nothing
drained       4012            4012            4012            4012            nothing
slow          4009            4009            4009            4009            nothing
violated      4013            4013            4013            4013            nothing
pong          nothing         nothing         nothing         nothing         nothing
1 s           nothing         nothing         nothing         nothing         nothing
5 s           4001            4001            nothing         nothing         nothing
10 s          4001            4001            Beat            Beat            nothing
30 s          4001            4001            4008            4008            nothing
"""


def rows() -> list[tuple[str, str, str]]:
    header, *lines = [line for line in TABLE.splitlines() if line]
    states = header.split()
    found = []
    for line in lines:
        cells = line[14:].split()
        found += [(line[:14].strip(), state, cell) for state, cell in zip(states, cells, strict=True)]
    return found


def happens(session: Session, event: str) -> list[s.Effect]:
    match event:
        case "good":
            return session.authenticated(7, ANN, 1, 0.0)
        case "another":
            return session.authenticated(7, Pass("bob", True, 1000.0, 1), 1, 0.0)
        case "no right":
            return session.authenticated(7, Pass("ann", False, 1000.0, 1), 1, 0.0)
        case "expired":
            return session.authenticated(7, Pass("ann", True, 0.0, 1), 1, 0.0)
        case "bad":
            return session.not_authenticated(7, "no")
        case "away":
            return session.not_authenticated(7, "later", retryable=True)
        case "revoked" | "drained" | "slow":
            return getattr(session, event)()
        case "violated":
            return session.violated("too long")
        case "pong":
            return session.controlled(0.0)
        case _ if event.endswith(" s"):
            return session.elapsed(float(event[:-2]))
        case _:
            return session.received(COMMANDS[event], 0.0)


def told(effects: list[s.Effect]) -> str:
    words = []
    for effect in effects:
        match effect:
            case s.Close():
                words.append(str(int(effect.code)))
            case s.Send(e.Error() as error):
                assert error.retryable is ERRORS[error.code]
                words.append("refused" if error.code == "unauthenticated" and error.id == 7 else error.code)
            case s.Send():
                words.append(type(effect.event).__name__.lower())
            case _:
                words.append(type(effect).__name__)
    return ",".join(words) or "nothing"


@pytest.mark.parametrize(("event", "state", "outcome"), rows())
def test_every_event_in_every_state(event: str, state: str, outcome: str):
    session = STATES[state]()
    effects = happens(session, event)
    found = told(effects)
    assert found.replace("refused", "unauthenticated") == outcome.replace("refused", "unauthenticated")
    assert session.closed == (state == "closed" or any(isinstance(each, s.Close) for each in effects))
    assert not any(isinstance(each, s.Close) for each in effects[:-1]), "nothing comes after a close"
    for effect in effects:
        if isinstance(effect, s.Close | s.Beat):
            continue
        number = effect.event.id if isinstance(effect, s.Send) else effect.id
        assert number == (None if event == "garbage" else 7)


def test_what_a_client_is_told_when_it_has_come_in():
    (effect,) = pending().authenticated("x", ANN, 123, 0.0)
    assert isinstance(effect, s.Send)
    assert msgspec.json.decode(e.encode(effect.event, "json")) == {
        "event": "connected",
        "id": "x",
        "session": "s",
        "server_time": 123,
        "expires": 1,
        "heartbeat_s": 10.0,
        "limits": {"rooms": 200, "commands_per_s": 2.0, "message_bytes": 65536},
    }


def test_names_of_rooms_are_read_once_each():
    (effect,) = opened().received(COMMANDS["subscribe"], 0.0)
    assert isinstance(effect, s.Enter)
    assert effect.rooms == (Room("general"),)
    assert [(refused.room, refused.code) for refused in effect.refused] == [("nope", "bad_room")]


def test_an_auth_that_was_refused_can_be_tried_again_where_somebody_is():
    session = renewing()
    session.not_authenticated(1, "no")
    assert told(session.received(COMMANDS["token"], 0.0)) == "Authenticate"
    assert told(session.authenticated(7, Pass("ann", True, 5000.0, 2), 1, 0.0)) == "connected"
    assert session.elapsed(29.0)
    session.controlled(29.0)
    session.elapsed(1000.0 - 61)
    assert session.closed  # of silence, not of the first token


def test_a_credential_that_ends_is_told_of_once_and_then_closes():
    session = opened(Pass("ann", True, 100.0, 99))
    said = []
    for second in range(101):
        session.controlled(float(second))
        said += [(second, told([effect])) for effect in session.elapsed(float(second))]
    words = [(second, word) for second, word in said if word != "Beat"]
    assert words == [(40, "tokenexpiring"), (100, "4001")]


def test_a_newer_credential_is_warned_of_again():
    session = opened(Pass("ann", True, 100.0, 99))
    session.controlled(40.0)
    assert "tokenexpiring" in told(session.elapsed(40.0))
    session.received(COMMANDS["token"], 41.0)
    session.authenticated(7, Pass("ann", True, 200.0, 199), 1, 41.0)
    for second in range(42, 140):
        session.controlled(float(second))
        assert "expiring" not in told(session.elapsed(float(second)))
    session.controlled(140.0)
    assert "tokenexpiring" in told(session.elapsed(140.0))


def test_the_rate_of_commands_is_limited_and_recovers():
    session = opened()
    for _ in range(3):  # one was spent on auth
        assert told(session.received(COMMANDS["ping"], 0.0)) == "TellTime"
    assert told(session.received(COMMANDS["ping"], 0.5)) == "TellTime"
    assert told(session.received(COMMANDS["ping"], 0.6)) == "4010"
    session = opened()
    for second in range(100):
        assert not session.closed
        session.received(COMMANDS["ping"], second / 2)
    assert not session.closed


def test_pings_are_limited_as_commands_are():
    session = new()
    outcomes = [told(session.controlled(0.0)) for _ in range(6)]
    assert outcomes == ["nothing"] * 4 + ["4010", "nothing"]


@dataclass
class Model:
    """What the protocol promises, kept beside the machine."""

    state: str = "new"
    pending: bool = False
    expires: float = 0.0
    heard: float = 0.0
    tokens: float = 4.0
    filled: float = 0.0


class AgainstTheModel(RuleBasedStateMachine):
    """Anything at any time: nothing after a close, no deadline missed, nobody in without a credential."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = new()
        self.model = Model()
        self.beats: list[float] = []
        self.begun = 0.0

    def done(self, effects: list[s.Effect]) -> list[s.Effect]:
        if self.model.state == "closed":
            assert effects == []
        closes = [effect for effect in effects if isinstance(effect, s.Close)]
        if closes:
            assert effects[-1] is closes[0]
            assert len(closes) == 1
            self.model.state = "closed"
        for effect in effects:
            if isinstance(effect, s.Enter | s.Leave | s.ListProducts | s.TellTime | s.Beat):
                assert self.model.state == "open"
                assert self.now < self.model.expires or not isinstance(effect, s.Beat)
        assert self.session.closed == (self.model.state == "closed")
        return effects

    @rule(seconds=st.sampled_from((0.0, 0.1, 1.0, 5.0, 9.9, 29.0)))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while self.model.state != "closed" and self.session.deadline <= end:
            self.now = max(self.now, self.session.deadline)
            before = self.session.deadline
            effects = self.done(self.session.elapsed(self.now))
            assert effects, "a deadline at which nothing is due"
            if self.model.state != "closed":
                assert self.session.deadline > before
                if any(isinstance(effect, s.Beat) for effect in effects):
                    self.beats.append(self.now)
        self.now = end

    @rule(command=st.sampled_from(sorted(COMMANDS)))
    def says(self, command: str) -> None:
        model = self.model
        filled = min(model.tokens + (self.now - model.filled) * 2, 4.0) - 1
        effects = self.done(self.session.received(COMMANDS[command], self.now))
        if model.state == "closed" and not effects:
            return
        model.tokens, model.filled, model.heard = filled, self.now, self.now
        if filled < 0:
            assert told(effects) == "4010"
        elif any(isinstance(effect, s.Authenticate) for effect in effects):
            assert not model.pending
            model.pending = True
        else:
            assert effects, "every command is answered"

    @precondition(lambda self: self.model.pending and self.model.state != "closed")
    @rule(life=st.sampled_from((-1.0, 0.0, 1.0, 30.0, 61.0, 1000.0)), user=st.sampled_from(("ann", "bob")))
    def is_somebody(self, life: float, user: str) -> None:
        model, known = self.model, self.session.user_id
        model.pending = False
        effects = self.session.authenticated(1, Pass(user, True, self.now + life, 1), 1, self.now)
        if told(effects) == "connected":
            assert life > 0
            assert known in (None, user)
            model.state, model.expires = "open", self.now + life
        self.done(effects)

    @precondition(lambda self: self.model.pending and self.model.state != "closed")
    @rule(away=st.booleans())
    def is_nobody(self, away: bool) -> None:
        self.model.pending = False
        effects = self.done(self.session.not_authenticated(1, "no", retryable=away))
        assert effects

    @rule()
    def pongs(self) -> None:
        model = self.model
        was_closed = model.state == "closed"
        filled = min(model.tokens + (self.now - model.filled) * 2, 4.0) - 1
        effects = self.done(self.session.controlled(self.now))
        if not was_closed:
            model.tokens, model.filled, model.heard = filled, self.now, self.now
            assert (told(effects) == "4010") == (filled < 0)

    @invariant()
    def deadlines_hold(self) -> None:
        if self.model.state == "closed":
            return
        if self.model.state == "new":
            assert self.now < 5.0
        else:
            assert self.now < self.model.expires
            assert self.now < self.model.heard + 30
        assert all(later - earlier >= 10 for earlier, later in zip(self.beats, self.beats[1:], strict=False))


AgainstTheModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAgainstTheModel: Any = AgainstTheModel.TestCase
