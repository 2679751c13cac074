"""Where faults, models, readers and traces take hold of a simulation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from deltastream.bus import Gap, Record
from deltastream.feeds.protocol import Provider
from deltastream.host.config import Actor
from deltastream.sim.ledger import Accepted
from deltastream.sim.seams import ThreadHook, Work
from deltastream.sim.verdict import Violation
from supervisors import Event, Service

__all__ = ["Hooks"]


class Hooks:
    """Lists to append to, before the simulation runs. Hooks are called in the order of their list.

    What a dead incarnation does reaches none of them. Those that are not async are called between
    two steps of the system, and must neither raise nor wait.

    Attributes:
        tasks: ``async def task() -> None``, started when the first host is up, cancelled before the last
            one is stopped. It must raise nothing.
        every_second: ``async def look() -> None``, each virtual second from the first start to the stop.
        unsettled: ``async def left() -> str | None``, asked again and again after the end of the feed what is
            still to be done, in words; None: nothing.
        at_end: ``async def check() -> None``, when the feed has ended and all is settled, the host up.
        after_stop: called when the last host has stopped, in order, and nothing of it should be left.
        on_record: given every record and gap that the observer sees, each topic in order.
        on_accept: given every message whose append was acknowledged to the feed.
        on_event: given every event of the tree.
        on_log: given every line that is logged, as a dictionary; costs something where there is one.
        on_up: given the number of an incarnation whose tree stands.
        on_down: given its number and what became of it: "killed", "gave_up" (`World.failure` tells with
            which error), "ended" or "stopped".
        on_struck: given the fault that has struck, and what it struck.
        on_violation: given each violation.
        on_thread: see `ThreadHook`.
        on_sql: given each piece of SQLite work, inside it: what it raises (`sqlite3.Error`, `OSError`), the
            journal or store gets as if SQLite had raised it.
        around: makes contexts in which the whole simulation runs.
        wrap_provider: given the provider that a new incarnation's feed would have, gives the one it has.
        wrap_child: given path and service of every worker, gives the service that runs.
        actors: that run on the host beside those of every simulation; whoever asks for one sees to it that
            it has nothing to do with the real world.
    """

    def __init__(self) -> None:
        self.tasks: list[Callable[[], Awaitable[None]]] = []
        self.every_second: list[Callable[[], Awaitable[None]]] = []
        self.unsettled: list[Callable[[], Awaitable[str | None]]] = []
        self.at_end: list[Callable[[], Awaitable[None]]] = []
        self.after_stop: list[Callable[[], object]] = []
        self.on_record: list[Callable[[Record | Gap], object]] = []
        self.on_accept: list[Callable[[Accepted], object]] = []
        self.on_event: list[Callable[[Event], object]] = []
        self.on_log: list[Callable[[dict[str, Any]], object]] = []
        self.on_up: list[Callable[[int], object]] = []
        self.on_down: list[Callable[[int, str], object]] = []
        self.on_struck: list[Callable[[Any, str], object]] = []
        self.on_violation: list[Callable[[Violation], object]] = []
        self.on_thread: list[ThreadHook] = []
        self.on_sql: list[Callable[[Work], object]] = []
        self.around: list[Callable[[], AbstractContextManager[None]]] = []
        self.wrap_provider: list[Callable[[Provider], Provider]] = []
        self.wrap_child: list[Callable[[str, Service], Service]] = []
        self.actors: list[Actor] = []
