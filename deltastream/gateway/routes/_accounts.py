"""What the routes of accounts share: users and tokens as they are shown, and the cookie.

A browser that asks for it gets its refresh token as a cookie and not in the body, where a script that
was slipped into a page could read it. The cookie goes to nothing but ``/api/auth``; of a request that
another site makes the browser leaves it out (SameSite=Strict), and one from another port of this
host, which that would let through, is refused by its ``Origin`` before it comes to a handler.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from deltastream.accounts import Identity, Profile, Role, SignedIn
from deltastream.gateway.routing import Call, Cookie

__all__ = [
    "COOKIE_PATH",
    "GUESSED",
    "KEPT",
    "Tokens",
    "UserView",
    "cookie_gone",
    "cookie_name",
    "cookie_of",
    "instant",
    "signed_in",
    "who",
]

COOKIE_PATH: Final = "/api/auth"
KEPT: Final = ("unauthenticated", "store_unavailable")
"""What every route answers that asks the account store about somebody."""
GUESSED: Final = ("invalid_credentials", "too_many_attempts")
"""What every route answers as well that takes a password."""

_SECOND: Final = 1_000_000_000


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user as they see themselves.

    Attributes:
        id: does not change.
        email: by which they log in.
        name: as they are addressed.
        role: what they may do.
        has_password: False: only a one-time link lets them in.
    """

    id: str
    email: str
    name: str
    role: Role
    has_password: bool


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Logged in.

    Attributes:
        message: a sentence for people.
        token: the access token, to be sent as ``Authorization: Bearer …``.
        expires: when it does.
        refresh_token: gives a new pair, once; null where it was set as a cookie.
        refresh_expires: when it does.
        user: who is logged in.
    """

    message: str
    token: str
    expires: datetime
    refresh_token: str | None
    refresh_expires: datetime
    user: UserView


def instant(ns: int) -> datetime:
    """A time as it is answered, to the second."""
    return datetime.fromtimestamp(ns // _SECOND, UTC)


def who(call: Call[Any, Any]) -> Identity:
    """Whose the call is, of a route that is not for anyone."""
    assert call.identity is not None
    return call.identity


def user_view(user: Profile) -> UserView:
    """A user as they see themselves."""
    return UserView(
        id=user.id, email=user.email, name=user.name, role=user.role, has_password=user.has_password
    )


def signed_in(
    call: Call[Any, Any], tokens: SignedIn, message: str, *, as_cookie: bool
) -> tuple[Tokens, tuple[Cookie, ...]]:
    """What a login answers, and the cookie that it sets."""
    cookies: tuple[Cookie, ...] = ()
    if as_cookie:
        left_s = (tokens.refresh_expires - call.services.seams.clock.now_ns()) // _SECOND
        cookies = (_cookie(call, tokens.refresh, left_s),)
    answer = Tokens(
        message=message,
        token=tokens.access,
        expires=instant(tokens.access_expires),
        refresh_token=None if as_cookie else tokens.refresh,
        refresh_expires=instant(tokens.refresh_expires),
        user=user_view(tokens.user),
    )
    return answer, cookies


def cookie_of(call: Call[Any, Any]) -> str | None:
    """The refresh token that came as a cookie."""
    return call.cookies.get(cookie_name(call.base)) or None


def cookie_gone(call: Call[Any, Any]) -> tuple[Cookie, ...]:
    """Takes the cookie away, where it came."""
    return () if cookie_of(call) is None else (_cookie(call, "", 0),)


def cookie_name(base: str) -> str:
    """Browsers do not tell ports apart: two hosts on one machine must not take each other's."""
    port = urlsplit(base).port
    return "deltastream_refresh" if port is None else f"deltastream_refresh_{port}"


def _cookie(call: Call[Any, Any], value: str, life_s: int) -> Cookie:
    return Cookie(name=cookie_name(call.base), value=value, max_age_s=life_s, path=COOKIE_PATH)
