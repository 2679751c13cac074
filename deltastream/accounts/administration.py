"""Accounts as their operator uses them: whoever may read and write the host's files.

Works on the store alone, beside a running host or without one: every step is a transaction there,
and what it revokes waits there for a host to find it, within a quarter of a second where one runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deltastream.accounts import secret_texts as texts
from deltastream.accounts.errors import NotAllowed, NotFound
from deltastream.accounts.fields import Fields, email_of
from deltastream.accounts.issuing import new_api_key, new_link, new_user
from deltastream.accounts.protocol import AccountStore
from deltastream.accounts.types import ApiKey, NewApiKey, NewLink, Profile, Role, User, profile
from deltastream.seams import Seams

__all__ = ["FIRST_ADMINISTRATOR", "Administration"]

FIRST_ADMINISTRATOR: Final = "admin@localhost"
"""The email of the account that is made on first start."""


class Administration:
    """What an operator may do. Users are named by email.

    Cancellation: a step may take effect or not.

    Args:
        store: an open one.
        seams: time, ids and secrets.
    """

    def __init__(self, store: AccountStore, seams: Seams) -> None:
        self._store = store
        self._seams = seams

    async def begin(self) -> None:
        """Make the first administrator where there is no user at all."""
        await self._administrators()

    async def has_administrator(self) -> bool:
        """Whether an enabled administrator has a password."""
        users = await self._store.users()
        return any(one.role == "admin" and not one.disabled and one.password_hash for one in users)

    async def first_contact(self) -> NewLink | None:
        """A link for the first administrator, until there is one who can log in without.

        Makes the administrator where there is no user at all. None where an enabled administrator has
        a password.
        """
        administrators = await self._administrators()
        if any(user.password_hash is not None for user in administrators):
            return None
        return await new_link(self._store, self._seams, administrators[0])

    async def users(self) -> list[Profile]:
        """All users, oldest first."""
        return [profile(user) for user in await self._store.users()]

    async def add_user(self, email: str, name: str, role: Role) -> NewLink:
        """Add a user without a password, and a link by which to set one.

        Raises:
            InvalidFields: with every problem.
            EmailTaken: somebody has the email.
        """
        fields = Fields()
        email = fields.email(email)
        name = fields.name(name, instead=email.partition("@")[0] or "?")
        fields.check()
        await self._administrators()
        user = new_user(self._seams, email, name, role, None)
        await self._store.add_user(user)
        return await new_link(self._store, self._seams, user)

    async def link(self, email: str | None = None) -> NewLink:
        """A link for a user; for the oldest enabled administrator where none is named.

        Makes the first administrator where there is no user at all.

        Raises:
            NotFound: no such user.
            NotAllowed: the user is disabled.
        """
        if email is None:
            user = (await self._administrators())[0]
        else:
            user = await self._user(email)
        if user.disabled:
            raise NotAllowed(f"{user.email} is disabled; enable the user first.")
        return await new_link(self._store, self._seams, user)

    async def lets_in(self, token: str) -> bool:
        """Whether the link of that token lets somebody in: not used, not void, not expired."""
        link = await self._store.link(texts.digest(token))
        return link is not None and self._seams.clock.now_ns() < link.expires

    async def set_role(self, email: str, role: Role) -> None:
        """Make somebody an administrator, or no longer one.

        Raises:
            NotFound: no such user.
            LastAdministrator: nobody could administer any more.
        """
        await self._store.set_role((await self._user(email)).id, role)

    async def set_disabled(self, email: str, disabled: bool) -> None:
        """Take a user's rights away, or give them back.

        Raises:
            NotFound: no such user.
            LastAdministrator: nobody could administer any more.
        """
        await self._store.set_disabled((await self._user(email)).id, disabled)

    async def logout(self, email: str) -> None:
        """End all sessions of a user.

        Raises:
            NotFound: no such user.
        """
        await self._store.end_sessions((await self._user(email)).id)

    async def delete(self, email: str) -> None:
        """Delete a user with all sessions and keys.

        Raises:
            NotFound: no such user.
            LastAdministrator: nobody could administer any more.
        """
        await self._store.delete_user((await self._user(email)).id)

    async def keys(self, email: str | None = None) -> list[tuple[Profile, ApiKey]]:
        """The API keys of a user, or all, oldest first, each with its user.

        Raises:
            NotFound: no such user.
        """
        users = await self._store.users() if email is None else [await self._user(email)]
        owners = {user.id: profile(user) for user in users}
        keys = await self._store.keys(None if email is None else users[0].id)
        return [(owners[key.user_id], key) for key in keys if key.user_id in owners]

    async def create_key(self, email: str, name: str, scopes: Sequence[str], days: int) -> NewApiKey:
        """Make an API key for a user.

        Raises:
            NotFound: no such user.
            InvalidFields: with every problem.
            NotAllowed: a scope that the user's role has not, or the user is disabled.
            TooMany: the user has as many as one may have.
        """
        user = await self._user(email)
        if user.disabled:
            raise NotAllowed(f"{user.email} is disabled; enable the user first.")
        return await new_api_key(self._store, self._seams, user, name, scopes, days)

    async def revoke_key(self, name: str) -> ApiKey:
        """End the API key of that id or prefix; nothing where it has ended.

        Raises:
            NotFound: no such key.
        """
        for key in await self._store.keys():
            if name in (key.id, key.prefix, f"ds_{key.prefix}"):
                await self._store.revoke_key(key.id)
                return key
        raise NotFound("There is no such API key.")

    async def drop_key(self, key_id: str) -> None:
        """End the API key of that id and forget it; nothing where there is none."""
        await self._store.drop_key(key_id)

    async def _administrators(self) -> list[User]:
        """The enabled ones, oldest first; the store sees to it that there is one."""
        first = new_user(self._seams, FIRST_ADMINISTRATOR, "Administrator", "admin", None)
        await self._store.add_first_user(first)
        return [user for user in await self._store.users() if user.role == "admin" and not user.disabled]

    async def _user(self, email: str) -> User:
        normal = email_of(email)
        user = None if normal is None else await self._store.user_by_email(normal)
        if user is None:
            raise NotFound("There is no such user.")
        return user
