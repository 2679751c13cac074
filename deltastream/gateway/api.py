"""The API: every route there is, in the order of its documentation."""

from __future__ import annotations

from typing import Final

from deltastream.gateway.routes import auth, pages, price, system, user
from deltastream.gateway.routing import Route

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Route, ...]] = (
    *auth.ROUTES,
    *user.ROUTES,
    *price.ROUTES,
    *system.ROUTES,
    *pages.ROUTES,
)
