"""A thousand visits of bad clients while servers and actors die: all come to the server's state."""

from __future__ import annotations

import gc
import os
import random
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from wsproto.utilities import LocalProtocolError

from deltastream.gateway.settings import GatewaySettings
from deltastream.host.config import Flag, load
from deltastream.host.tree import Host
from deltastream.messages import UnderlyingTick
from deltastream.seams import Seams
from deltastream.sockets._places import takes
from deltastream.sockets.rooms import GENERAL
from supervisors import SupervisorSpec

ROOMS = ("general", "product:NIFTY", "product:SPX", "chain:NIFTY", "chain:SPX", "chain:SPXW:2026-12-01")
VISITS = [pytest.param(False, 1000, id="plain"), pytest.param(True, 500, id="tls")]
CLIENTS = 16
LIVELY = {"burst": 1000, "commands_per_s": 1000, "outbox_bytes": 256 << 10}


class Market:
    """A feed that never rests."""

    def __init__(self, served: Any, chain: Any, rng: random.Random) -> None:
        self.served = served
        self.chain = chain
        self.rng = rng

    async def run(self) -> None:
        clock, rng = Seams.system().clock, self.rng
        while True:
            now = clock.now_ns()
            product = rng.choice(("NIFTY", "SPX"))
            if rng.random() < 0.7:
                tick = UnderlyingTick(product=product, price=rng.random() + 1, ts_event=now, ts_recv=now)
                await self.served.bus.append(f"market.tick.{product}", tick)
            else:
                root = rng.choice(("SPX", "SPXW")) if product == "SPX" else product
                expiry = rng.choice(("2026-11-24", "2026-12-01"))
                made = self.chain(
                    now, product=product, root=root, expiry=expiry, strikes=100, expiry_ts=now + 10**16
                )
                made.columns[1 : rng.randrange(2, len(made.columns))] = rng.random()
                await self.served.chain(made)
            await trio.sleep(0.002)


def masked(first: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else struct.pack("!BQ", 0xFF, size)
    return bytes((first,)) + length + b"\0\0\0\0" + payload


def malice(rng: random.Random) -> bytes:
    """What no client should send, or hardly any does."""
    ping = b'{"op":"ping","id":9}'
    at = rng.randrange(len(ping))
    return rng.choice(
        (
            rng.randbytes(rng.randrange(1, 100)),
            masked(0x01, ping[:at]) + masked(0x89, b"amid") + masked(0x80, ping[at:]),
            masked(0x01, b"[") + masked(0x00, b"[") * 2000,
            masked(0x89, rng.randbytes(20)) * rng.randrange(1, 1500),
            masked(0x81, b"[" * 70_000),
            masked(0x81, rng.randbytes(30)),
            masked(0x82, ping),
            b"\x81\xff\x7f" + b"\xff" * 7,
            masked(0x81, ping)[: rng.randrange(1, 20)],
            masked(0x88, b"\x0f\xa0bye"),
        )
    )


class Visitor:
    """A client who comes again and again, in one way or another.

    Attributes:
        model: what it knows.
        compared: how often it stood where a room stood, and knew the same.
    """

    def __init__(self, served: Any, model: Any, rng: random.Random, rooms: Sequence[str]) -> None:
        self.model = model
        self.compared = 0
        self._served = served
        self._rng = rng
        self._rooms = rooms

    async def come(self, times: int) -> None:
        """Come so often; where nobody is there, wait a little."""
        while times:
            try:
                await self._visit()
            except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError):
                pass  # cut off, or told to go
            except OSError:
                await trio.sleep(0.05)
                continue
            times -= 1

    async def settle(self) -> None:
        """Enter every room, and read until it stands where the server does."""
        self.model.asked.clear()
        async with self._served.client(model=self.model) as client:
            await self._enter(client, self._rooms)
            with trio.fail_after(20):
                while self._agrees() < len(self._rooms):
                    assert await client.frame() is not None, client.closed

    async def _visit(self) -> None:
        rng = self._rng
        self.model.asked.clear()
        how = {
            "protocols": rng.choice(((), ("deltastream.v1",))),
            "deflate": rng.random() < 0.5,
            "headers": [(b"X-API-Key", self._served.token.encode())],
        }
        async with self._served.client(model=self.model, auth=False, **how) as client:
            plain = getattr(client.stream, "transport_stream", client.stream)
            if rng.random() < 0.3:
                plain.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
            await self._enter(client, rng.sample(self._rooms, rng.randrange(1, 5)))
            await self._read(client, rng.random() * 0.2)
            match rng.randrange(7):
                case 0:
                    await trio.sleep(rng.random() * 0.3)  # stalls, then reads on
                    await self._read(client, 0.2)
                case 1:
                    await plain.send_eof()
                    await self._read(client, 0.05)
                case 2:
                    await client.stream.send_all(malice(rng))
                    await self._read(client, 0.1)
                case 3:
                    linger = struct.pack("ii", 1, 0)
                    plain.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                case 4:
                    await self._enter(client, rng.sample(self._rooms, 2))
                    await self._read(client, 0.2)
                case 5:
                    for byte in masked(0x81, b'{"op":"ping"}'):
                        await client.stream.send_all(bytes((byte,)))
                        await self._read(client, 0.005)
                case _:
                    pass

    async def _enter(self, client: Any, rooms: Sequence[str]) -> None:
        model = self.model
        asked = [room for room in rooms if room not in model.asked]
        if asked:
            resume = {room: place for room in asked if (place := model.resume(room)) is not None}
            for room in asked:
                model.ask(room)
            chains = self._rng.choice(("full", "delta"))
            await client.send(id=1, op="subscribe", rooms=asked, resume=resume, chains=chains)

    async def _read(self, client: Any, seconds: float) -> None:
        with trio.move_on_after(seconds), suppress(trio.BrokenResourceError):
            while (frame := await client.frame()) is not None:
                for refused in frame.get("err", ()):
                    self.model.refused(refused["room"])
        self._agrees()

    def _agrees(self) -> int:
        """In how many rooms it stands where the server does; there it must know what the server knows."""
        hub = self._served.desk.hub
        standing = 0
        for room, opened in hub._rooms.items():
            mine = self.model.rooms.get(str(room), {})
            if str(room) in self.model.asked:
                continue
            known = {name: mine.get(name if room == GENERAL else str(room)) for name in opened.positions}
            if all(_stands(known[name], place) for name, place in opened.positions.items()):
                standing += 1
                for name, have in known.items():
                    _compare(room, have, hub.streams[name])
        self.compared += standing
        return standing


def _stands(have: Any, place: Any) -> bool:
    return have is not None and have.whole and have.epoch == place.epoch and have.seq >= place.seq


def _compare(room: Any, have: Any, stream: Any) -> None:
    """What a room shows of a stream, as who stands there must have it."""
    for entry in stream.state():
        if takes(room, entry):
            body = entry.summary if entry.summary is not None and room == GENERAL else entry.full
            key = () if entry.summary is None else entry.key
            assert have.state[key][2] == msgspec.json.decode(body.raw("json")), (room, key)


async def visited(
    served: Any,
    visitors: Sequence[Visitor],
    visits: int,
    beside: Sequence[Callable[[], Any]],
    still: Callable[[], Any],
) -> None:
    """Let all visitors come while things happen beside; `still` ends what is published.

    In the end each comes to the server's state, and nothing is left of them.
    """
    async with served.client():
        pass
    await trio.sleep(0.3)  # the task of that client ends after it has left
    gc.collect()
    files, tasks = len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as happening:
        for each in beside:
            happening.start_soon(each)
        async with trio.open_nursery() as coming:
            for visitor in visitors:
                coming.start_soon(visitor.come, visits // CLIENTS)
        happening.cancel_scope.cancel()
    await still()
    for visitor in visitors:
        await visitor.settle()
    hub = served.desk.hub
    with trio.fail_after(10):
        while served.desk.connections or trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110  no event
            await trio.sleep(0.05)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files
    assert (hub.open_rooms, hub.fanout._groups, hub.fanout._waiting_bytes) == (0, {}, 0)
    assert sum(visitor.compared for visitor in visitors) > visits / 10
    reasons = {reason for visitor in visitors for reason in visitor.model.snapshots}
    assert reasons <= {None}  # nothing was lost for good


def secured(certificate: tuple[Path, Path], *, tls: bool) -> dict[str, str]:
    return {"certificate": str(certificate[0]), "certificate_key": str(certificate[1])} if tls else {}


@pytest.mark.slow
@pytest.mark.parametrize(("tls", "visits"), VISITS)
async def test_a_thousand_visits(
    serving: Any, chain: Any, model_client: Any, certificate: tuple[Path, Path], tls: bool, visits: int
):
    rng = random.Random(1)
    async with serving(gateway=GatewaySettings(**secured(certificate, tls=tls)), **LIVELY) as served:
        if tls:
            served.trust(certificate)
        market = Market(served, chain, rng)

        async def restarts() -> None:
            while True:
                await trio.sleep(rng.uniform(1, 4))
                with trio.CancelScope(shield=True):  # the last ones need a server, too
                    await served.restart(rng.uniform(0, 0.2))

        visitors = [Visitor(served, model_client(), random.Random(n), ROOMS) for n in range(CLIENTS)]
        for product in ("NIFTY", "SPX"):
            await served.chain(chain(served.now(), product=product, expiry_ts=served.now() + 10**16))
        await visited(served, visitors, visits, [market.run, restarts], trio.lowlevel.checkpoint)


class Mortal(Host):
    """A host of which any actor may be killed, and then comes back as its supervisor lets it.

    Attributes:
        kills: how many have been.
    """

    def __init__(self, *args: Any) -> None:
        self.kills = 0
        self._scopes: dict[str, trio.CancelScope] = {}
        super().__init__(*args)

    def kill(self, name: str) -> None:
        self.kills += 1
        self._scopes[name].cancel()

    def _tree(self) -> SupervisorSpec:
        return self._mortal(super()._tree())

    def _mortal(self, spec: Any) -> Any:
        if isinstance(spec, SupervisorSpec):
            return replace(spec, children=tuple(map(self._mortal, spec.children)))

        async def run(ctx: Any, /, *, task_status: Any) -> None:
            with trio.CancelScope() as self._scopes[spec.name]:
                await spec.start(ctx, task_status=task_status)
                return
            raise RuntimeError("killed")

        return replace(spec, start=run)


class Hosted:
    """A host as visitors know it: they come to either port."""

    def __init__(self, host: Host, make: Callable[..., Any], rng: random.Random) -> None:
        assert host.edge is not None
        self.host = host
        self.edge = host.edge
        self.token = ""
        self.tls: Any = None
        self._make = make
        self._rng = rng

    @property
    def desk(self) -> Any:
        return self.edge._present_desk()

    def client(self, **how: Any) -> Any:
        actor: Any = self._rng.choice((self.edge.sockets, self.edge.gateway))
        port = actor._listening.bound.port
        return self._make(port, self.token, tls=self.tls, **how)


@pytest.mark.slow
@pytest.mark.parametrize(("tls", "visits"), VISITS)
async def test_actors_die_while_clients_come(
    client_of: Any, tmp_path: Path, model_client: Any, certificate: tuple[Path, Path], tls: bool, visits: int
):
    rng = random.Random(2)
    values: dict[str, Any] = {
        "data_dir": str(tmp_path / "data"),
        "gateway.port": 0,
        "sockets.port": 0,
        "synthetic.products": ("NIFTY", "SPY"),
        "synthetic.strikes": 15,
        "synthetic.tick_interval_s": 0.05,
        "synthetic.chain_interval_s": 1.0,
        **{f"sockets.{name}": value for name, value in LIVELY.items()},
        **{f"gateway.{name}": value for name, value in secured(certificate, tls=tls).items()},
    }
    flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
    host = Mortal(load(flags=flags, environ={}).settings, Seams.system())
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        served = Hosted(host, client_of, rng)
        served.token = (await served.edge.auth.service.register("ann@example.org", "correct horse")).access
        if tls:
            served.tls = ssl.create_default_context(cafile=str(certificate[0]))
        with trio.fail_after(20):
            while len(served.desk.hub.streams) < 6:  # noqa: ASYNC110  the hub has no event
                await trio.sleep(0.05)
        expiry = min(served.desk.hub.products()["NIFTY"]["NIFTY"][1:])
        rooms = (
            "general",
            "product:NIFTY",
            "chain:SPY",
            "chain:NIFTY",
            f"chain:NIFTY:{expiry}",
            "surface:SPY",
        )

        async def deaths() -> None:
            for name in (
                *("gateway", "enricher", "sockets", "desk") * 2,
                "live",
                "feed",
                "enricher",
                "gateway",
            ):
                await trio.sleep(rng.uniform(0.2, 0.8))
                host.kill(name)

        async def still() -> None:
            host.kill("feed")

        visitors = [Visitor(served, model_client(), random.Random(n), rooms) for n in range(CLIENTS)]
        await visited(served, visitors, visits, [deaths], still)
        assert host.kills > 8
        nursery.cancel_scope.cancel()
