"""The latest message of everything, by itself: a fold over records, bounded, without I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from deltastream.messages import (
    EnrichedChain,
    MarketStatus,
    Message,
    Position,
    UnderlyingTick,
    VolatilitySurface,
)

__all__ = ["Held", "Latest"]

M = TypeVar("M", bound=Message, covariant=True)
_NEAREST: Final = attrgetter("message.expiry_ts", "message.expiry", "message.root")


@dataclass(frozen=True, slots=True)
class Held(Generic[M]):
    """The latest message of its kind.

    Attributes:
        position: where it stands in its topic; None where the store told it, which does not know.
    """

    message: M
    topic: str
    position: Position | None


class _Product:
    """What is known of one product; `newest` is the time of its latest data (a status is none)."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.tick: Held[UnderlyingTick] | None = None
        self.surface: Held[VolatilitySurface] | None = None
        self.status: Held[MarketStatus] | None = None
        self.series: dict[tuple[str, str], Held[EnrichedChain]] = {}
        self.nearest: tuple[Held[EnrichedChain], ...] | None = None
        self.next_expiry: int | None = None


class Latest:
    """Latest ticks, chains, surfaces and statuses: of two, the later by (`ts_event`, seq).

    A series that has expired by its product's newest data is dropped, as the store leaves it out of
    what is live. Where the chains together exceed `chain_bytes`, those go that have not changed
    for the longest; `dropped` counts them.

    Args:
        chain_bytes: the most that the columns of all chains may take.
    """

    def __init__(self, chain_bytes: int) -> None:
        self.dropped = 0
        self._limit = chain_bytes
        self._bytes = 0
        self._products: dict[str, _Product] = {}
        self._by_age: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def take(self, message: Message, topic: str, position: Position | None) -> None:
        """Note a message; anything that is not latest state is passed over."""
        if isinstance(message, EnrichedChain):
            self._take_chain(Held(message, topic, position))
        elif isinstance(message, UnderlyingTick):
            known = self._product(message.product)
            if _is_later(message, position, known.tick):
                known.tick = Held(message, topic, position)
            self._grow_older(message.product, known, message.ts_event)
        elif isinstance(message, VolatilitySurface):
            known = self._product(message.product)
            if _is_later(message, position, known.surface):
                known.surface = Held(message, topic, position)
            self._grow_older(message.product, known, message.ts_event)
        elif isinstance(message, MarketStatus):
            known = self._product(message.product)
            if _is_later(message, position, known.status):
                known.status = Held(message, topic, position)

    def products(self) -> list[str]:
        """Products with data, by symbol."""
        return sorted(product for product, known in self._products.items() if known.newest is not None)

    def newest(self, product: str) -> int | None:
        """Time of the product's latest data."""
        known = self._products.get(product)
        return None if known is None else known.newest

    def tick(self, product: str) -> Held[UnderlyingTick] | None:
        """The latest tick."""
        known = self._products.get(product)
        return None if known is None else known.tick

    def surface(self, product: str) -> Held[VolatilitySurface] | None:
        """The latest surface."""
        known = self._products.get(product)
        return None if known is None else known.surface

    def status(self, product: str) -> Held[MarketStatus] | None:
        """The latest market status."""
        known = self._products.get(product)
        return None if known is None else known.status

    def chains(self, product: str) -> tuple[Held[EnrichedChain], ...]:
        """Every live series' latest chain, nearest expiry first."""
        known = self._products.get(product)
        if known is None:
            return ()
        if known.nearest is None:
            known.nearest = tuple(sorted(known.series.values(), key=_NEAREST))
        return known.nearest

    def chain(self, product: str, expiry: str | None, root: str | None) -> Held[EnrichedChain] | None:
        """One live series' latest chain, chosen as `Repository.chain` does."""
        known = self._products.get(product)
        if known is None:
            return None
        if expiry is not None and root is not None:
            return known.series.get((root, expiry))
        if expiry is None:
            return next((held for held in self.chains(product) if root in (None, held.message.root)), None)
        own = known.series.get((product, expiry))
        return own or _first_root(held for (_, date), held in known.series.items() if date == expiry)

    def of_contract(self, root: str, expiry: str) -> Held[EnrichedChain] | None:
        """The live chain that lists a root's contracts of an expiry, whatever product it is of."""
        found = [held for known in self._products.values() if (held := known.series.get((root, expiry)))]
        return max(found, key=attrgetter("message.ts_event"), default=None)

    def _product(self, product: str) -> _Product:
        return self._products.setdefault(product, _Product())

    def _take_chain(self, held: Held[EnrichedChain]) -> None:
        chain = held.message
        product, key = chain.product, (chain.root, chain.expiry)
        known = self._product(product)
        before = known.series.get(key)
        if _is_later(chain, held.position, before):
            if before is None or before.message.expiry_ts != chain.expiry_ts:
                known.next_expiry = min(known.next_expiry or chain.expiry_ts, chain.expiry_ts)
            known.series[key] = held
            known.nearest = None
            self._bytes += chain.columns.nbytes - self._by_age.pop((product, *key), 0)
            self._by_age[product, *key] = chain.columns.nbytes
        self._grow_older(product, known, chain.ts_event)
        while self._bytes > self._limit and len(self._by_age) > 1:
            (oldest_product, *oldest), _ = next(iter(self._by_age.items()))
            self._drop(oldest_product, (oldest[0], oldest[1]))
            self.dropped += 1

    def _grow_older(self, product: str, known: _Product, ts_event: int) -> None:
        """Move a product's time on, and drop what has expired by then."""
        known.newest = ts_event if known.newest is None else max(known.newest, ts_event)
        if known.next_expiry is None or known.newest < known.next_expiry:
            return
        for key, held in list(known.series.items()):
            if held.message.expiry_ts <= known.newest:
                self._drop(product, key)
        known.next_expiry = min((held.message.expiry_ts for held in known.series.values()), default=None)

    def _drop(self, product: str, key: tuple[str, str]) -> None:
        known = self._products[product]
        del known.series[key]
        known.nearest = None
        self._bytes -= self._by_age.pop((product, *key))


def _is_later(message: Any, position: Position | None, held: Held[Any] | None) -> bool:
    """Whether a message takes the place of another; at one time the bus knows better than the store."""
    if held is None:
        return True
    if message.ts_event != held.message.ts_event:
        return bool(message.ts_event > held.message.ts_event)
    if position is None:
        return False
    return held.position is None or position.epoch != held.position.epoch or position.seq >= held.position.seq


def _first_root(found: Iterable[Held[EnrichedChain]]) -> Held[EnrichedChain] | None:
    return min(found, key=attrgetter("message.root"), default=None)
