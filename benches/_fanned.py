"""The socket gateway under a crowd, with whatever stands behind it; `benches/fanout.py` runs it.

    python benches/_fanned.py hub|bus port|api

A host without a feed.

hub   what is published is handed to the hub
bus   it is appended to the bus, committed, followed and handed to the hub
port  clients come to the socket gateway's port
api   they come to `/ws` of the API's port

Prints a JSON object with both ports, a token and the text of a message. On the control port a line
with a number publishes up to that seq, and a line ``?`` is answered with statistics.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import tempfile
from typing import Any, Final

import structlog
import trio
from _http import HOST, free_port

from deltastream.bus import Entry, Record
from deltastream.host.collector import LongLived
from deltastream.host.config import Flag, load
from deltastream.host.tree import Host
from deltastream.messages import Position, SurfaceSlice, VolatilitySurface
from deltastream.seams import Seams
from deltastream.sockets.desk import Desk

__all__ = ["ROOM", "surface"]

ROOM: Final = "surface:NIFTY"
TOPIC: Final = "analytics.surface.NIFTY"
EPOCH: Final = "bench"
STRIKES: Final = 15
MOST_CLIENTS: Final = 15_000


def surface(seq: int, now: int) -> VolatilitySurface:
    """A surface of one expiry, whose update takes 500 bytes; each differs from the one before."""
    strikes = tuple(24_000.0 + 50 * n for n in range(STRIKES))
    ivs = tuple(round(0.12 + 0.0001 * ((seq + n * n) % 97), 6) for n in range(STRIKES))
    one = SurfaceSlice(
        root="NIFTY",
        expiry="2026-11-24",
        t=round(0.0125 + 1e-7 * (seq % 1000), 7),
        forward=round(24_350.05 + 0.05 * (seq % 1000), 2),
        atm_iv=ivs[7],
        avg_iv=ivs[3],
        ts_event=now,
        strikes=strikes,
        ivs=ivs,
    )
    return VolatilitySurface(product="NIFTY", ts_event=now, ts_recv=now, slices=(one,))


class Publisher:
    """Publishes surfaces.

    Attributes:
        seq: of the last.
    """

    def __init__(self, host: Host, *, through_bus: bool) -> None:
        self.seq = 0
        self._host = host
        self._through_bus = through_bus

    @property
    def desk(self) -> Desk:
        assert self._host.edge is not None
        return self._host.edge._present_desk()

    async def publish(self, upto: int) -> None:
        """Publish what is due in one batch."""
        now = self._host.seams.clock.now_ns
        due = [surface(seq, now()) for seq in range(self.seq + 1, upto + 1)]
        if self._through_bus:
            await self._host.bus.append_batch([Entry(TOPIC, message) for message in due])
        else:
            for seq, message in enumerate(due, self.seq + 1):
                self.desk.hub.take(Record(TOPIC, Position(EPOCH, seq), message))
        self.seq = max(self.seq, upto)

    async def obey(self, stream: trio.SocketStream) -> None:
        """Serve one connection of the control port."""
        rest = b""
        async for some in stream:
            *lines, rest = (rest + some).split(b"\n")
            due = [int(line) for line in lines if line != b"?"]
            if due and due[-1] > self.seq:
                await self.publish(due[-1])
            if b"?" in lines:
                await stream.send_all(json.dumps(self._statistics()).encode() + b"\n")

    def _statistics(self) -> dict[str, int]:
        fanout = self.desk.hub.fanout
        return {
            "seq": self.seq,
            "frames": fanout.frames,
            "writes": fanout.writes,
            "passed": fanout.passed,
            "blocked": sum(connection.blocked for connection in self.desk.connections),
        }


async def run(directory: str, *, through_bus: bool, on_api: bool) -> None:
    """A host without a feed, until interrupted."""
    api, port = free_port(), free_port()
    values: dict[str, Any] = {
        "data_dir": directory,
        "actors": ("auth", "gateway", "sockets"),
        "log.level": "error",
        "gateway.port": api,
        "gateway.limits.connections": MOST_CLIENTS,
        "sockets.port": port,
        "sockets.strangers_per_address": MOST_CLIENTS,
        "accounts.access_s": 3600,
    }
    flags = tuple(Flag("--bench", path, value, lax=False) for path, value in values.items())
    host = Host(load(flags=flags, environ={}).settings, Seams.system())
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        publisher = Publisher(host, through_bus=through_bus)
        await publisher.publish(1)
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        nursery.start_soon(trio.serve_listeners, publisher.obey, listeners)
        assert host.edge is not None
        user = await host.edge.auth.service.register("bench@example.org", "correct horse battery")
        gc.collect()
        LongLived().__enter__()  # as `deltastream run` does, until the end
        control = listeners[0].socket.getsockname()[1]
        ready = {"port": api if on_api else port, "control": control, "token": user.access}
        print(json.dumps(ready), flush=True)


def main() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with tempfile.TemporaryDirectory(prefix="deltastream-bench-") as directory:
        trio.run(lambda: run(directory, through_bus=sys.argv[1] == "bus", on_api=sys.argv[2] == "api"))


if __name__ == "__main__":
    main()
