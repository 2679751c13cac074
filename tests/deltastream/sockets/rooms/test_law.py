"""From messages to members, whatever happens: all come to the server's state, and a planted bug is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.sockets import fanout
from deltastream.sockets._frames import Frames
from deltastream.sockets.fanout import Member
from deltastream.sockets.hub import Hub


@given(st.integers(0, 2**32))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_everybody_comes_to_the_servers_state(run: Any, scenario: Any, seed: int):
    run(scenario(seed, 120))


@given(st.integers(0, 2**32), st.sampled_from((0, 500, 3000)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_everybody_comes_there_in_small_pieces(run: Any, scenario: Any, seed: int, answer_bytes: int):
    run(scenario(seed, 120), answer_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_everybody_comes_to_the_servers_state_in_the_long_run(run: Any, scenario: Any, seed: int):
    run(scenario(seed, 1500))


def unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is passed over is not remembered to have missed anything."""
    monkeypatch.setattr(fanout, "_miss", lambda member, one: None)


def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats tell where streams stand, whatever was sent."""

    def standing(hub: Hub, member: Member) -> dict[str, int | dict[str, int]]:
        seqs: dict[str, int | dict[str, int]] = {}
        for room in hub.rooms(member):
            places = hub._rooms[room].positions
            by_stream = {name: hub.streams[name].seq for name in places}
            seqs[str(room)] = by_stream if str(room) == "general" else next(iter(by_stream.values()))
        return seqs

    monkeypatch.setattr(Hub, "standing", standing)


def overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way to who catches up is forgotten."""

    def overtake(self: Any, member: Member) -> None:
        self._seal_of(member)
        member.upto = self._stamp

    monkeypatch.setattr(fanout.Fanout, "_overtake", overtake)


def unbased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is sent changes, who has fallen behind as well."""
    update = Frames.update
    monkeypatch.setattr(Frames, "update", lambda *args, whole: update(*args, whole=False))


def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store alone knew is left out, though it is back."""
    monkeypatch.setattr(Hub, "complete", lambda hub, state: setattr(hub, "whole", True))


@pytest.mark.parametrize("plant", [unrecorded, ahead, overlooked, unbased, unasked])
def test_planted_bugs_are_found(
    run: Any, scenario: Any, monkeypatch: pytest.MonkeyPatch, plant: Callable[..., None]
):
    plant(monkeypatch)
    found = False
    for seed in range(40):
        try:
            run(scenario(seed, 200))
        except* (AssertionError, KeyError):
            found = True
        if found:
            return
    pytest.fail("nobody noticed")
