"""Users, sessions, API keys and links, and what a request is once we know whose it is.

Times are integer nanoseconds UTC. What is secret, or would help to find a secret, does not show in
a `repr`, so that no log line, no traceback and no terminal tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

__all__ = [
    "ROLE_SCOPES",
    "SCOPES",
    "ApiKey",
    "Identity",
    "Link",
    "NewApiKey",
    "NewLink",
    "Profile",
    "RefreshToken",
    "Role",
    "Rotation",
    "Scope",
    "Session",
    "SignedIn",
    "User",
    "profile",
]

Role = Literal["user", "admin"]
Scope = Literal["read:market", "read:history", "read:system", "write:alerts", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
ROLE_SCOPES: Final[Mapping[Role, frozenset[Scope]]] = {
    "user": frozenset({"read:market", "read:history", "write:alerts"}),
    "admin": frozenset(SCOPES),
}
"""What a role may do, and the most that an API key of somebody in it may."""


class Discreet(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what holds something that must not be shown."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.HIDDEN]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class User(Discreet, frozen=True, kw_only=True):
    """Somebody who may log in.

    Attributes:
        email: normalised, see `fields.email_of`; unique.
        password_hash: of bcrypt; None: only a link lets in.
        disabled: may not do anything, with whatever credential.
        session_version: rises when every session of the user ends.
    """

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"password_hash"})

    id: str
    email: str
    name: str
    role: Role
    created: int
    password_hash: str | None = None
    disabled: bool = False
    session_version: int = 1


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a user."""

    id: str
    email: str
    name: str
    role: Role
    created: int
    disabled: bool
    has_password: bool


def profile(user: User) -> Profile:
    """What may be shown of this user."""
    return Profile(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        created=user.created,
        disabled=user.disabled,
        has_password=user.password_hash is not None,
    )


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One login and all that was refreshed from it: a family of refresh tokens.

    Attributes:
        version: the user's `session_version` when it began; it ends when the user's moves on.
        origin: how it began; whoever came by a link may set a password without telling the old one.
        expires: when it ends in any case.
        revoked: when it was ended, None while it was not.
    """

    id: str
    user_id: str
    version: int
    origin: Literal["password", "link"]
    created: int
    expires: int
    revoked: int | None = None


class RefreshToken(Discreet, frozen=True, kw_only=True):
    """One refresh token of a session, as it is stored: SHA-256 of its text."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"hash"})

    hash: bytes
    issued: int
    expires: int


class Rotation(Discreet, frozen=True, kw_only=True):
    """What became of a refresh token that was presented.

    Attributes:
        outcome: "rotated" (the successor given is the session's token now), "repeated" (it was
            rotated a moment ago, `seals` lead to what is the session's token now), "reused" (rotated
            longer ago: the session has been ended), "ended" or "unknown".
        seals: of the session's successors of late, each by the hash of the token that it follows.
        expires: when the session's newest token expires, where there is one.
    """

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"seals"})

    outcome: Literal["rotated", "repeated", "reused", "ended", "unknown"]
    user: User | None = None
    session: Session | None = None
    seals: dict[bytes, bytes] = {}
    expires: int = 0


class ApiKey(Discreet, frozen=True, kw_only=True):
    """A credential for programs.

    Attributes:
        prefix: its public part, by which it is found.
        hash: SHA-256 of the secret part.
        last_used: to the minute or so.
    """

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"hash"})

    id: str
    user_id: str
    name: str
    prefix: str
    hash: bytes
    scopes: tuple[Scope, ...]
    created: int
    expires: int
    revoked: int | None = None
    last_used: int | None = None


class NewApiKey(Discreet, frozen=True, kw_only=True):
    """An API key just made, and its text, which nobody can tell again."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"text"})

    key: ApiKey
    text: str


class Link(Discreet, frozen=True, kw_only=True):
    """What lets in once without a password, as it is stored: SHA-256 of its text."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"hash"})

    hash: bytes
    user_id: str
    expires: int


class NewLink(Discreet, frozen=True, kw_only=True):
    """A link just made, for whom, and its token, which nobody can tell again."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"token"})

    user: Profile
    token: str
    expires: int


class SignedIn(Discreet, frozen=True, kw_only=True):
    """What a login and every refresh give: an access token to show, a refresh token to keep."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"access", "refresh"})

    user: Profile
    session: str
    access: str
    access_expires: int
    refresh: str
    refresh_expires: int


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is after authentication.

    Attributes:
        scopes: what it may do: the role's, or those of them that the API key has.
        session: of the access token; None for an API key.
        key: id of the API key; None for an access token.
        expires: when the credential that was shown expires.
        version: the user's session version that it was checked against.
    """

    user_id: str
    email: str
    name: str
    role: Role
    scopes: frozenset[Scope]
    expires: int
    version: int
    session: str | None = None
    key: str | None = None
