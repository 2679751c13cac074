"""The command line in this process and in another, and a data directory with something in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from click.testing import CliRunner, Result

from deltastream.bus import Entry, Record, open_bus
from deltastream.cli import cli
from deltastream.host.config import load
from deltastream.host.data_dir import open_data_directory
from deltastream.messages import (
    ENRICHED_ROWS,
    ROW,
    EnrichedChain,
    MarketStatus,
    SurfaceSlice,
    UnderlyingTick,
    VolatilitySurface,
)
from deltastream.seams import Seams
from deltastream.storage import SqliteRepository

S = 1_000_000_000
T0 = 1_795_000_000 * S
EXPIRY = T0 + 86_400 * S


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting of whoever runs the tests gets in; the data directory is a new one.

    Hosts are without a gateway: several may run at once. What a gateway adds has tests of its own.
    """
    for name in [name for name in os.environ if name.startswith("DELTASTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DELTASTREAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DELTASTREAM_BUS__RETRY__MAX_ATTEMPTS", "1")
    monkeypatch.setenv("DELTASTREAM_ACTORS", "feed,enricher,storage,analytics")
    return tmp_path / "data"


class Cli:
    """`deltastream` in this process."""

    def __call__(self, *args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(args), prog_name="deltastream")
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "--json").stdout)

    def refusal(self, *args: str) -> str:
        """The one sentence on standard error of a command that fails."""
        result = self(*args, code=1)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        return result.stderr.rstrip("\n")


@pytest.fixture
def deltastream() -> Cli:
    return Cli()


@pytest.fixture
def start():
    """Start `deltastream` as another process; what still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def started(*args: str, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "deltastream", *args]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **(options | more))
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def tick(number: int, product: str = "NIFTY") -> UnderlyingTick:
    ts = T0 + number * S
    return UnderlyingTick(product=product, price=26_000.0 + number, ts_event=ts, ts_recv=ts + 1)


def chain(number: int, root: str = "NIFTY", expiry: str = "2026-11-24") -> EnrichedChain:
    columns = np.full((ENRICHED_ROWS, 2), np.nan)
    columns[ROW["strike"]] = [25_950.0, 26_000.5]
    columns[ROW["call_bid"]] = [75.0, 50.0]
    columns[ROW["call_iv"], 0] = 0.125
    columns[ROW["call_iv_status"]] = [16.0, 1.0]
    columns[ROW["call_delta"]] = [0.6, 0.5]
    columns[ROW["put_last_trade_us"], 1] = 1_795_000_000_000_001.0
    columns[ROW["put_buildup"], 1] = 2.0
    ts = T0 + number * S
    return EnrichedChain(
        product="NIFTY",
        root=root,
        expiry=expiry,
        expiry_ts=EXPIRY,
        ts_event=ts,
        ts_recv=ts + 1,
        spot=26_000.0,
        currency="INR",
        multiplier=75.0,
        exercise="european",
        settlement="cash",
        oi_unit="contracts",
        volume_unit="contracts",
        oi_cadence="3min",
        columns=columns,
        rate=0.055,
        rate_source="configured",
        forward=26_010.5,
        forward_error=0.25,
        forward_source="parity",
        atm_iv=0.12,
        pcr_oi=0.9,
        flags=("market_closed", "assumed_terms"),
        reasons={"max_pain_strike": "no_open_interest", "t": "stale"},
    )


def status(number: int, state: str, product: str = "NIFTY") -> MarketStatus:
    ts = T0 + number * S
    return MarketStatus(product=product, status=state, reason="test", since=T0, ts_event=ts, ts_recv=ts + 1)


def surface(number: int) -> VolatilitySurface:
    ts = T0 + number * S
    smile = SurfaceSlice(
        root="NIFTY",
        expiry="2026-11-24",
        t=0.02,
        forward=26_010.5,
        atm_iv=0.12,
        avg_iv=None,
        ts_event=ts,
        strikes=(25_950.0, 26_000.5),
        ivs=(0.13, None),
    )
    return VolatilitySurface(product="NIFTY", ts_event=ts, ts_recv=ts + 1, slices=(smile,))


@pytest.fixture
def make() -> Any:
    """Messages: `make.tick`, `make.chain`, `make.status`."""
    from types import SimpleNamespace

    return SimpleNamespace(tick=tick, chain=chain, status=status, S=S, T0=T0, EXPIRY=EXPIRY)


async def _fill(entries: Sequence[Entry], failing: Sequence[str]) -> None:
    settings, seams = load().settings, Seams.system()
    with open_data_directory(settings.data_dir) as directory:
        async with (
            open_bus(directory.journal, settings.bus, seams) as bus,
            SqliteRepository(directory.store, settings.store, seams) as store,
        ):
            positions = await bus.append_batch(entries)
            records = [Record(e.topic, p, e.message) for e, p in zip(entries, positions, strict=True)]
            await store.apply("storage", [r for r in records if not r.topic.startswith("market.chain")])
            async with bus.consume(failing, "broken") as consumer:
                for delivery in await consumer.batch() if failing else ():
                    await consumer.fail(delivery, ValueError("\x1b[2J no good"))


@pytest.fixture
def filled(own_environment: Path) -> Path:
    """A data directory of a host that has stopped, with one dead letter in it."""
    entries = [
        *(Entry("market.tick.NIFTY", tick(number)) for number in range(1, 1201)),
        Entry("market.tick.SPY", tick(5, "SPY")),
        *(
            Entry("market.status.NIFTY", status(n, state))
            for n, state in ((1, "open"), (9, "stale"), (20, "open"), (9000, "closed"))
        ),
        Entry("market.status.BANKNIFTY", status(3, "halted", "BANKNIFTY")),
        *(Entry("enriched.chain.NIFTY", chain(number)) for number in (2, 3, 4)),
        Entry("enriched.chain.NIFTY", chain(3, expiry="2026-12-01")),
        Entry("analytics.surface.NIFTY", surface(2)),
        Entry("analytics.surface.NIFTY", surface(3)),
    ]
    trio.run(_fill, entries, ["market.tick.SPY"])
    return own_environment
