"""One's own account and API keys: ``/api/user``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec

from deltastream.accounts import ApiKey, Role, Scope
from deltastream.accounts.types import SCOPES
from deltastream.gateway.routes._accounts import GUESSED, KEPT, cookie_gone, instant, who
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route

__all__ = ["ROUTES"]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in.

    Attributes:
        user_id: does not change.
        email: by which they log in.
        name: as they are addressed.
        role: what they may do.
        has_password: False: only a one-time link lets them in.
        created: when the account was made.
        scopes: what they may do, as it is granted.
        session: names the session of the access token.
        expires: when the access token does.
    """

    user_id: str
    email: str
    name: str
    role: Role
    has_password: bool
    created: datetime
    scopes: tuple[Scope, ...]
    session: str
    expires: datetime


class Farewell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Confirms that an account is to be deleted.

    Attributes:
        password: the present one; whoever has none, or came by a link within the last ten minutes,
            leaves it out.
    """

    password: Annotated[str, msgspec.Meta(max_length=1024)] | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret.

    Attributes:
        id: names it here.
        name: what its owner calls it.
        prefix: how its text begins.
        scopes: what it may do.
        created: when it was made.
        expires: when it does.
        revoked: when it was ended; null where it was not.
        last_used: when it was last shown, to the minute; null where it never was.
    """

    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime
    revoked: datetime | None
    last_used: datetime | None


class KeyViews(msgspec.Struct, frozen=True, kw_only=True):
    """All API keys of the user.

    Attributes:
        keys: oldest first, also those that have ended.
    """

    keys: tuple[KeyView, ...]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key to be made.

    Attributes:
        name: to know it by.
        scopes: what it may do; none that the user may not.
        days: it expires after so many.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(SCOPES))]
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key just made.

    Attributes:
        token: its text, to be sent as ``X-API-Key`` or ``Authorization: Bearer …``; never told again.
        key: what can be told again.
    """

    token: str
    key: KeyView


class KeyId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which API key.

    Attributes:
        id: as listed.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]{1,64}$")]


@route("GET", "/api/user/me", scope="session", tag="user", answers=Me, problems=KEPT)
async def me(call: Call[NoParameters, None]) -> Answer:
    """Tell who is logged in."""
    identity = who(call)
    profile = await call.services.accounts.profile(identity)
    answer = Me(
        user_id=profile.id,
        email=profile.email,
        name=profile.name,
        role=profile.role,
        has_password=profile.has_password,
        created=instant(profile.created),
        scopes=tuple(scope for scope in SCOPES if scope in identity.scopes),
        session=identity.session or "",
        expires=instant(identity.expires),
    )
    return Answer(answer)


@route(
    "DELETE",
    "/api/user/me",
    scope="session",
    tag="user",
    body=Farewell | None,
    status=204,
    problems=(*KEPT, *GUESSED, "conflict"),
    cost=5,
)
async def delete_account(call: Call[NoParameters, Farewell | None]) -> Answer:
    """Delete one's account with all its sessions and API keys. There is no way back.

    The last administrator cannot be deleted.
    """
    current = None if call.body is None else call.body.password
    await call.services.accounts.delete(who(call), current=current, address=call.address)
    return Answer(None, status=204, cookies=cookie_gone(call))


@route("GET", "/api/user/keys", scope="session", tag="user", answers=KeyViews, problems=KEPT)
async def list_keys(call: Call[NoParameters, None]) -> Answer:
    """List one's API keys."""
    keys = await call.services.accounts.keys(who(call))
    return Answer(KeyViews(keys=tuple(map(_view, keys))))


@route(
    "POST",
    "/api/user/keys",
    scope="session",
    tag="user",
    body=NewKey,
    answers=MadeKey,
    status=201,
    problems=(*KEPT, "conflict", "forbidden"),
)
async def create_key(call: Call[NoParameters, NewKey]) -> Answer:
    """Make an API key. Its text is shown this once."""
    body = call.body
    made = await call.services.accounts.create_key(who(call), body.name, body.scopes, days=body.days)
    return Answer(MadeKey(token=made.text, key=_view(made.key)), status=201)


@route(
    "DELETE",
    "/api/user/keys/{id}",
    scope="session",
    tag="user",
    parameters=KeyId,
    status=204,
    problems=(*KEPT, "not_found"),
)
async def revoke_key(call: Call[KeyId, None]) -> Answer:
    """End an API key. One that has ended stays so."""
    await call.services.accounts.revoke_key(who(call), call.parameters.id)
    return Answer(None, status=204)


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        prefix=f"ds_{key.prefix}",
        scopes=key.scopes,
        created=instant(key.created),
        expires=instant(key.expires),
        revoked=None if key.revoked is None else instant(key.revoked),
        last_used=None if key.last_used is None else instant(key.last_used),
    )


ROUTES: Final[tuple[Route, ...]] = (me, delete_account, list_keys, create_key, revoke_key)
