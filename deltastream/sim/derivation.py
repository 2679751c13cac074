"""What is derived from market chains, worked out again: one enriched chain each, and the surfaces."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.messages import CHAIN_ROWS, ROW, EnrichedChain, OptionChain, encode
from deltastream.sim.history import Complain, History, Line, Seen
from deltastream.sim.notes import EnrichedNote, MarketNote, Series

__all__ = ["Derivations"]

_REFERENCES: Final = (("last", "prev_close"), ("oi", "prev_oi"))
_DAY_NS: Final = 86_400 * 10**9
_IST_NS: Final = 19_800 * 10**9
_INDIAN: Final = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX")
_LATEST_KEPT: Final = 4


class Derivations:
    """Compares what was derived with what follows from its source.

    Args:
        history: where sources are found.
        settings: of the analytics.
        complain: told of every difference.
        every: compute every so-manieth enriched chain again (of the others only the market's
            columns and the head are compared with the source).
    """

    def __init__(
        self, history: History, settings: AnalyticsSettings, complain: Complain, *, every: int = 1
    ) -> None:
        self._history = history
        self._settings = settings
        self._complain = complain
        self._every = every
        self._early: dict[tuple[str, str, int], tuple[Seen, EnrichedChain]] = {}
        self._previous: dict[tuple[str, str, str], list[tuple[int, EnrichedChain]]] = {}
        self.compared = 0

    def market(self, topic: str, seen: Seen) -> None:
        """A market chain was seen; perhaps its result was seen before."""
        epoch = self._history.lines[topic].epochs[seen.epoch]
        early = self._early.pop((topic, str(epoch), seen.seq), None)
        if early is not None:
            self._match(topic, seen, *early)

    def enriched(self, topic: str, seen: Seen, chain: EnrichedChain) -> None:
        """An enriched chain was seen; perhaps its source was not yet."""
        self._remember(chain)
        if chain.source is None:
            self._complain("derived_without_source", f"{topic} {seen.seq} names no source")
            return
        name, position = chain.source
        source = self._history.find(name, position)
        if source is None:
            self._early[name, position.epoch, position.seq] = seen, chain
        else:
            self._match(name, source, seen, chain)

    def _match(self, topic: str, source: Seen, result: Seen, chain: EnrichedChain) -> None:
        note = source.note
        if not isinstance(note, MarketNote):
            self._complain("derived_wrong_source", f"{topic} {source.seq} is no market chain")
            return
        result.note.source = source.number
        if note.source is None:
            return
        market, note.source = note.source, None
        self.compared += 1
        if not _inherits(market, chain):
            self._complain("derived_wrong_input", f"{topic} {source.seq}: not the chain its result holds")
        elif result.number % self._every == 0 and not self._follows(market, chain):
            self._complain("derived_wrong_result", f"{topic} {source.seq}: computed again it differs")

    def _follows(self, market: OptionChain, chain: EnrichedChain) -> bool:
        """Whether the result is what enrichment makes of the chain, with one of its possible references."""
        found = encode(chain)
        for given in self._completed(market, chain.flags):
            expected = enrich(given, self._settings, ts_recv=chain.ts_recv, source=chain.source)
            if encode(expected) == found:
                return True
        return False

    def _completed(self, market: OptionChain, flags: tuple[str, ...]) -> list[OptionChain]:
        """The chain as the enricher may have completed it from the previous session."""
        lacking = [
            (ROW[f"{side}_{now}"], ROW[f"{side}_{before}"])
            for side in ("call", "put")
            for now, before in _REFERENCES
            if np.isnan(market[f"{side}_{before}"]).all()
        ]
        if not lacking or "timestamp_unknown" in market.flags or market.strikes.size == 0:
            return [market]
        if "reference_unavailable" in flags:
            return [msgspec.structs.replace(market, flags=(*market.flags, "reference_unavailable"))]
        if "reference_from_store" not in flags:
            return [market]
        return [_filled(market, reference, lacking) for reference in self._references(market)]

    def _remember(self, chain: EnrichedChain) -> None:
        """Keep the last chains of each series and day: they are tomorrow's reference."""
        kept = self._previous.setdefault((chain.product, chain.root, chain.expiry), [])
        day = _day(chain)
        same = [place for place, (other, _) in enumerate(kept) if other == day]
        if not same:
            kept.append((day, chain))
        elif kept[same[0]][1].ts_event <= chain.ts_event:
            kept[same[0]] = (day, chain)
        del kept[:-_LATEST_KEPT]

    def _references(self, market: OptionChain) -> list[EnrichedChain]:
        kept = self._previous.get((market.product, market.root, market.expiry), [])
        return [chain for day, chain in kept if day < _day(market)]

    def complete(self, lost: bool = False, again: bool = False) -> None:
        """Nothing more will come: one result for each source, in their order, and no result without one.

        A source given up by the enricher has none; one that became void may have one or not.

        Args:
            lost: a fault accounts for results that were lost when their sources were not.
            again: a fault accounts for sources that came again, because it was lost how far the
                enricher was.
        """
        for (topic, epoch, seq), (result, chain) in self._early.items():
            source = self._kept(topic, epoch, seq)
            if source is not None:
                self._match(topic, source, result, chain)
            elif not self._may_be_lost(f"enriched.chain.{chain.product}"):
                self._complain("derived_wrong_source", f"{topic} {epoch}/{seq} was never seen")
        for line in self._history.matching("market.chain."):
            enriched = self._history.line(f"enriched.chain.{line.topic.rsplit('.', 1)[1]}")
            self._complete(line, enriched, lost, again)

    def _kept(self, topic: str, epoch: str, seq: int) -> Seen | None:
        """What nobody saw before the process that had accepted it ended, and a later epoch has kept.

        It was seen under that epoch only; whether it is the same is compared as ever.
        """
        line = self._history.lines.get(topic)
        seen = None if line is None or epoch not in line.epochs[:-1] else line.live.get(seq)
        waits = seen is not None and isinstance(seen.note, MarketNote) and seen.note.source is not None
        return seen if waits else None

    def _may_be_lost(self, topic: str) -> bool:
        line = self._history.lines.get(topic)
        return line is not None and bool(line.void or line.missing)

    def _complete(self, market: Line, enriched: Line, lost: bool, again: bool) -> None:
        results: dict[int, int] = {}
        had: set[int] = set()
        latest = -1
        sources = {seen.number: seen for seen in market}
        for seen in enriched:
            number = seen.note.source if isinstance(seen.note, EnrichedNote) else None
            if number is None:
                continue
            if seen.void and seen.number not in enriched.gone:
                had.add(number)
                continue
            results[number] = results.get(number, 0) + 1
            if number < latest and sources[number].sound and not again:
                self._complain("derived_out_of_order", f"{enriched.topic} {seen.seq} comes late")
            latest = max(latest, number)
        # A backup from before an epoch brings messages back under names that their results do not know.
        back = {sources[number].digest for number in (*results, *had) if sources[number].void}
        for number, source in sources.items():
            count = results.get(number, 0)
            given_up = "enricher" in source.dead
            where = f"{market.topic} {source.seq}"
            if count > 1 and not again:
                self._complain("derived_twice", f"{where} has {count} results")
            if source.void or (not count and (enriched.missing or source.digest in back)):
                continue
            if (lost and number in had) or "lost" in source.dead:
                continue
            if count + given_up == 0:
                self._complain("derived_missing", f"{where} has no result and is no dead letter")
            if count and given_up:
                self._complain("derived_and_dead", f"{where} has a result and is a dead letter")

    def surfaces(self) -> None:
        """Each surface is that of some moment of the chains' log, none goes back, the last is the last.

        Where messages are gone nobody can tell what a surface was made of.
        """
        for line in self._history.matching("enriched.chain."):
            product = line.topic.rsplit(".", 1)[1]
            surfaces = self._history.line(f"analytics.surface.{product}")
            if line.whole and surfaces.whole:
                self._surfaces_of(product, list(line), list(surfaces))

    def _surfaces_of(self, product: str, chains: list[Seen], surfaces: list[Seen]) -> None:
        moments = _moments(chains)
        at = 0
        for surface in surfaces:
            made = surface.ts_event, surface.note.slices
            place = next((i for i in range(at, len(moments)) if moments[i] == made), None)
            if place is None:
                self._complain(
                    "surface_of_no_moment",
                    f"analytics.surface.{product} {surface.seq}: no state of the chains gives it"
                    + (" any more" if made in moments[:at] else ""),
                )
            else:
                at = place
        last = moments[-1] if moments else None
        if (
            last is not None
            and last[1]
            and (not surfaces or last != (surfaces[-1].ts_event, surfaces[-1].note.slices))
        ):
            self._complain(
                "surface_behind", f"analytics.surface.{product}: the last is not of the last chains"
            )


def _moments(chains: list[Seen]) -> list[tuple[int, tuple[bytes, ...]]]:
    """After each chain: the newest chain's time, and the slices of the series alive then."""
    latest: dict[Series, Seen] = {}
    moments = []
    for seen in chains:
        smile: EnrichedNote = seen.note
        known = latest.get(smile.series)
        if known is None or known.ts_event <= seen.ts_event:
            latest[smile.series] = seen
        now = max(each.ts_event for each in latest.values())
        notes: list[EnrichedNote] = [each.note for each in latest.values()]
        alive = sorted((n for n in notes if n.expiry_ts > now), key=lambda n: (n.expiry_ts, n.series[0]))
        moments.append((now, tuple(n.smile for n in alive if n.smile is not None)))
    return moments


def _inherits(market: OptionChain, chain: EnrichedChain) -> bool:
    """Whether the head and the market's columns are the source's; references may have been added."""
    names = ("product", "root", "expiry", "expiry_ts", "ts_event", "spot", "future", "oi_as_of")
    if not all(_same(getattr(market, name), getattr(chain, name)) for name in names):
        return False
    columns = chain.columns[:CHAIN_ROWS]
    if market.columns.tobytes() == columns.tobytes():
        return True
    if "reference_from_store" not in chain.flags or market.columns.shape != columns.shape:
        return False
    added = {ROW[f"{side}_{before}"] for side in ("call", "put") for _, before in _REFERENCES}
    kept = [row for row in range(CHAIN_ROWS) if row not in added]
    return market.columns[kept].tobytes() == columns[kept].tobytes()


def _same(one: Any, other: Any) -> bool:
    """Equal, NaN to itself, too."""
    return bool(one == other) or (one != one and other != other)


def _filled(market: OptionChain, reference: EnrichedChain, lacking: list[tuple[int, int]]) -> OptionChain:
    place = {strike: i for i, strike in enumerate(reference.strikes.tolist())}
    columns = market.columns.copy()
    for now, before in lacking:
        values = reference.columns[now].tolist()
        for i, strike in enumerate(market.strikes.tolist()):
            columns[before][i] = values[place[strike]] if strike in place else math.nan
    return msgspec.structs.replace(market, columns=columns, flags=(*market.flags, "reference_from_store"))


def _day(chain: OptionChain | EnrichedChain) -> int:
    """The date of a chain in its exchange's zone, as a number; New York's winter time will do."""
    ahead = _IST_NS if chain.root in _INDIAN else -5 * 3600 * 10**9
    return (chain.ts_event + ahead) // _DAY_NS
