"""References for change in price and open interest, where the exchange gives none of its own."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream.errors import StoreError
from deltastream.market import calendar, terms
from deltastream.messages import ROW, EnrichedChain, OptionChain
from deltastream.storage.protocol import Repository

__all__ = ["PreviousSession"]

_REFERENCES: Final = tuple(
    (ROW[f"{side}_{current}"], ROW[f"{side}_{previous}"])
    for side in ("call", "put")
    for current, previous in (("last", "prev_close"), ("oi", "prev_oi"))
)


class PreviousSession:
    """Completes chains with the last values of the previous session, out of the store.

    Only columns that a chain lacks altogether are filled; what an exchange says itself is kept.
    """

    def __init__(self, store: Repository) -> None:
        self._store = store
        self._known: dict[tuple[str, str], tuple[date, EnrichedChain | None]] = {}

    async def complete(self, chain: OptionChain) -> OptionChain:
        """The chain with `prev_close` and `prev_oi` filled where they were wholly absent.

        It is flagged "reference_from_store" where that added something, "reference_unavailable"
        where the store is away.

        Cancellation: raises Cancelled with nothing changed.
        """
        lacking = [(now, before) for now, before in _REFERENCES if _absent(chain.columns[before])]
        if not lacking or "timestamp_unknown" in chain.flags or chain.strikes.size == 0:
            return chain
        try:
            reference = await self._reference(chain)
        except StoreError:
            return msgspec.structs.replace(chain, flags=(*chain.flags, "reference_unavailable"))
        if reference is None:
            return chain
        columns = chain.columns.copy()
        at = np.searchsorted(reference.strikes, chain.strikes).clip(max=reference.strikes.size - 1)
        listed = reference.strikes[at] == chain.strikes
        for now, before in lacking:
            columns[before] = np.where(listed, reference.columns[now][at], np.nan)
        if all(_absent(columns[before]) for _, before in lacking):
            return chain
        flags = (*chain.flags, "reference_from_store")
        return msgspec.structs.replace(chain, columns=columns, flags=flags)

    async def _reference(self, chain: OptionChain) -> EnrichedChain | None:
        contract = terms(chain.root, date.fromisoformat(chain.expiry))
        sessions = calendar(contract.calendar)
        zone = ZoneInfo(contract.tz)
        today = _day(chain.ts_event, zone)
        key = (chain.root, chain.expiry)
        day, reference = self._known.get(key, (None, None))
        if day != today:
            reference = await self._last_of(chain, sessions.previous_session(today), zone)
            self._known[key] = (today, reference)
        return reference

    async def _last_of(self, chain: OptionChain, session: date, zone: ZoneInfo) -> EnrichedChain | None:
        """The last chain with a time of that session's day, or later but before today."""
        midnight = datetime.combine(_day(chain.ts_event, zone), datetime.min.time(), zone)
        found = await self._store.chain(
            chain.product,
            root=chain.root,
            expiry=chain.expiry,
            at=int(midnight.timestamp()) * 1_000_000_000 - 1,
        )
        if found is None or found.strikes.size == 0 or _day(found.ts_event, zone) < session:
            return None
        return found


def _absent(column: NDArray[np.float64]) -> bool:
    """Whether it holds no number; its first element mostly tells."""
    return not column.size or (math.isnan(column[0]) and bool(np.isnan(column).all()))


def _day(ts: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(ts // 1_000_000_000, UTC).astimezone(zone).date()
