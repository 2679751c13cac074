"""A real host in a process of its own, to be killed. Tells what was accepted through standard output.

Usage: kill_child.py DATA_DIR SEED load|drain

Under "load" every accepted market message is told as a line ``topic seq ts_event`` after its
append has returned. "drain" runs the same host without a feed until every group has caught up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
import trio

from deltastream.bus import EmbeddedBus, Entry
from deltastream.feeds.protocol import Delivered, Provider, Refusal
from deltastream.host.config import PIPELINE, Flag, load
from deltastream.host.tree import Host, caught_up
from deltastream.messages import Position
from deltastream.seams import Seams


class TellingBus(EmbeddedBus):
    """Tells each market message once it is accepted."""

    async def append_batch(self, entries: Sequence[Entry]) -> list[Position]:
        positions = await super().append_batch(entries)
        lines = [
            f"{entry.topic} {position.seq} {entry.message.ts_event}\n"
            for entry, position in zip(entries, positions, strict=True)
        ]
        os.write(1, "".join(lines).encode())
        return positions


class NoProvider:
    """A market that says nothing."""

    name = "none"
    silent_after_s = None

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[Delivered | Refusal]]:
        async def nothing() -> AsyncIterator[Delivered | Refusal]:
            return
            yield

        yield nothing()


class KilledHost(Host):
    """The host as it is, telling."""

    drain = False

    def make_bus(self) -> EmbeddedBus:
        return TellingBus(self.data_dir.journal, self.settings.bus, self.seams)

    def make_provider(self) -> Provider:
        return NoProvider() if self.drain else super().make_provider()


async def main(data_dir: str, seed: int, mode: str) -> None:
    values = {
        "data_dir": data_dir,
        "actors": PIPELINE,
        "log.level": "error",
        "synthetic.seed": seed,
        "synthetic.strikes": 15,
        "synthetic.tick_interval_s": 0.02,
        "synthetic.load_chains_per_s": 200.0,
    }
    flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
    KilledHost.drain = mode == "drain"
    host = KilledHost(load(flags=flags, environ={}).settings, Seams.system())
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        if host.drain:
            while not await caught_up(host.bus):  # noqa: ASYNC110  a lag has no event
                await trio.sleep(0.02)
            host.request_stop("drained")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
