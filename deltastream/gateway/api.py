"""The API: every route there is, in the order of its documentation."""

from __future__ import annotations

from typing import Final

from deltastream.gateway.routes import analytics, auth, data, docs, pages, price, system, user
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
)

ROUTES: Final[tuple[Route, ...]] = (*_DOCUMENTED, *docs.documentation(_DOCUMENTED))
