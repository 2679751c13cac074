"""What an account store is: every method is one step that happens wholly or not at all.

Invariants stand in the store and not above it, so that they hold whoever else works on it, a
command line beside a running host or several gateways: emails are unique, an enabled administrator
is left, a refresh token has one successor, a link lets in once, nothing begins for a user who has
changed meanwhile.

Whatever takes rights away also leaves a `Revocation` in the store, in the same step, and returns it.
They wait there, across any crash, until somebody has put them on the bus and calls
`forget_revocations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deltastream.accounts.types import ApiKey, Link, RefreshToken, Role, Rotation, Session, User
from deltastream.messages import Revocation

__all__ = ["AccountStore"]


class AccountStore(Protocol):
    """The store. Opened and closed by its implementation's own context manager.

    Every method raises StoreUnavailable where the store is away for now, StoreDamaged where it is
    broken, and StoreError for anything else that it refuses.

    Cancellation: a step that has begun completes, and whoever was cancelled does not learn of it.
    """

    async def add_user(self, user: User) -> None:
        """Add a user.

        Raises:
            EmailTaken: somebody has the email.
            NotAllowed: the first user of all, and no administrator.
        """
        ...

    async def add_first_user(self, user: User) -> bool:
        """Add a user if there is none at all; whether it was added."""
        ...

    async def user(self, user_id: str) -> User | None:
        """The user of that id."""
        ...

    async def user_by_email(self, email: str) -> User | None:
        """The user of that normalised email."""
        ...

    async def users(self) -> list[User]:
        """All users, oldest first."""
        ...

    async def set_password(self, user_id: str, version: int, password_hash: str) -> list[Revocation]:
        """Set a password, end all sessions and void all links.

        Raises:
            Outdated: no such user, disabled, or of another session version.
        """
        ...

    async def rehash(self, user_id: str, old: str, new: str) -> None:
        """Replace a hash by another of the same password; nothing where the user has another by now."""
        ...

    async def set_role(self, user_id: str, role: Role) -> list[Revocation]:
        """Give a user a role.

        Raises:
            NotFound: no such user.
            LastAdministrator: no enabled administrator would be left.
        """
        ...

    async def set_disabled(self, user_id: str, disabled: bool) -> list[Revocation]:
        """Take a user's rights away, which ends all sessions and voids all links, or give them back.

        Raises:
            NotFound: no such user.
            LastAdministrator: no enabled administrator would be left.
        """
        ...

    async def delete_user(self, user_id: str) -> list[Revocation]:
        """Delete a user with sessions, keys and links.

        Raises:
            NotFound: no such user.
            LastAdministrator: no enabled administrator would be left.
        """
        ...

    async def add_link(self, link: Link) -> None:
        """Add a link in the place of all earlier ones of the same user.

        Raises:
            NotFound: no such user.
        """
        ...

    async def link(self, link: bytes) -> Link | None:
        """The link of this hash; None once it has let somebody in or is void."""
        ...

    async def take_link(self, link: bytes) -> User | None:
        """The user whom the link of this hash lets in, once, if it has not expired."""
        ...

    async def add_session(self, session: Session, token: RefreshToken, *, most: int) -> list[Revocation]:
        """Begin a session with its first refresh token; the user's oldest end where there are too many.

        Raises:
            Outdated: the user is gone, disabled, or of another session version.
        """
        ...

    async def rotate(
        self, presented: bytes, successor: RefreshToken, sealed: bytes, *, grace_s: float
    ) -> tuple[Rotation, list[Revocation]]:
        """Put `successor` in the place of the refresh token of the hash `presented`.

        Args:
            presented: its hash.
            successor: expires with the session at the latest.
            sealed: the successor's text as only who has the presented one can read it.
            grace_s: a token rotated no longer ago leads to the session's present token, which may be a
                later one than its successor; one rotated longer ago was stolen, or its successor was,
                and the session ends.
        """
        ...

    async def session(self, session_id: str) -> tuple[User, Session] | None:
        """The session of that id and its user."""
        ...

    async def session_of(self, token: bytes) -> Session | None:
        """The session that the refresh token of this hash belongs to."""
        ...

    async def end_session(self, session_id: str) -> list[Revocation]:
        """End a session; nothing where there is none, or it has ended."""
        ...

    async def end_sessions(self, user_id: str) -> list[Revocation]:
        """End all sessions of a user and raise the session version.

        Raises:
            NotFound: no such user.
        """
        ...

    async def add_key(self, key: ApiKey, *, version: int, most: int) -> None:
        """Add an API key.

        Raises:
            Outdated: the user is gone, disabled, or of another session version.
            TooMany: the user has as many that are valid.
        """
        ...

    async def key(self, prefix: str) -> tuple[User, ApiKey] | None:
        """The API key of that prefix and its user."""
        ...

    async def keys(self, user_id: str | None = None) -> list[ApiKey]:
        """The API keys of a user, or all, oldest first."""
        ...

    async def revoke_key(self, key_id: str, user_id: str | None = None) -> list[Revocation]:
        """End an API key; nothing where it has ended.

        Raises:
            NotFound: no such key, or not of this user.
        """
        ...

    async def drop_key(self, key_id: str) -> list[Revocation]:
        """End an API key and forget it; nothing where there is none."""
        ...

    async def record_use(self, used: Mapping[str, int]) -> None:
        """When API keys were last used, by id; an earlier instant than is recorded changes nothing."""
        ...

    async def revocations(self, *, limit: int = 100) -> list[Revocation]:
        """The oldest revocations that wait to be put on the bus."""
        ...

    async def forget_revocations(self, ids: Sequence[str]) -> None:
        """These are on the bus."""
        ...

    async def purge(self, *, grace_s: float) -> None:
        """Drop what has expired, and sealed successors older than the grace."""
        ...
