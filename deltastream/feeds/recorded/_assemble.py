"""From rows in any order to one checked chain per root and expiry."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, NamedTuple

import numpy as np

from deltastream.errors import FileRefused
from deltastream.feeds.protocol import Refusal
from deltastream.feeds.recorded._model import ChainKey, FileFormat, Recorded, RowCounts
from deltastream.feeds.recorded._plausible import Rows, clean, implausible, plausible_spot
from deltastream.feeds.recorded._values import ABSENT, RowRefused
from deltastream.market import Terms
from deltastream.messages import CHAIN_COLUMNS, CHAIN_ROWS, SIDE_COLUMNS, OptionChain, UnderlyingTick

__all__ = ["NO_SIDE", "Assembly", "Contract", "FileFacts", "Side"]

Side = tuple[float, ...]
"""Eleven numbers, as in `SIDE_COLUMNS`."""

NO_SIDE: Final[Side] = (ABSENT,) * len(SIDE_COLUMNS)
_CALL: Final = slice(1, 1 + len(SIDE_COLUMNS))
_PUT: Final = slice(1 + len(SIDE_COLUMNS), CHAIN_ROWS)
_REFUSALS_TOLD_PER_REASON: Final = 200


class Contract(NamedTuple):
    """What is known of a root and expiry: terms, product, multiplier, expiry instant (ns UTC), flags."""

    terms: Terms
    product: str
    multiplier: float
    expiry_ts: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What holds for every chain of a file.

    Attributes:
        tz: time zone of the exchange.
        ts_event: nanoseconds UTC; None where the file does not tell.
        spot: underlying's price; None where the file does not tell.
        oi_cadence: how often the source refreshes open interest.
        contract: looks up a root and expiry.
    """

    source: str
    format: FileFormat
    tz: str
    digest: str
    ts_recv: int
    ts_event: int | None
    spot: float | None
    oi_cadence: Literal["3min", "daily"]
    contract: Callable[[str, date, int | None], Contract]


@dataclass(slots=True)
class _Pile:
    """The rows of one root and expiry, as they come; `rows` holds 23 numbers for each."""

    numbers: list[int] = field(default_factory=list)
    rows: array[float] = field(default_factory=lambda: array("d"))
    sides: list[int] = field(default_factory=list)
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    flags: dict[str, None] = field(default_factory=dict)


class Assembly:
    """Collects the rows of one file, then makes its chains."""

    def __init__(self, source: str) -> None:
        self.remarks: list[str] = []
        self._source = source
        self._piles: dict[tuple[str, date], _Pile] = {}
        self._refusals: list[Refusal] = []
        self._told: Counter[str] = Counter()

    def add(
        self, root: str, expiry: date, number: int, strike: float, call: Side | None, put: Side | None
    ) -> None:
        """Take one row; `number` is its place in the file, None is a side that is not there."""
        pile = self._pile(root, expiry)
        pile.read += 1
        pile.numbers.append(number)
        pile.sides.append((call is not None) + 2 * (put is not None))
        pile.rows.extend((strike, *(call or NO_SIDE), *(put or NO_SIDE)))

    def refuse(
        self, number: int, refused: RowRefused, root: str | None = None, expiry: date | None = None
    ) -> None:
        """Drop one row before it was taken; counted with its chain where that is known."""
        if root is not None and expiry is not None:
            pile = self._pile(root, expiry)
            pile.read += 1
            pile.dropped[refused.reason] += 1
        self._tell(number, refused.reason, refused.detail)

    def mark(self, root: str, expiry: date, flag: str) -> None:
        """Add a flag to one chain."""
        self._pile(root, expiry).flags[flag] = None

    def finish(self, facts: FileFacts) -> Recorded:
        """Check every row and make the chains.

        Raises:
            FileRefused: there was not one row that could be used.
        """
        spot = self._believable_spot(facts.spot)
        contracts = {key: facts.contract(*key, facts.ts_event) for key in self._piles}
        product = self._main_product(contracts)
        chains: list[OptionChain] = []
        counts: dict[ChainKey, RowCounts] = {}
        for (root, expiry), pile in self._piles.items():
            contract = contracts[root, expiry]
            price = spot if contract.product == product else None
            chain = self._chain(facts, contract, root, expiry, pile, price)
            if chain is not None:
                chains.append(chain)
            key = (contract.product, root, expiry.isoformat())
            counts[key] = RowCounts(pile.read, dict(pile.dropped))
        if not chains:
            most = self._told.most_common(1)
            why = f"; most often: {most[0][0]}" if most else ""
            raise FileRefused(facts.source, "no_usable_row", f"holds no row that can be used{why}")
        chains.sort(key=lambda chain: (chain.expiry, chain.root))
        return Recorded(
            source=facts.source,
            format=facts.format,
            tz=facts.tz,
            digest=facts.digest,
            ts_event=facts.ts_event,
            chains=tuple(chains),
            ticks=_ticks(facts, product, spot),
            refusals=self._all_refusals(),
            counts={key: counts[key] for key in sorted(counts, key=lambda key: (key[2], key[1]))},
            remarks=tuple(self.remarks),
        )

    def _main_product(self, contracts: dict[tuple[str, date], Contract]) -> str:
        """The product of most rows: the one that the file's price of the underlying belongs to."""
        rows: Counter[str] = Counter()
        for key, contract in contracts.items():
            rows[contract.product] += self._piles[key].read
        if len(rows) > 1:
            self.remarks.append(
                f"it mixes {', '.join(sorted(rows))}; the price is that of the one with most rows"
            )
        return rows.most_common(1)[0][0] if rows else ""

    def _pile(self, root: str, expiry: date) -> _Pile:
        return self._piles.setdefault((root, expiry), _Pile())

    def _tell(self, number: int, reason: str, detail: str) -> None:
        self._told[reason] += 1
        if self._told[reason] <= _REFUSALS_TOLD_PER_REASON:
            self._refusals.append(Refusal(self._source, reason, number, detail))

    def _all_refusals(self) -> tuple[Refusal, ...]:
        told = sorted(self._refusals, key=lambda refusal: refusal.row or 0)
        for reason, count in self._told.items():
            if count > _REFUSALS_TOLD_PER_REASON:
                rest = count - _REFUSALS_TOLD_PER_REASON
                told.append(Refusal(self._source, reason, None, f"and {rest} more rows like that", rest))
        return tuple(told)

    def _believable_spot(self, spot: float | None) -> float | None:
        if spot is None:
            return None
        listed = (strike for pile in self._piles.values() for strike in pile.rows[::CHAIN_ROWS])
        strikes = [strike for strike in listed if 0.0 < strike < np.inf]
        if not strikes or plausible_spot(spot, min(strikes), max(strikes)):
            return spot
        self.remarks.append(f"the underlying's price {spot:g} cannot belong to these strikes; it is not used")
        return None

    def _chain(
        self,
        facts: FileFacts,
        contract: Contract,
        root: str,
        expiry: date,
        pile: _Pile,
        spot: float | None,
    ) -> OptionChain | None:
        rows = np.array(pile.rows).reshape(-1, CHAIN_ROWS)
        kept = self._without_implausible(pile, rows, spot)
        kept = self._without_duplicates(pile, rows, kept)
        if not kept:
            return None
        terms = contract.terms
        timed = facts.ts_event is not None
        return OptionChain(
            product=contract.product,
            root=root,
            expiry=expiry.isoformat(),
            expiry_ts=contract.expiry_ts,
            ts_event=facts.ts_event if facts.ts_event is not None else facts.ts_recv,
            ts_recv=facts.ts_recv,
            spot=spot,
            currency=terms.currency,
            multiplier=contract.multiplier,
            lot=1.0,
            tick_size=terms.tick_size,
            exercise=terms.exercise,
            settlement=terms.settlement,
            oi_unit="contracts",
            volume_unit="contracts",
            oi_cadence=facts.oi_cadence,
            oi_as_of=facts.ts_event if facts.oi_cadence != "daily" else None,
            columns=_matrix(rows, np.array(pile.sides), kept),
            flags=(
                *(() if timed else ("timestamp_unknown",)),
                *contract.flags,
                *pile.flags,
                *(("rows_dropped",) if pile.dropped else ()),
            ),
        )

    def _without_implausible(self, pile: _Pile, rows: Rows, spot: float | None) -> list[int]:
        good = np.ones(len(rows), dtype=bool)
        for reason, condemned in implausible(rows, spot):
            for index in np.flatnonzero(condemned & good).tolist():
                pile.dropped[reason] += 1
                self._tell(pile.numbers[index], reason, _shown(rows[index]))
            good &= ~condemned
        clean(rows)
        return np.flatnonzero(good).tolist()

    def _without_duplicates(self, pile: _Pile, rows: Rows, kept: Sequence[int]) -> list[int]:
        """The first of each strike and side stays; a later row that repeats one is dropped whole."""
        given: dict[float, int] = {}
        first: list[int] = []
        for index in kept:
            strike = float(rows[index, 0])
            before = given.get(strike, 0)
            if before & pile.sides[index]:
                pile.dropped["duplicate_strike"] += 1
                self._tell(pile.numbers[index], "duplicate_strike", f"strike {strike:g} was already given")
                continue
            given[strike] = before | pile.sides[index]
            first.append(index)
        return first


def _matrix(rows: Rows, sides: np.ndarray, kept: list[int]) -> Rows:
    """Kept rows as float64[23, n]: strikes ascending, one column each, both sides joined."""
    strikes, place = np.unique(rows[kept, 0], return_inverse=True)
    columns = np.full((CHAIN_ROWS, len(strikes)), ABSENT)
    columns[0] = strikes
    for bit, side in ((1, _CALL), (2, _PUT)):
        has = (sides[kept] & bit) > 0
        columns[side, place[has]] = rows[np.array(kept)[has], side].T
    return columns


def _ticks(facts: FileFacts, product: str, spot: float | None) -> tuple[UnderlyingTick, ...]:
    if spot is None or facts.ts_event is None:
        return ()
    return (UnderlyingTick(product=product, price=spot, ts_event=facts.ts_event, ts_recv=facts.ts_recv),)


def _shown(row: np.ndarray) -> str:
    """The strike and the numbers of a row that are there, for a sentence."""
    told = [
        f"{name}={value:g}" for name, value in zip(CHAIN_COLUMNS, row.tolist(), strict=True) if value == value
    ]
    text = " ".join(told)
    return text if len(text) <= 200 else text[:197] + "..."
