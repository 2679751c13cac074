"""Whose a request is: by what its headers show."""

from __future__ import annotations

from deltastream.accounts import AccountService, Identity
from deltastream.gateway.exchange import Exchange
from deltastream.gateway.problems import Problem
from deltastream.gateway.routing import Route

__all__ = ["authorise", "identify"]


async def identify(accounts: AccountService, exchange: Exchange) -> Identity | None:
    """Whose the credential of a request is: ``Authorization: Bearer …`` or ``X-API-Key``; None without.

    Cancellation: no effect.

    Raises:
        Problem: there is more than one, or it is of another kind.
        InvalidToken: it gives no rights.
        StoreUnavailable: nobody can tell at the moment.
    """
    headers = exchange.headers
    bearer, key = headers.get(b"authorization"), headers.get(b"x-api-key")
    if bearer is None and key is None:
        return None
    if (bearer is not None and key is not None) or not exchange.repeated.isdisjoint(
        (b"authorization", b"x-api-key")
    ):
        raise Problem("unauthenticated", "Show one credential.")
    if bearer is not None:
        scheme, _, text = bearer.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Problem("unauthenticated", "Only Bearer credentials are understood.")
        credential = text.strip(b" ")
    else:
        assert key is not None  # one of them is there
        credential = key
    exchange.credential = credential.decode("latin1")
    return await accounts.authenticate(exchange.credential)


def authorise(route: Route, identity: Identity | None) -> None:
    """Let pass who may call the route.

    Raises:
        Problem: nobody in particular may not, or this one has not the right.
    """
    if route.scope == "anyone":
        return
    if identity is None:
        raise Problem("unauthenticated")
    if route.scope == "session":
        if identity.session is None:
            raise Problem("forbidden", "An API key cannot do this; log in.")
    elif route.scope not in identity.scopes:
        challenge = f'Bearer realm="deltastream", error="insufficient_scope", scope="{route.scope}"'
        raise Problem(
            "forbidden",
            f"This needs the scope {route.scope}.",
            headers=[("www-authenticate", challenge)],
        )
