"""Analytics: ``/api/analytics``, and what its numbers mean."""

from __future__ import annotations

from typing import Final

import msgspec

from deltastream.gateway import definitions as table
from deltastream.gateway.definitions import Definition
from deltastream.gateway.rendering import answered_json
from deltastream.gateway.routes._greeks import greeks
from deltastream.gateway.routes._max_pain import max_pain
from deltastream.gateway.routes._open_interest import open_interest
from deltastream.gateway.routes._pcr import pcr
from deltastream.gateway.routes._straddle import straddle
from deltastream.gateway.routes._surface import volatility_surface
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route

__all__ = ["ROUTES"]


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers mean.

    Attributes:
        conventions: what holds for all of them: which forward, which year, which unit.
        definitions: of every field that is a metric.
    """

    conventions: dict[str, str]
    definitions: list[Definition]


@route(
    "GET",
    "/api/analytics/definitions",
    scope="read:market",
    tag="analytics",
    answers=Definitions,
)
async def definitions(call: Call[NoParameters, None]) -> Answer:
    """The definition of every metric: its id, its unit and a sentence; and what holds for all of them."""
    body = Definitions(conventions=dict(table.CONVENTIONS), definitions=list(table.DEFINITIONS.values()))
    return answered_json(body, cache_key="definitions")


ROUTES: Final[tuple[Route, ...]] = (
    pcr,
    max_pain,
    straddle,
    volatility_surface,
    open_interest,
    greeks,
    definitions,
)
