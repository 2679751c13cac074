"""The API: every route there is, in the order of its documentation."""

from __future__ import annotations

from typing import Final

from deltastream.gateway.routes import analytics, auth, data, docs, market_page, pages, price, system, user
from deltastream.gateway.routing import Route

__all__ = ["ROUTES"]

_DOCUMENTED: Final[tuple[Route, ...]] = (
    *auth.ROUTES,
    *user.ROUTES,
    *data.ROUTES,
    *analytics.ROUTES,
    *price.ROUTES,
    *system.ROUTES,
    *pages.ROUTES,
    *market_page.ROUTES,
)

ROUTES: Final[tuple[Route, ...]] = (*_DOCUMENTED, *docs.documentation(_DOCUMENTED))
