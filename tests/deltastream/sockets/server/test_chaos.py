"""A thousand disconnects, stalls, half-closed sockets and garbage: clients come to the server's state."""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio

from deltastream.messages import UnderlyingTick
from deltastream.seams import Seams
from deltastream.sockets.updates import chain_data, tick_data

ROOMS = ("general", "product:NIFTY", "product:SPX", "chain:NIFTY", "chain:SPX", "chain:SPXW:2026-12-01")
EVENTS = 1000
CLIENTS = 10


class Market:
    """A feed that never rests."""

    def __init__(self, served: Any, chain: Any, rng: random.Random) -> None:
        self.served = served
        self.chain = chain
        self.rng = rng
        self.quick = 0.002

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
            await trio.sleep(self.quick)


async def read(client: Any, seconds: float) -> None:
    with trio.move_on_after(seconds), suppress(trio.BrokenResourceError):
        while await client.frame() is not None:
            pass


async def enter(client: Any, rng: random.Random) -> None:
    rooms = [room for room in rng.sample(ROOMS, rng.randrange(1, 5)) if room not in client.model.asked]
    if rooms:
        resume = {room: place for room in rooms if (place := client.model.resume(room)) is not None}
        for room in rooms:
            client.model.ask(room)
        await client.send(
            id=1, op="subscribe", rooms=rooms, resume=resume, chains=rng.choice(("full", "delta"))
        )


async def visit(served: Any, model: Any, rng: random.Random) -> None:
    """One connection that ends in one way or another."""
    model.asked.clear()
    protocols = rng.choice(((), ("deltastream.v1",)))
    async with served.client(model=model, protocols=protocols, deflate=rng.random() < 0.5) as client:
        if rng.random() < 0.3:
            client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        await enter(client, rng)
        await read(client, rng.random() * 0.2)
        with suppress(trio.BrokenResourceError):
            match rng.randrange(6):
                case 0:
                    await trio.sleep(rng.random() * 0.3)  # stalls, then reads on
                    await read(client, 0.2)
                case 1:
                    await client.stream.send_eof()
                    await read(client, 0.05)
                case 2:
                    await client.stream.send_all(rng.randbytes(rng.randrange(1, 100)))
                    await read(client, 0.1)
                case 3:
                    linger = struct.pack("ii", 1, 0)
                    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                case 4:
                    await enter(client, rng)
                    await read(client, 0.2)
                case _:
                    pass


async def visits(served: Any, model: Any, rng: random.Random, count: int) -> None:
    for _ in range(count):
        with suppress(trio.BrokenResourceError, OSError):
            await visit(served, model, rng)


async def settled(served: Any, model: Any) -> None:
    """In every room at last, until it stands where the server does; then they are compared."""
    model.asked.clear()
    async with served.client(model=model) as client:
        resume = {room: place for room in ROOMS if (place := model.resume(room)) is not None}
        for room in ROOMS:
            model.ask(room)
        await client.send(id=1, op="subscribe", rooms=list(ROOMS), resume=resume)
        hub = served.desk.hub
        with trio.fail_after(20):
            await client.until("subscribed")
            while not equal(model, hub):
                assert await client.frame() is not None, client.closed


def equal(model: Any, hub: Any) -> bool:
    for room, streams in model.rooms.items():
        for name, stream in streams.items():
            product = ":".join(room.split(":")[:2]).replace("SPXW", "SPX")
            source = hub.streams[name if room == "general" else product]
            for entry in source.state():
                key = entry.key if entry.summary is not None else ()
                if room.startswith("chain:SPXW") and key != ("SPXW", "2026-12-01"):
                    continue
                have = stream.state.get(key)
                if have is None:
                    return False
                data = tick_data(entry.message) if entry.summary is None else chain_data(entry.message)
                if room == "general":
                    data.pop("columns", None)
                if have[2] != msgspec.json.decode(msgspec.json.encode(data)):
                    return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_thousand_visits(serving: Any, chain: Any, model_client: Any, seed: int):
    rng = random.Random(seed)
    models = [model_client() for _ in range(CLIENTS)]
    async with serving(burst=1000, commands_per_s=1000, outbox_bytes=256 << 10) as served:
        async with served.client():
            pass
        await trio.sleep(0.2)  # the task of that client ends after it has left
        gc.collect()
        before, tasks = len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as feeding:
            market = Market(served, chain, rng)
            feeding.start_soon(market.run)
            async with trio.open_nursery() as coming:
                for model in models:
                    own = random.Random(rng.random())
                    coming.start_soon(visits, served, model, own, EVENTS // CLIENTS)
            feeding.cancel_scope.cancel()
        await trio.sleep(0.2)
        for model in models:
            await settled(served, model)
        with trio.fail_after(10):
            while served.desk.connections or trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110  no event
                await trio.sleep(0.05)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= before
        assert served.desk.hub.open_rooms == 0
        assert not served.desk.hub.fanout._groups
