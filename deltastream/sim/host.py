"""The real host, in a simulated process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import trio

from deltastream.accounts import AccountSettings
from deltastream.actors import Feed
from deltastream.bus import BusSettings, Entry, Record
from deltastream.feeds.protocol import Provider
from deltastream.feeds.synthetic import SyntheticSettings
from deltastream.host.config import PIPELINE, Actor, Settings
from deltastream.host.tree import Host
from deltastream.messages import Position
from deltastream.seams import Seams
from deltastream.sim.hooks import Hooks
from deltastream.sim.ledger import Accepted, WitnessedBus
from deltastream.sim.scenario import Scenario
from deltastream.sim.seams import Work
from deltastream.sockets.settings import SocketSettings
from deltastream.storage import SqliteRepository, StoreSettings
from supervisors import ChildSpec, Event, LoopLag, SupervisorSpec

__all__ = ["ACCESS_S", "ACCOUNTS", "SOCKETS", "SimHost", "settings_of"]

T = TypeVar("T")

ACCOUNTS: Final = AccountSettings(bcrypt_cost=4)
"""As configured by default, but for the cost of a password, which is real time here."""

ACCESS_S: Final = 20
"""Life of a token where there are clients of sockets: short enough to end while they are connected."""

SOCKETS: Final = SocketSettings(
    heartbeat_s=2.0, auth_s=2.0, rooms=8, burst=20, message_bytes=4096, outbox_bytes=64 << 10, drain_s=0.5
)
"""Limits that clients come up against within a minute."""

_LAG_INTERVAL_S = 1.0


def settings_of(scenario: Scenario, data_dir: Path, actors: Sequence[Actor] = ()) -> Settings:
    """The configuration of a host in this scenario."""
    bus = BusSettings(durability=scenario.durability)
    if scenario.max_age_s is not None:
        bus = msgspec.structs.replace(bus, max_age_s=scenario.max_age_s)
    edge: tuple[Actor, ...] = ("auth",) if scenario.people or scenario.clients else ()
    accounts = msgspec.structs.replace(ACCOUNTS, access_s=ACCESS_S) if scenario.clients else ACCOUNTS
    return Settings(
        data_dir=str(data_dir),
        bus=bus,
        store=StoreSettings(durability=scenario.durability),
        actors=(*PIPELINE, *edge, *actors),
        accounts=accounts,
        sockets=SOCKETS,
        synthetic=SyntheticSettings(
            seed=scenario.seed,
            products=scenario.products,
            expiries=scenario.expiries,
            strikes=scenario.strikes,
            tick_interval_s=scenario.tick_interval_s,
            chain_interval_s=scenario.chain_interval_s,
            session=scenario.hours,
        ),
    )


class SimHost(Host):
    """One incarnation: the real tree over a data directory, with hooks at its seams.

    Nothing is replaced but the seams and the provider; bus, store, codecs and core are the real ones.
    The control socket is real, too: nobody connects to it, and a listener that nobody connects to
    brings no chance into the run; so it can crash and be restarted like everything else.

    Attributes:
        number: of the incarnation, from 1.
        alive: whether the process is; what a dead one still does counts for nobody.
        death: set when it has died, though what it was running may not have unwound yet.
        stored: records it has applied to the store.
    """

    def __init__(self, number: int, settings: Settings, seams: Seams, market: Provider, hooks: Hooks) -> None:
        self.number = number
        self.alive = True
        self.stored = 0
        self.death = trio.Event()
        self._market = market
        self._hooks = hooks
        super().__init__(settings, seams)
        self.feed = Feed(WitnessedBus(self.bus, self._enter), self._provider, seams)
        self._lag = LoopLag(interval=_LAG_INTERVAL_S)  # virtual time is never late: less often

    def make_store(self) -> SqliteRepository:
        """The real store, with a hook inside its work."""
        return _SimStore(self)

    def make_provider(self) -> Provider:
        """The market, which outlives this host, as faults let it through."""
        provider = self._market
        for wrap in self._hooks.wrap_provider:
            provider = wrap(provider)
        return provider

    def _tree(self) -> SupervisorSpec:
        return self._wrapped(super()._tree(), "")

    def _wrapped(self, spec: SupervisorSpec, above: str) -> SupervisorSpec:
        path = f"{above}{spec.name}"
        children: list[ChildSpec | SupervisorSpec] = []
        for child in spec.children:
            if isinstance(child, SupervisorSpec):
                children.append(self._wrapped(child, f"{path}/"))
                continue
            service = child.start
            for wrap in self._hooks.wrap_child:
                service = wrap(f"{path}/{child.name}", service)
            children.append(dataclasses.replace(child, start=service))
        return dataclasses.replace(spec, children=tuple(children))

    def _log_event(self, event: Event) -> None:
        super()._log_event(event)
        if self.alive:
            for hook in self._hooks.on_event:
                hook(event)

    def _enter(self, entries: Sequence[Entry], positions: Sequence[Position]) -> None:
        if self.alive:
            at = trio.current_time()
            for entry, position in zip(entries, positions, strict=True):
                accepted = Accepted(entry.topic, position, entry.key, entry.message, self.number, at)
                for hook in self._hooks.on_accept:
                    hook(accepted)


class _SimStore(SqliteRepository):
    def __init__(self, host: SimHost) -> None:
        super().__init__(host.data_dir.store, host.settings.store, host.seams)
        self._host = host

    async def apply(self, group: str, records: Sequence[Record], *, passed: Sequence[Record] = ()) -> int:
        new = await super().apply(group, records, passed=passed)
        if self._host.alive:
            self._host.stored += new
        return new

    async def _write(self, work: Callable[[], T]) -> T:
        return await super()._write(self._hooked(work))

    async def _read(self, ask: Callable[..., T]) -> T:
        return await super()._read(self._hooked(ask))

    def _hooked(self, work: Callable[..., T]) -> Callable[..., T]:
        hooks, host = self._host._hooks.on_sql, self._host
        if not hooks or not host.alive:
            return work
        named = Work.of(work, (), host.number)

        def hooked(*args: object) -> T:
            for hook in hooks:
                hook(named)
            return work(*args)

        return hooked
