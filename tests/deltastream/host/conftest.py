"""A host's parts over real files, without a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from deltastream.bus import Bus, open_bus
from deltastream.host.config import Settings, load
from deltastream.host.data_dir import DataDirectory
from deltastream.messages import OptionChain, UnderlyingTick
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository
from deltastream.storage.protocol import Repository
from supervisors import ChildSpec, LagStatistics, LoopLag, SupervisorSpec, Tree, open_tree


@dataclass
class Parts:
    """What `HostView` asks for, with a supervisor tree of one worker."""

    settings: Settings
    seams: Seams
    bus: Bus
    store: Repository
    data_dir: DataDirectory
    tree: Tree | None = None
    gateway_url: str | None = None
    lag: LoopLag = field(default_factory=LoopLag)
    stopped_for: list[str] = field(default_factory=list)

    def loop_lag(self) -> LagStatistics | None:
        return self.lag.statistics()

    def chain_latency(self) -> None:
        return None

    def socket_statistics(self) -> None:
        return None

    def request_stop(self, reason: str) -> None:
        self.stopped_for.append(reason)


async def _idle(ctx: Any, /, *, task_status: trio.TaskStatus[Any]) -> None:
    task_status.started()
    await trio.sleep_forever()


@pytest.fixture
async def parts(tmp_path: Path):
    environ = {"DELTASTREAM_DATA_DIR": str(tmp_path), "DELTASTREAM_BUS__RETRY__MAX_ATTEMPTS": "1"}
    settings = load(environ=environ).settings
    seams = Seams.system()
    directory = DataDirectory(tmp_path)
    spec = SupervisorSpec(name="host", children=(ChildSpec(name="idle", start=_idle),))
    async with (
        open_bus(directory.journal, settings.bus, seams) as bus,
        SqliteRepository(directory.store, settings.store, seams) as store,
        open_tree(spec, rng=seams.rng) as tree,
    ):
        yield Parts(settings, seams, bus, store, directory, tree)


@pytest.fixture
def tick():
    def make(seq: int, product: str = "NIFTY") -> UnderlyingTick:
        return UnderlyingTick(product=product, price=100.0 + seq, ts_event=seq, ts_recv=seq)

    return make


@pytest.fixture
def market_chain():
    """A small chain as a feed would give it."""
    import numpy as np

    from deltastream.messages import CHAIN_ROWS

    columns = np.full((CHAIN_ROWS, 3), np.nan)
    columns[0] = [90.0, 100.0, 110.0]
    return OptionChain(
        product="NIFTY",
        root="NIFTY",
        expiry="2026-11-24",
        expiry_ts=2_000,
        ts_event=1_000,
        ts_recv=1_000,
        spot=100.0,
        currency="INR",
        multiplier=1.0,
        exercise="european",
        settlement="cash",
        oi_unit="contracts",
        volume_unit="contracts",
        oi_cadence="live",
        columns=columns,
    )
