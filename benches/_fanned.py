"""The socket gateway under a crowd, with whatever stands behind it; `benches/fanout.py` runs it.

    python benches/_fanned.py hub|bus port|api

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
import resource
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
import trio

from deltastream.accounts import AccountService, AccountSettings, Administration, KeyRing, SqliteAccountStore
from deltastream.bus import EmbeddedBus, Record
from deltastream.bus.settings import BusSettings
from deltastream.gateway.live import Live
from deltastream.gateway.serving import serve as serve_api
from deltastream.gateway.settings import GatewaySettings, LimitSettings
from deltastream.messages import Position, SurfaceSlice, VolatilitySurface
from deltastream.seams import Seams
from deltastream.sockets.asgi import SocketEndpoint
from deltastream.sockets.desk import Desk
from deltastream.sockets.server import serve
from deltastream.sockets.settings import SocketSettings
from deltastream.storage import SqliteRepository
from deltastream.storage.settings import StoreSettings

__all__ = ["ROOM", "surface"]

ROOM = "surface:NIFTY"
TOPIC = "analytics.surface.NIFTY"
STRIKES = 15
DAY_NS = 86_400 * 10**9


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


class _Context:
    """What actors are told by a supervisor; there is none here."""

    def degraded(self, reason: str) -> None:
        raise SystemExit(f"degraded: {reason}")

    def running(self) -> None:
        pass


class _Publisher:
    """Publishes surfaces, numbered as the bus would, and as it does.

    Attributes:
        seq: of the last.
    """

    def __init__(self, bus: EmbeddedBus, desk: Desk, seams: Seams, *, through_bus: bool) -> None:
        self.seq = 0
        self._bus = bus
        self._desk = desk
        self._now = seams.clock.now_ns
        self._through_bus = through_bus

    async def publish(self, upto: int) -> None:
        while self.seq < upto:
            self.seq += 1
            message = surface(self.seq, self._now())
            if self._through_bus:
                await self._bus.append(TOPIC, message)
            else:
                self._desk.hub.take(Record(TOPIC, Position("bench", self.seq), message))

    async def obey(self, stream: trio.SocketStream) -> None:
        """Serve one connection of the control port."""
        rest = b""
        async for some in stream:
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                if line == b"?":
                    await stream.send_all(json.dumps(self._statistics()).encode() + b"\n")
                else:
                    await self.publish(int(line))

    def _statistics(self) -> dict[str, int]:
        fanout = self._desk.hub.fanout
        return {
            "seq": self.seq,
            "frames": fanout.frames,
            "writes": fanout.writes,
            "passed": fanout.passed,
            "blocked": sum(connection.blocked for connection in self._desk.connections),
        }


async def run(directory: Path, *, through_bus: bool, on_api: bool) -> None:
    """The accounts, the bus, the live state, the desk and the port, until interrupted."""
    seams = Seams.system()
    ctx: Any = _Context()
    bus = EmbeddedBus(directory / "journal.db", BusSettings(), seams)
    store = SqliteRepository(directory / "store.db", StoreSettings(), seams)
    settings = SocketSettings(port=0)
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        await nursery.start(bus.run)
        await stack.enter_async_context(store)
        accounts = await stack.enter_async_context(SqliteAccountStore(directory / "accounts.db", seams))
        ring = KeyRing(directory / "keys", token_s=3600, seams=seams, make=True)
        await ring.open()
        service = AccountService(accounts, ring, AccountSettings(access_s=3600), seams, open_registration=True)
        await nursery.start(service.run, bus)
        await Administration(accounts, seams).first_contact()
        user = await service.register("bench@example.org", "correct horse battery")
        live = Live(bus, store, seams)
        await nursery.start(live.run, ctx)
        desk = Desk(bus, live, service, settings, seams)
        await nursery.start(desk.run, ctx)
        port = await listen(nursery, desk, settings, seams, on_api=on_api)
        publisher = _Publisher(bus, desk, seams, through_bus=through_bus)
        await publisher.publish(1)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, publisher.obey, listeners)
        gc.collect()
        gc.freeze()  # as `deltastream run` does
        control = listeners[0].socket.getsockname()[1]
        print(json.dumps({"port": port, "control": control, "token": user.access}), flush=True)
        await trio.sleep_forever()


async def listen(
    nursery: trio.Nursery, desk: Desk, settings: SocketSettings, seams: Seams, *, on_api: bool
) -> int:
    """Serve clients; the port."""
    if not on_api:
        bound = await nursery.start(serve, desk, settings, GatewaySettings(), seams)
        return int(bound.port)
    endpoint = SocketEndpoint(desk, settings, seams)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await endpoint(scope, receive, send, scope["client"][0])
            return
        while True:
            told = (await receive())["type"]
            await send({"type": f"{told}.complete"})
            if told == "lifespan.shutdown":
                return

    limits = LimitSettings(connections=settings.connections)
    at = await nursery.start(serve_api, app, GatewaySettings(port=0, limits=limits), seams)
    return int(at.port)


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="deltastream-bench-") as directory:
        trio.run(
            lambda: run(Path(directory), through_bus=sys.argv[1] == "bus", on_api=sys.argv[2] == "api")
        )


if __name__ == "__main__":
    main()
