"""Finding what a request names, and saying clearly what is not there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from deltastream.accounts import Identity
from deltastream.errors import StoreDamaged, StoreUnavailable
from deltastream.gateway.instants import Instant
from deltastream.gateway.meta import iso, zone_of
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.gateway.services import Services
from deltastream.storage.protocol import BadCursor, StoredExpiry

__all__ = [
    "Range",
    "date_text",
    "history",
    "invalid",
    "moment",
    "nothing_yet",
    "product_named",
    "range_of",
    "series_named",
    "stored",
]

RETRY_S: Final = 2.0
"""When to come again while the store is away."""

AHEAD_NS: Final = 5_000_000_000
"""How far a client's clock may be ahead of ours before its present is called the future."""

_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Range:
    """``start <= ts_event < end``, nanoseconds UTC, and the store's cursor within it."""

    start: int
    end: int
    cursor: str | None = None

    def continued(self, cursor: str | None) -> str | None:
        """The cursor to answer: it holds the range, whose end may have been the moment of asking."""
        return None if cursor is None else f"{self.start:x}.{self.end:x}.{cursor}"


def invalid(field: str, code: str, end: str, *, where: str = "query") -> NoReturn:
    """Refuse one parameter.

    Args:
        end: of a sentence that begins with the parameter's name.

    Raises:
        Problem: invalid_request.
    """
    problem = FieldProblem(where=where, field=field, code=code, message=f"{field} {end}.")
    raise Problem("invalid_request", problem.message, errors=[problem])


@contextmanager
def stored() -> Iterator[None]:
    """Reads of the store within: an outage is 503, another query's cursor the client's mistake.

    Raises:
        Problem: store_unavailable or invalid_request.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise Problem(
            "store_unavailable",
            "The history cannot be read for now; what is live goes on being answered.",
            retry_after_s=RETRY_S,
        ) from error
    except StoreDamaged as error:
        raise Problem(
            "store_unavailable",
            "The history is damaged and cannot be read until its operator has mended it.",
            retry_after_s=60.0,
        ) from error
    except BadCursor:
        invalid("cursor", "cursor", "is not of this query: continue with the parameters it began with")


async def product_named(services: Services, name: str) -> str:
    """The product of that name, in whatever case where only one is meant.

    Cancellation: no effect.

    Raises:
        Problem: not_found, with the products there are; store_unavailable where only the store could know.
    """
    known = services.live.products()
    if name in known:
        return name
    folded = [product for product in known if product.upper() == name.upper()]
    if len(folded) == 1:
        return folded[0]
    if not services.live.recalled.is_set():
        with stored():
            if name in (in_store := [one.product for one in await services.store.products()]):
                return name
            known = sorted({*known, *in_store})
    raise Problem("not_found", f"There is no product {name[:64]!r}. {_those('products', known)}")


def series_named(
    product: str, series: Iterable[StoredExpiry], expiry: str | None, root: str | None
) -> NoReturn:
    """Say why a product has no such series.

    Args:
        series: those it has.

    Raises:
        Problem: not_found, always.
    """
    series = list(series)
    roots = sorted({one.root for one in series})
    if root is not None and root not in roots:
        raise Problem("not_found", f"{product} has no root {root!r}. {_those('roots', roots)}")
    dates = sorted({one.expiry for one in series if root in (None, one.root)})
    if expiry is None:
        raise Problem("not_found", f"{product} has no live chain. {_those('expiries', dates)}")
    raise Problem(
        "not_found", f"{product} has no chain that expires on {expiry}. {_those('expiries', dates)}"
    )


async def nothing_yet(services: Services, product: str, at: int | None, what: str) -> NoReturn:
    """Say that there is nothing of the kind, or not by then.

    Cancellation: no effect.

    Raises:
        Problem: not_found, always; store_unavailable.
    """
    if at is None:
        raise Problem("not_found", f"There is no {what} of {product} yet.")
    with stored():
        spans = {one.product: one.first_ts for one in await services.store.products()}
    zone = zone_of(product)
    first = f" What is known of {product} begins at {iso(spans[product], zone)}." if product in spans else ""
    raise Problem("not_found", f"There is no {what} of {product} at {iso(at, zone)}.{first}")


def history(identity: Identity | None) -> None:
    """Let nobody read history who may only read the present.

    Raises:
        Problem: forbidden.
    """
    if identity is None or "read:history" not in identity.scopes:
        raise Problem("forbidden", "This reads history: it needs the scope read:history.")


def moment(services: Services, at: Instant | None) -> int | None:
    """The instant to answer for, None for now.

    An instant of whole microseconds, as answers tell times, means all of that microsecond, so that
    the time of an answer asks for that same state again.

    Raises:
        Problem: invalid_request, of the future.
    """
    if at is None:
        return None
    now = services.seams.clock.now_ns()
    if at > now + AHEAD_NS:
        invalid("at", "future", f"lies in the future: it is {iso(now, zone_of('UTC'))} here")
    return at + 999 if at % 1000 == 0 else int(at)


def range_of(
    services: Services,
    start: Instant | None,
    end: Instant | None,
    cursor: str | None,
    at: Instant | None,
    *,
    begin: int | None = None,
    until: int | None = None,
) -> Range:
    """The range that a request names; its end is now unless it says so.

    Args:
        at: an instant cannot be asked for as well.
        begin, until: instead of a start and an end that are not given.

    Raises:
        Problem: invalid_request.
    """
    if at is not None and (start, end, cursor) != (None, None, None):
        invalid("at", "conflict", "asks for one instant; start, end and cursor for a range: give one")
    first = begin if start is None else int(start)
    last = (services.seams.clock.now_ns() + 1 if until is None else until) if end is None else int(end)
    if cursor is not None:
        return _continued(cursor, start, end)
    if first is None:
        invalid("start", "required", "is needed with an end")
    if first >= last:
        invalid("start" if end is None else "end", "order", "leaves nothing between start and end")
    return Range(first, last)


def _continued(cursor: str, start: Instant | None, end: Instant | None) -> Range:
    try:
        first, last, rest = cursor.split(".", 2)
        known = Range(int(first, 16), int(last, 16), rest)
    except ValueError:
        known = None
    if known is None or max(abs(known.start), abs(known.end)) >= 1 << 63:
        invalid("cursor", "cursor", "is not one that was answered here")
    if (start is not None and start != known.start) or (end is not None and end != known.end):
        invalid("cursor", "cursor", "is of another range: continue with the parameters it began with")
    return known


def _those(what: str, names: list[str]) -> str:
    if not names:
        return f"There are no {what} yet."
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Known {what}: {', '.join(names[:_NAMED])}{more}."


def date_text(date: dt.date | None) -> str | None:
    """As messages hold it."""
    return None if date is None else date.isoformat()
