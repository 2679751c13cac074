"""Whose deadline has come is looked at, whatever became of it meanwhile; nobody else is."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deltastream.sockets._deadlines import Deadlines


@dataclass
class Session:
    deadline: float
    closed: bool = False


@dataclass(eq=False)
class Connection:
    session: Session
    looked_at: float = inf


@dataclass
class Stand:
    """Deadlines, and a model that looks at everybody."""

    deadlines: Any = field(default_factory=Deadlines)
    connections: list[Any] = field(default_factory=list)
    now: float = 0.0

    def come(self, wait: float) -> None:
        self.connections.append(Connection(Session(self.now + wait)))
        self.deadlines.watch(self.connections[-1])

    def look(self, wait: float) -> None:
        expected = [one for one in self.connections if one.session.deadline <= self.now]
        found = []
        for connection in self.deadlines.due(self.now):
            found.append(connection)
            connection.session.deadline = self.now + wait
        assert sorted(map(id, found)) == sorted(map(id, expected))


WAITS = st.floats(0.001, 5.0)


@given(
    st.lists(st.tuples(st.sampled_from(("come", "later", "earlier", "close", "look")), WAITS), max_size=60)
)
def test_it_finds_whom_looking_at_everybody_finds(steps: list[tuple[str, float]]):
    stand = Stand()
    for number, (step, wait) in enumerate(steps):
        stand.now += wait / 3
        if step == "come":
            stand.come(wait)
        elif step == "look":
            stand.look(wait)
        elif stand.connections:
            one = stand.connections[number % len(stand.connections)]
            match step:
                case "later":
                    one.session.deadline += wait
                case "earlier":
                    one.session.deadline -= wait
                    stand.deadlines.watch(one)
                case "close":
                    one.session.closed = True
                    stand.connections.remove(one)
    stand.now += 100.0
    stand.look(1.0)
    assert len(stand.deadlines) == len(stand.connections)


def test_who_is_put_off_again_and_again_is_held_once():
    stand = Stand()
    for _ in range(10):
        stand.come(1.0)
    for _ in range(1000):
        stand.now += 0.1
        for one in stand.connections:
            one.session.deadline = stand.now + 1.0
        stand.look(1.0)
    assert len(stand.deadlines) == 10


def test_who_stays_due_is_looked_at_once_each_time():
    stand = Stand()
    stand.come(1.0)
    stand.now = 2.0
    for _ in range(3):
        assert list(stand.deadlines.due(stand.now)) == stand.connections


def test_who_is_looked_at_as_something_fails_is_looked_at_again():
    stand = Stand()
    for _ in range(3):
        stand.come(1.0)
    stand.now = 2.0
    looking = stand.deadlines.due(stand.now)
    next(looking)
    looking.close()
    assert list(stand.deadlines.due(stand.now)) == [*stand.connections[1:], stand.connections[0]]
