"""The contract behind a root and expiry found in a file."""

from __future__ import annotations

from datetime import date

from deltastream.feeds.recorded._assemble import Contract
from deltastream.market import calendar, expiry_instant, terms

__all__ = ["look_up"]


def look_up(
    root: str, expiry: date, ts_event: int | None, *, exchange: str | None = None, product: str | None = None
) -> Contract:
    """Terms as of the file's time, with the remarks that hold for every chain of that contract.

    Args:
        root: as in the file.
        expiry: its date.
        ts_event: the file's time, nanoseconds UTC; None where unknown: terms as of the expiry.
        exchange: of files that come from one exchange only.
        product: the underlying that the file names, for roots that the tables do not know.
    """
    facts = terms(root, expiry, exchange=exchange)
    sessions = calendar(facts.calendar)
    if ts_event is not None:
        facts = terms(root, expiry, on=sessions.date_of(ts_event), exchange=exchange)
    flags = (
        ("market_closed", ts_event is not None and not sessions.is_open(ts_event)),
        ("assumed_terms", facts.assumed),
    )
    return Contract(
        terms=facts,
        product=product if product is not None and facts.product == root and facts.assumed else facts.product,
        multiplier=facts.multiplier,
        expiry_ts=expiry_instant(root, expiry, exchange=exchange),
        flags=tuple(flag for flag, holds in flags if holds),
    )
