"""Users, API keys and links as they are made, by whomever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deltastream.accounts import secret_texts as texts
from deltastream.accounts.errors import NotAllowed
from deltastream.accounts.fields import Fields
from deltastream.accounts.protocol import AccountStore
from deltastream.accounts.types import (
    ROLE_SCOPES,
    SCOPES,
    ApiKey,
    Link,
    NewApiKey,
    NewLink,
    Role,
    Scope,
    User,
    profile,
)
from deltastream.seams import Seams

__all__ = ["LINK_S", "MOST_KEYS", "new_api_key", "new_link", "new_user"]

LINK_S: Final = 600
"""How long a link lets in, in seconds."""

MOST_KEYS: Final = 50
"""How many valid API keys a user may have."""

_MOST_DAYS: Final = 366
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND


def new_user(seams: Seams, email: str, name: str, role: Role, password_hash: str | None) -> User:
    """A user to be added; email and name as `Fields` gives them."""
    return User(
        id=seams.ids.new(),
        email=email,
        name=name,
        role=role,
        created=seams.clock.now_ns(),
        password_hash=password_hash,
    )


async def new_api_key(
    store: AccountStore, seams: Seams, user: User, name: str, scopes: Sequence[str], days: int
) -> NewApiKey:
    """Make an API key of a user.

    Cancellation: may take effect or not.

    Raises:
        InvalidFields: with every problem.
        NotAllowed: a scope that the user's role has not.
        Outdated: the user has changed meanwhile.
        TooMany: the user has as many as one may have.
    """
    fields = Fields()
    name = fields.name(name, instead="")
    wanted = _checked_scopes(fields, scopes)
    if not 1 <= days <= _MOST_DAYS:
        fields.wrong("days", "out_of_range", f"A key expires after 1 to {_MOST_DAYS} days.")
    fields.check()
    if missing := [scope for scope in wanted if scope not in ROLE_SCOPES[user.role]]:
        raise NotAllowed(f"The user may not {', '.join(missing)}, so no key of theirs may.")
    now = seams.clock.now_ns()
    prefix, text = texts.api_key_text(seams.secrets)
    key = ApiKey(
        id=seams.ids.new(),
        user_id=user.id,
        name=name,
        prefix=prefix,
        hash=texts.digest(text),
        scopes=wanted,
        created=now,
        expires=now + days * _DAY,
    )
    await store.add_key(key, version=user.session_version, most=MOST_KEYS)
    return NewApiKey(key=key, text=text)


def _checked_scopes(fields: Fields, scopes: Sequence[str]) -> tuple[Scope, ...]:
    if not scopes:
        fields.wrong("scopes", "too_short", "A key needs a scope.")
    if any(scope not in SCOPES for scope in scopes):
        fields.wrong("scopes", "unknown_scope", f"The scopes are {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in scopes)


async def new_link(store: AccountStore, seams: Seams, user: User) -> NewLink:
    """Make a link that lets a user in once, within ten minutes. Earlier ones are void.

    Cancellation: may take effect or not.

    Raises:
        NotFound: no such user.
    """
    text = texts.link_text(seams.secrets)
    expires = seams.clock.now_ns() + LINK_S * _SECOND
    await store.add_link(Link(hash=texts.digest(text), user_id=user.id, expires=expires))
    return NewLink(user=profile(user), token=text, expires=expires)
