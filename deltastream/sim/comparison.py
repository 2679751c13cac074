"""The store against the model: everything it holds, page by page, and what it answers."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from deltastream.messages import Bar, EnrichedChain, Message, encode
from deltastream.sim.history import Complain, Seen, digest_of
from deltastream.sim.model import Model
from deltastream.sim.notes import METRIC_NAMES, EnrichedNote, Series, TickNote, tick_note
from deltastream.storage.protocol import Page, Repository

__all__ = ["compare_store"]

T = TypeVar("T")
Key = Hashable

_EVER: Final = 1 << 62
_NS: Final = 10**9
_BARS_S: Final = (60, 300, 900)
_INSTANTS: Final = 3
_SHOWN: Final = 3
_DERIVED: Final = ("enriched.chain.", "analytics.surface.")
_WHOLE: Final = ("market.status.", *_DERIVED)


async def compare_store(
    model: Model,
    store: Repository,
    complain: Complain,
    rng: random.Random,
    *,
    share: float = 1.0,
    extras_excused: bool = False,
    repeats_excused: bool = False,
) -> int:
    """Compare everything that a store holds with what it must hold.

    Codes: "store_missing", "store_extra", "store_order", "bars", "metrics", "latest".

    Cancellation: what was not compared yet is not.

    Args:
        model: has seen the whole log, and its dead letters.
        store: everything has taken effect.
        complain: told of every difference.
        rng: draws the instants at which the past is asked for, and samples.
        share: of the chains' and surfaces' bodies that are read; their metrics are all compared.
        extras_excused: derived messages may have taken effect and then been lost before the
            observer saw them.
        repeats_excused: a message may have taken effect twice, under an epoch's name that was
            forgotten and under the one after.

    Returns:
        How many rows were compared.
    """
    found = {stored.product: (stored.first_ts, stored.last_ts) for stored in await store.products()}
    rows = 0
    for product in model.products:
        each = _Product(model, store, complain, rng, share, product, extras_excused, repeats_excused)
        await each.compare()
        rows += each.rows
        span = found.pop(product, None)
        if span != each.span:
            complain("latest", f"{product}: the store's data spans {span}, the model's {each.span}")
    for product in found:
        complain("store_extra", f"the store has data of {product}, of which nothing was published")
    return rows


class _Product:
    def __init__(
        self,
        model: Model,
        store: Repository,
        complain: Complain,
        rng: random.Random,
        share: float,
        product: str,
        extras_excused: bool,
        repeats_excused: bool,
    ) -> None:
        self._model = model
        self._store = store
        self._complain = complain
        self._rng = rng
        self._share = share
        self._product = product
        self._extras_excused = extras_excused
        self._repeats_excused = repeats_excused
        self.rows = 0
        self.span: tuple[int, int] | None = None

    async def compare(self) -> None:
        ticks = await self._ticks()
        statuses = await self._bodies("market.status.", self._store.statuses, 5000)
        surfaces = await self._bodies("analytics.surface.", self._store.surfaces, 500, self._share)
        series = await self._series()
        chains = [seen for held in series.values() for seen in held]
        times = [seen.ts_event for seen in (*ticks, *chains, *surfaces)]
        self.span = (min(times), max(times)) if times else None
        for interval_s in _BARS_S:
            await self._bars(interval_s, ticks)
        asked = sorted({seen.ts_event for seen in (*ticks, *chains, *statuses)})
        overtaken = sorted(_overtaken(ticks, statuses, *series.values()))
        instants = (asked, overtaken)
        for at in (None, *(at for all in instants for at in self._rng.sample(all, min(_INSTANTS, len(all))))):
            await self._latest(at, ticks, statuses, surfaces)
            await self._latest_chains(at, series)

    async def _ticks(self) -> list[Seen]:
        stored = await self._all(self._store.ticks, 5000)
        expected = [(seen.note, seen) for seen in self._effects("market.tick.")]
        return self._match("market.tick.", expected, [tick_note(tick) for tick in stored])

    async def _bodies(
        self, topic: str, read: Callable[..., Awaitable[Page[Any]]], most: int, share: float = 1.0
    ) -> list[Seen]:
        """Compare messages that the store keeps whole; those that it must be assumed to hold."""
        effects = self._effects(topic)
        start, end = self._window(effects, share)
        stored = await self._all(read, most, start=start, end=end)
        expected = [(seen.digest, seen) for seen in effects if start <= seen.ts_event < end]
        matched = self._match(topic, expected, [_body(message) for message in stored])
        return matched if share == 1.0 else effects

    async def _series(self) -> dict[Series, list[Seen]]:
        """Compare chains and metrics of every series; what the store must be assumed to hold."""
        by_series: dict[Series, list[Seen]] = {}
        for seen in self._effects("enriched.chain."):
            if isinstance(seen.note, EnrichedNote):
                by_series.setdefault(seen.note.series, []).append(seen)
        held = {}
        for (root, expiry), effects in by_series.items():
            where = f"enriched.chain. {root} {expiry} "
            rows = await self._all(self._store.metrics, 5000, root=root, expiry=expiry)
            actual = [(row.ts_event, *(row.values[name] for name in METRIC_NAMES)) for row in rows]
            expected = [((seen.ts_event, *seen.note.metrics), seen) for seen in effects]
            by_metrics = self._match(where, expected, actual, "metrics")
            start, end = self._window(effects, self._share)
            chains = await self._all(self._store.chains, 20, start=start, end=end, root=root, expiry=expiry)
            bodies = [(seen.digest, seen) for seen in effects if start <= seen.ts_event < end]
            by_body = self._match(where, bodies, [_body(chain) for chain in chains])
            # chains of one instant may have the same metrics, of which the store may hold one alone
            held[root, expiry] = by_body if self._share >= 1.0 else by_metrics
        spans = {
            (stored.root, stored.expiry): (stored.expiry_ts, stored.first_ts, stored.last_ts)
            for stored in await self._store.expiries(self._product)
        }
        expected_spans = {
            series: (seen[-1].note.expiry_ts, seen[0].ts_event, seen[-1].ts_event)
            for series, seen in held.items()
            if seen
        }
        if spans != expected_spans:
            self._complain("latest", f"{self._product}: series {spans}, expected {expected_spans}")
        return held

    async def _bars(self, interval_s: int, ticks: Sequence[Seen]) -> None:
        actual = await self._all(self._store.bars, 5000, interval_s=interval_s)
        ties = actual if self._extras_excused else ()
        expected = _bars_of(self._product, interval_s, [seen.note for seen in ticks], ties)
        if len(actual) == len(expected) and all(map(_same_bar, actual, expected)):
            return
        wrong = [(a, e) for a, e in zip(actual, expected, strict=False) if not _same_bar(a, e)]
        example = f", such as {wrong[0][0]} for {wrong[0][1]}" if wrong else ""
        self._complain(
            "bars",
            f"{self._product} {interval_s} s: {len(actual)} bars, expected {len(expected)};"
            f" {len(wrong)} differ{example}",
        )

    async def _latest(
        self, at: int | None, ticks: Sequence[Seen], statuses: Sequence[Seen], surfaces: Sequence[Seen]
    ) -> None:
        store, product = self._store, self._product
        tick = await store.tick(product, at=at)
        notes = [seen.note for seen in self._last(ticks, at)] or [None]
        if (tick and tick_note(tick)) not in notes:
            self._complain("latest", f"tick of {product} at {at}: {tick}, expected {notes[0]}")
        for what, read, held in (("status", store.status, statuses), ("surface", store.surface, surfaces)):
            self._compare_latest(
                f"{what} of {product} at {at}", await read(product, at=at), self._last(held, at)
            )

    async def _latest_chains(self, at: int | None, series: dict[Series, list[Seen]]) -> None:
        now = at if at is not None else (self.span or (0, 0))[1]
        alive = {}
        for (root, expiry), held in series.items():
            newest = self._last(held, at)
            chain = await self._store.chain(self._product, root=root, expiry=expiry, at=at)
            self._compare_latest(f"chain of {root} {expiry} at {at}", chain, newest)
            if newest and held[-1].note.expiry_ts > now:
                alive[root, expiry] = newest
            if at is None and chain is not None and chain.strikes.size and self._alone(root, expiry):
                await self._quote(chain)
        chains = await self._store.latest_chains(self._product, at=at)
        found = {(chain.root, chain.expiry): _body(chain) for chain in chains}
        if found.keys() != alive.keys() or not all(
            self._is_one_of(found[series], alive[series]) for series in found
        ):
            self._complain(
                "latest", f"chains of {self._product} at {at}: {sorted(found)}, expected {sorted(alive)}"
            )

    def _alone(self, root: str, expiry: str) -> bool:
        """Whether no other product has contracts of that name."""
        others = (product for product in self._model.products if product != self._product)
        return not any(
            isinstance(seen.note, EnrichedNote) and seen.note.series == (root, expiry)
            for product in others
            for seen in self._model.effects(product, "enriched.chain.")
        )

    async def _quote(self, chain: EnrichedChain) -> None:
        middle = chain.strikes.size // 2
        strike = float(chain.strikes[middle])
        written = f"{strike:.4f}".rstrip("0").rstrip(".")
        symbol = f"{chain.root}-{chain.expiry.replace('-', '')}-{written}-C"
        quote = await self._store.quote(symbol)
        numbers = [float(chain[f"call_{name}"][middle]) for name in ("bid", "iv")]
        expected = [number if math.isfinite(number) else None for number in numbers]
        if quote is None or [quote.bid, quote.iv] != expected:
            self._complain("latest", f"quote of {symbol}: {quote}, expected bid and iv {expected}")

    def _compare_latest(self, what: str, found: Message | None, newest: list[Seen]) -> None:
        if not self._is_one_of(None if found is None else _body(found), newest):
            ts = getattr(found, "ts_event", None)
            expected = newest[0].ts_event if newest else None
            self._complain("latest", f"{what}: the one of {ts}, expected that of {expected}")

    def _is_one_of(self, found: bytes | None, newest: list[Seen]) -> bool:
        """Whether an answer is right.

        Where epochs have mixed, the store may know more than was seen, and of messages alike that
        were derived twice it may hold either: only one known to be of another time is wrong then.
        """
        if found is None or not newest:
            return found is None and not newest
        if not self._extras_excused:
            return found == newest[0].digest
        known = [seen for topic in _WHOLE for seen in self._effects(topic) if seen.digest == found]
        return not known or any(seen.ts_event == newest[0].ts_event for seen in known)

    def _last(self, held: Sequence[Seen], at: int | None) -> list[Seen]:
        """The newest of a series as of an instant; where epochs have mixed, all of that time."""
        known = [seen for seen in held if at is None or seen.ts_event <= at]
        if not self._extras_excused:
            return known[-1:]
        return [seen for seen in reversed(known) if seen.ts_event == known[-1].ts_event]

    def _effects(self, topic: str) -> list[Seen]:
        return self._model.effects(self._product, topic)

    def _window(self, effects: Sequence[Seen], share: float) -> tuple[int, int]:
        """All, or a stretch of time that holds about that share of the effects."""
        if share >= 1.0 or not effects:
            return -_EVER, _EVER
        count = max(1, round(share * len(effects)))
        first = self._rng.randrange(len(effects) - count + 1)
        return effects[first].ts_event, effects[first + count - 1].ts_event + 1

    async def _all(
        self,
        read: Callable[..., Awaitable[Page[T]]],
        most: int,
        *,
        start: int = -_EVER,
        end: int = _EVER,
        **which: Any,
    ) -> list[T]:
        items: list[T] = []
        cursor: str | None = None
        while True:
            page = await read(self._product, start=start, end=end, limit=most, cursor=cursor, **which)
            items += page.items
            cursor = page.cursor
            if cursor is None:
                self.rows += len(items)
                return items

    def _match(
        self, topic: str, expected: Sequence[tuple[Key, Seen]], actual: Sequence[Key], what: str = "store"
    ) -> list[Seen]:
        """Those of the expected that the store holds, in order; complains where it is not as it must be."""
        if [key for key, _ in expected] == list(actual) and all(_owed(seen) for _, seen in expected):
            return [seen for _, seen in expected]
        where = f"{topic}{self._product}" if topic.endswith(".") else f"{topic}of {self._product}"
        if self._repeats_excused:
            expected = _repeated(expected, Counter(actual))
        required = Counter(key for key, seen in expected if _owed(seen))
        optional = Counter(key for key, seen in expected if _possible(seen))
        found = Counter(actual)
        self._tell(where, "missing" if what == "store" else what, required - found, expected)
        extra = found - required - optional
        if not (self._extras_excused and topic.startswith(_DERIVED)):
            self._tell(where, "extra" if what == "store" else what, extra, expected)
        spare = found - required
        held = []
        for key, seen in expected:
            if not _owed(seen):
                if not spare[key]:  # a Counter: 0 where there is none
                    continue
                spare[key] -= 1
            held.append((key, seen))
        if not (required - found) and not optional and [key for key, _ in held] != list(actual):
            self._complain("store_order", f"{where}: not in order of (ts_event, seq)")
        return [seen for _, seen in held]

    def _tell(self, where: str, what: str, keys: Counter[Key], expected: Sequence[tuple[Key, Seen]]) -> None:
        if not keys:
            return
        code = f"store_{what}" if what in ("missing", "extra") else what
        places = [f"{seen.epoch}/{seen.seq}" for key, seen in expected if key in keys]
        shown = ", ".join(places[:_SHOWN]) or f"such as {next(iter(keys))!r}"
        self._complain(code, f"{where}: {keys.total()} {what}: {shown}")


def _repeated(expected: Sequence[tuple[Key, Seen]], found: Counter[Key]) -> list[tuple[Key, Seen]]:
    """What is expected, each as often as it is there."""
    surplus = found - Counter(key for key, _ in expected)
    return [pair for pair in expected for _ in range(1 + surplus.pop(pair[0], 0))]


def _owed(seen: Seen) -> bool:
    """Whether its effect is demanded: it stands in the log, and nobody had reason to give it up."""
    return not (seen.void or seen.trimmed) and not {"storage", "lost"}.intersection(seen.dead)


def _possible(seen: Seen) -> bool:
    """Whether its effect may be there or not: it is void or gone, or was given up although it was sound."""
    return seen.void or seen.trimmed or "lost" in seen.dead or ("storage" in seen.dead and seen.sound)


def _overtaken(*series: Sequence[Seen]) -> set[int]:
    """Times at which a message stands that was the newest of its series when an older one came."""
    found = set()
    for held in series:
        newest: int | None = None
        for seen in sorted(held, key=lambda seen: seen.number):
            if newest is not None and seen.ts_event < newest:
                found.add(newest)
            newest = seen.ts_event if newest is None else max(newest, seen.ts_event)
    return found


def _body(message: Message) -> bytes:
    return digest_of(encode(message))


def _bars_of(product: str, interval_s: int, ticks: Iterable[TickNote], ties: Sequence[Bar] = ()) -> list[Bar]:
    """From scratch: ticks in order of (ts_event, seq), by the aligned interval they fall into.

    Args:
        ties: bars that may begin and end with another tick of the same instant: where epochs have
            mixed, nobody can tell which of them was first.
    """
    shown = {bar.start: bar for bar in ties}
    inside: dict[int, list[TickNote]] = {}
    for tick in ticks:
        inside.setdefault(tick.ts_event // (interval_s * _NS), []).append(tick)
    bars = []
    for number, held in sorted(inside.items()):
        prices = [tick.price for tick in held]
        volumes = [tick.volume for tick in held if tick.volume is not None]
        first = [tick.price for tick in held if tick.ts_event == held[0].ts_event]
        last = [tick.price for tick in held if tick.ts_event == held[-1].ts_event]
        tied = shown.get(number * interval_s * _NS)
        bars.append(
            Bar(
                product=product,
                interval_s=interval_s,
                start=number * interval_s * _NS,
                open=tied.open if tied is not None and tied.open in first else prices[0],
                high=max(prices),
                low=min(prices),
                close=tied.close if tied is not None and tied.close in last else prices[-1],
                ticks=len(held),
                volume=math.fsum(volumes) if volumes else None,
            )
        )
    return bars


def _same_bar(one: Bar, other: Bar) -> bool:
    """Equal; volumes up to the order in which they were added."""
    head = ("start", "open", "high", "low", "close", "ticks")
    if any(getattr(one, name) != getattr(other, name) for name in head):
        return False
    if one.volume is None or other.volume is None:
        return one.volume is other.volume
    return math.isclose(one.volume, other.volume, rel_tol=1e-12)
