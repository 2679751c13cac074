"""The provider of the synthetic markets: who speaks when."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Final

import trio
from msgspec.structs import replace

from deltastream.feeds.protocol import Delivered, Refusal
from deltastream.feeds.synthetic._product import ProductMarket
from deltastream.feeds.synthetic._underlying import Factor
from deltastream.feeds.synthetic.settings import SyntheticSettings
from deltastream.messages import OptionChain, UnderlyingTick
from deltastream.seams import Seams

__all__ = ["SyntheticProvider"]

_CATCH_UP_S: Final = 0.1
_LONGEST_NAP_S: Final = 60.0


class _Beat:
    """Evenly spaced deadlines, counted from a start so that they never drift."""

    def __init__(self, start: float, spacing: float) -> None:
        self._start, self._spacing, self._index = start, spacing, 0

    @property
    def deadline(self) -> float:
        return self._start + self._index * self._spacing

    def take(self, now: float) -> tuple[int, int]:
        """The number of the beat to play, and how many before it were missed beyond catching up."""
        late = now - self.deadline
        missed = math.floor(late / self._spacing) if late > _CATCH_UP_S else 0
        self._index += missed + 1
        return self._index - 1, missed


class SyntheticProvider:
    """Ticks, chains and status of synthetic markets, evenly paced.

    The products take turns: over one `tick_interval_s` each gives a tick, over one
    `chain_interval_s` each of their expiries a chain, the nearest ones first, the very first at
    once. In load mode the same turns are taken at the asked rate. A consumer that is slower than
    the feed by less than 0.1 s is caught up with; what it missed beyond that is skipped, never
    sent in a burst, and counted in `skipped`. Time stamps are those of `seams.clock`.

    Attributes:
        skipped: turns left out because the consumer was too slow.

    The markets live as long as the provider: a second `stream()` goes on from their present state.
    """

    name = "synthetic"

    def __init__(self, settings: SyntheticSettings, seams: Seams) -> None:
        self._settings = settings
        self._clock = seams.clock
        self._markets: list[ProductMarket] = []
        self.silent_after_s: float | None = 5.0 * max(1.0, settings.tick_interval_s)
        self.skipped = 0

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Delivered | Refusal]]:
        """Open the markets; the iterator never ends.

        Cancellation: takes effect between two messages; the next `stream()` gives newer ones.
        """
        return self._stream()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[AsyncIterator[Delivered | Refusal]]:
        async with aclosing(self._messages()) as messages:
            yield messages

    async def _messages(self) -> AsyncGenerator[Delivered | Refusal, None]:
        markets = self._opened()
        turns = [(slot, market) for slot in range(self._settings.expiries) for market in markets]
        ticks, chains = self._beats(len(markets), len(turns))
        told: dict[str, bool] = {}
        while True:
            now = self._clock.now_ns()
            for market in markets:
                if told.get(market.symbol) != market.is_open(now):
                    told[market.symbol] = market.is_open(now)
                    yield Delivered(market.status(now))
            if not any(told.values()):
                await self._sleep_closed(now)
                ticks, chains = self._beats(len(markets), len(turns))
                continue
            beat = ticks if ticks.deadline <= chains.deadline else chains
            await trio.sleep_until(beat.deadline)
            index, missed = beat.take(trio.current_time())
            self.skipped += missed
            message = self._tick(index) if beat is ticks else self._chain(*turns[index % len(turns)])
            if message is not None:
                yield Delivered(self._received(message))

    def _received(self, message: UnderlyingTick | OptionChain) -> UnderlyingTick | OptionChain:
        """It is there once the market has made it, which for a chain takes some tenths of a millisecond."""
        return replace(message, ts_recv=max(self._clock.now_ns(), message.ts_recv))

    def _opened(self) -> list[ProductMarket]:
        if not self._markets:
            now = self._clock.now_ns()
            factors: dict[str, Factor] = {}
            self._markets = [
                ProductMarket(symbol, self._settings, now, factors) for symbol in self._settings.products
            ]
        return self._markets

    def _beats(self, products: int, turns: int) -> tuple[_Beat, _Beat]:
        start, load = trio.current_time(), self._settings.load_chains_per_s
        ticks = _Beat(start, self._settings.tick_interval_s / products)
        return ticks, _Beat(start, 1.0 / load if load else self._settings.chain_interval_s / turns)

    def _tick(self, index: int) -> UnderlyingTick | None:
        market, now = self._markets[index % len(self._markets)], self._clock.now_ns()
        return market.tick(now) if market.is_open(now) else None

    def _chain(self, slot: int, market: ProductMarket) -> OptionChain | None:
        now = self._clock.now_ns()
        return market.chain(slot, now) if market.is_open(now) else None

    async def _sleep_closed(self, now: int) -> None:
        """Sleep until the first market opens; in naps, so that a clock set meanwhile is seen."""
        opening = min(market.hours.next_open(now) for market in self._markets)
        await trio.sleep(min((opening - now) / 1e9, _LONGEST_NAP_S))
