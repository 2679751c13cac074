"""Faults of the feed: a provider around the real one that repeats, delays, shuffles, lies, falls silent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec.structs import replace

from deltastream.feeds.protocol import Delivered, MarketMessage, Provider, Refusal
from deltastream.messages import MarketStatus, OptionChain, UnderlyingTick
from deltastream.sim import _kinds as kinds
from deltastream.sim.faults._strike import Armed, InjectedCrash, arm, until
from deltastream.sim.faults.garbage import GARBAGE, Garbled, make_garbage
from deltastream.sim.ledger import Accepted
from deltastream.sim.plan import Fault

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["FeedFaults", "SimProvider"]

_TICKS_PER_CHAIN: Final = 9

Concerned: TypeAlias = kinds.Repeat | kinds.Late | kinds.Reorder | kinds.Mute | kinds.Outage
Item: TypeAlias = Delivered | Refusal
Sender: TypeAlias = trio.MemorySendChannel[Item | InjectedCrash]


class FeedFaults:
    """The plan's faults of the feed, and what they remember from one incarnation to the next.

    Attributes:
        refused: what must never be accepted: garbage by the identity of its message.
    """

    def __init__(self, world: World, faults: tuple[Fault, ...]) -> None:
        self.world = world
        self.repeats = arm(world, faults, kinds.Repeat)
        self.lates = arm(world, faults, kinds.Late)
        self.reorders = {armed: list[Item]() for armed in arm(world, faults, kinds.Reorder)}
        self.mutes = arm(world, faults, kinds.Mute)
        self.outages = arm(world, faults, kinds.Outage)
        self.breaks = arm(world, faults, kinds.FeedBreak)
        self.garbage = arm(world, faults, kinds.Garbage)
        self.floods = arm(world, faults, kinds.Flood)
        self.ticks: dict[str, UnderlyingTick] = {}
        self.chains: dict[str, OptionChain] = {}
        self.said: dict[str, MarketStatus] = {}
        self.keys = 0
        self.refused: dict[int, tuple[str, MarketMessage]] = {}

    @property
    def any(self) -> bool:
        """Whether there is a fault of the feed at all."""
        lists = (self.repeats, self.lates, self.mutes, self.outages, self.breaks, self.garbage, self.floods)
        return bool(self.reorders) or any(lists)

    def wrap(self, provider: Provider) -> Provider:
        """The provider as a new incarnation has it."""
        return SimProvider(provider, self)

    def accepted(self, entry: Accepted) -> None:
        """Look at what the bus has accepted."""
        known = self.refused.get(id(entry.message))  # seam: looked up, in no order
        if known is not None and known[1] is entry.message:
            self.world.violate("accepted_garbage", f"{known[0]} was accepted on {entry.topic}")

    def note(self, message: MarketMessage) -> None:
        """Keep what was said last: it is what garbage, floods and the end of an outage are made of."""
        if isinstance(message, UnderlyingTick):
            self.ticks[message.product] = message
        elif isinstance(message, OptionChain):
            self.chains[message.product] = message
        else:
            self.said[message.product] = message

    def products(self, wanted: str | None) -> list[str]:
        """Products that have given a tick and a chain; of those, the one that is wanted, or all."""
        known = [product for product in self.ticks if product in self.chains]
        return known if wanted is None else [product for product in known if product == wanted]


class SimProvider:
    """A provider as the plan's faults let it through.

    Args:
        provider: the real one.
        faults: shared by all incarnations.
    """

    def __init__(self, provider: Provider, faults: FeedFaults) -> None:
        self._provider = provider
        self._faults = faults

    @property
    def name(self) -> str:
        """See `Provider.name`."""
        return self._provider.name

    @property
    def silent_after_s(self) -> float | None:
        """See `Provider.silent_after_s`."""
        return self._provider.silent_after_s

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """See `Provider.stream`. Messages held back at cancellation are forgotten."""
        return self._stream()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[AsyncIterator[Item]]:
        give, take = trio.open_memory_channel[Item | InjectedCrash](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._play, give)
            yield _Items(take)
            nursery.cancel_scope.cancel("nobody listens any more")

    async def _play(self, give: Sender) -> None:
        """Hand on what the real one gives, and what the faults add, until the real one is exhausted."""
        faults = self._faults
        for held in faults.reorders.values():
            held.clear()
        async with trio.open_nursery() as nursery:
            for outage in faults.outages:
                nursery.start_soon(self._lose_source, outage, give)
            for broken in faults.breaks:
                nursery.start_soon(self._break, broken, give)
            for garbage in faults.garbage:
                nursery.start_soon(self._babble, garbage, give)
            for flood in faults.floods:
                nursery.start_soon(self._flood, flood, give)
            async with self._provider.stream() as items:
                async for item in items:
                    if isinstance(item, Delivered):
                        await self._hand_on(item, give, nursery)
                    else:
                        await give.send(item)
            nursery.cancel_scope.cancel("the provider is exhausted")
        give.close()

    async def _hand_on(self, item: Delivered, give: Sender, nursery: trio.Nursery) -> None:
        faults, message = self._faults, item.message
        faults.note(message)
        for late in faults.lates:
            if _concerns(late, message) and late.rng.random() < late.fault.share:
                late.strike(f"{_named(message)} comes {late.fault.delay_s:g} s late")
                nursery.start_soon(self._later, item, late.fault.delay_s, give)
                return
        for reorder, held in faults.reorders.items():
            concerned = _concerns(reorder, message)
            if concerned:
                held.append(item)
                if len(held) < reorder.fault.window:
                    return
                reorder.rng.shuffle(held)
                reorder.strike(f"{len(held)} messages come in another order")
            if held and (concerned or not reorder.on):
                ready = held[:]
                held.clear()
                for each in ready:
                    await self._send(each, give)
            if concerned:
                return
        for repeat in faults.repeats:
            if _concerns(repeat, message) and repeat.rng.random() < repeat.fault.share:
                if repeat.fault.keyed:
                    faults.keys += 1
                    item = changed(item, key=item.key or f"sim:{faults.keys}")
                repeat.strike(f"{_named(message)} comes again after {repeat.fault.delay_s:g} s")
                nursery.start_soon(self._later, item, repeat.fault.delay_s, give)
        await self._send(item, give)

    async def _send(self, item: Item, give: Sender) -> None:
        if isinstance(item, Delivered):
            for mute in self._faults.mutes:
                if _concerns(mute, item.message):
                    mute.strike(f"{_named(item.message)} is the first that does not come")
                    return
            if any(_concerns(outage, item.message) for outage in self._faults.outages):
                return
        await give.send(item)

    async def _later(self, item: Item, delay_s: float, give: Sender) -> None:
        await trio.sleep(delay_s)
        if not self._faults.world.closing:
            await self._send(item, give)

    async def _lose_source(self, outage: Armed[kinds.Outage], give: Sender) -> None:
        """Tell that the source is lost, and when it is there again."""
        faults, fault = self._faults, outage.fault
        await until(faults.world, fault.at)
        if not outage.on:
            return
        told = faults.products(fault.product)
        for product in told:
            outage.strike(f"{product} loses its source")
            await give.send(self._told(product, "degraded", "connection_lost"))
        await until(faults.world, fault.at + fault.duration)
        for product in told:
            said = faults.said.get(product)
            await give.send(self._told(product, said.status if said else "open", "connection_restored"))

    def _told(self, product: str, status: str, reason: str) -> Delivered:
        now = self._faults.world.clock.now_ns()
        message = MarketStatus(
            product=product, status="open", reason=reason, since=now, ts_event=now, ts_recv=now
        )
        return Delivered(replace(message, status=status))

    async def _break(self, broken: Armed[kinds.FeedBreak], give: Sender) -> None:
        await until(self._faults.world, broken.fault.at)
        if not broken.hit:
            broken.strike("the provider raises something unexpected")
            await give.send(InjectedCrash("the provider is broken"))

    async def _babble(self, garbage: Armed[kinds.Garbage], give: Sender) -> None:
        faults, fault = self._faults, garbage.fault
        await until(faults.world, fault.at)
        while garbage.on and not faults.world.closing:
            await trio.sleep(garbage.rng.uniform(0.5, 1.5) / fault.per_s)
            products = faults.products(fault.product)
            if not products:
                continue
            product = garbage.rng.choice(products)
            name, item = make_garbage(garbage.rng, Garbled(faults.ticks[product], faults.chains[product]))
            garbage.strike(f"{name} for {product}")
            if GARBAGE[name][0] == "refused" and isinstance(item, Delivered):
                if item.key is not None:  # good but for its key: one of its own
                    item = changed(item, message=replace(item.message))
                faults.refused[id(item.message)] = (name, item.message)  # seam: the same
            await give.send(item)

    async def _flood(self, flood: Armed[kinds.Flood], give: Sender) -> None:
        faults, fault = self._faults, flood.fault
        await until(faults.world, fault.at)
        if flood.hit:
            return
        while not (products := faults.products(fault.product)):  # noqa: ASYNC110  a first chain has no event
            await trio.sleep(0.1)
        flood.strike(f"{fault.count} messages of {', '.join(products)}")
        for number in range(fault.count):
            product = products[number % len(products)]
            is_chain = number // len(products) % (_TICKS_PER_CHAIN + 1) == _TICKS_PER_CHAIN
            message = faults.chains[product] if is_chain else faults.ticks[product]
            ts = message.ts_event + 1000 * (number + 1)
            await give.send(Delivered(replace(message, ts_event=ts, ts_recv=ts)))


class _Items:
    def __init__(self, take: trio.MemoryReceiveChannel[Item | InjectedCrash]) -> None:
        self._take = take

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        item = await self._take.__anext__()
        if isinstance(item, InjectedCrash):
            raise item
        return item


def _concerns(armed: Armed[Concerned], message: MarketMessage) -> bool:
    return armed.on and armed.fault.product in (None, message.product)


def _named(message: MarketMessage) -> str:
    return f"{type(message).__name__} of {message.product}"
