"""The account store on SQLite: a writing and a reading connection, both in worker threads.

Other processes may have the same file open: every step is a transaction of its own that begins by
taking the file's write lock, and what it decides by it reads inside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import trio

from deltastream.accounts.sqlite import _keys, _sessions, _users
from deltastream.accounts.sqlite._schema import Step, connect
from deltastream.accounts.types import ApiKey, Link, RefreshToken, Role, Rotation, Session, User
from deltastream.errors import StoreError, StoreUnavailable
from deltastream.messages import Revocation
from deltastream.seams import Seams
from deltastream.storage.sqlite import transaction, translated

__all__ = ["SqliteAccountStore"]

P = ParamSpec("P")
T = TypeVar("T")


class SqliteAccountStore:
    """`AccountStore` in one SQLite database, which several processes may use at once.

    Opened by ``async with`` or by `open` and `aclose`.

    Args:
        path: of the database; its directory exists. Made with mode 0600.
        seams: time, ids of revocations, threads for all blocking work.
    """

    def __init__(self, path: Path, seams: Seams) -> None:
        self._path = path
        self._seams = seams
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(1)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the store, creating or migrating it where needed.

        Cancellation: an opening that has begun completes.

        Raises:
            DataDirectoryError: written by a newer version, or open to others than its owner.
            StoreUnavailable: it cannot be reached or written now.
            StoreError: the file is damaged or something else, or the store is open already.
        """
        if self._writer is not None:
            raise StoreError(f"store {self._path} is open already")
        await self._seams.threads.run(self._open, limiter=self._writing)

    def _open(self) -> None:
        with translated(self._path), ExitStack() as opened:
            writer = opened.enter_context(closing(connect(self._path)))
            reader = opened.enter_context(closing(connect(self._path)))
            reader.execute("PRAGMA query_only = ON")
            opened.pop_all()
        self._writer, self._reader = writer, reader

    async def aclose(self) -> None:
        """Close the store after what is under way. Closing a closed store does nothing.

        Cancellation: not honoured; this takes as long as one write.
        """
        writer, self._writer = self._writer, None
        reader, self._reader = self._reader, None
        if writer is None or reader is None:
            return
        with trio.CancelScope(shield=True):
            await self._seams.threads.run(reader.close, limiter=self._reading)
            await self._seams.threads.run(writer.close, limiter=self._writing)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def add_user(self, user: User) -> None:
        """See `AccountStore.add_user`."""
        await self._write(_users.add, user)

    async def add_first_user(self, user: User) -> bool:
        """See `AccountStore.add_first_user`."""
        added, _ = await self._write(_users.add_first, user)
        return added

    async def user(self, user_id: str) -> User | None:
        """See `AccountStore.user`."""
        return await self._read(_users.by_id, user_id)

    async def user_by_email(self, email: str) -> User | None:
        """See `AccountStore.user_by_email`."""
        return await self._read(_users.by_email, email)

    async def users(self) -> list[User]:
        """See `AccountStore.users`."""
        return await self._read(_users.everyone)

    async def set_password(self, user_id: str, version: int, password_hash: str) -> list[Revocation]:
        """See `AccountStore.set_password`."""
        return (await self._write(_users.set_password, user_id, version, password_hash))[1]

    async def rehash(self, user_id: str, old: str, new: str) -> None:
        """See `AccountStore.rehash`."""
        await self._write(_users.rehash, user_id, old, new)

    async def set_role(self, user_id: str, role: Role) -> list[Revocation]:
        """See `AccountStore.set_role`."""
        return (await self._write(_users.set_role, user_id, role))[1]

    async def set_disabled(self, user_id: str, disabled: bool) -> list[Revocation]:
        """See `AccountStore.set_disabled`."""
        return (await self._write(_users.set_disabled, user_id, disabled))[1]

    async def delete_user(self, user_id: str) -> list[Revocation]:
        """See `AccountStore.delete_user`."""
        return (await self._write(_users.delete, user_id))[1]

    async def add_link(self, link: Link) -> None:
        """See `AccountStore.add_link`."""
        await self._write(_users.add_link, link)

    async def link(self, link: bytes) -> Link | None:
        """See `AccountStore.link`."""
        return await self._read(_users.link, link)

    async def take_link(self, link: bytes) -> User | None:
        """See `AccountStore.take_link`."""
        return (await self._write(_users.take_link, link))[0]

    async def add_session(self, session: Session, token: RefreshToken, *, most: int) -> list[Revocation]:
        """See `AccountStore.add_session`."""
        return (await self._write(_sessions.add, session, token, most))[1]

    async def rotate(
        self, presented: bytes, successor: RefreshToken, sealed: bytes, *, grace_s: float
    ) -> tuple[Rotation, list[Revocation]]:
        """See `AccountStore.rotate`."""
        return await self._write(_sessions.rotate, presented, successor, sealed, _ns(grace_s))

    async def session(self, session_id: str) -> tuple[User, Session] | None:
        """See `AccountStore.session`."""
        return await self._read(_sessions.by_id, session_id)

    async def session_of(self, token: bytes) -> Session | None:
        """See `AccountStore.session_of`."""
        return await self._read(_sessions.of_token, token)

    async def end_session(self, session_id: str) -> list[Revocation]:
        """See `AccountStore.end_session`."""
        return (await self._write(_sessions.end, session_id, "logout"))[1]

    async def end_sessions(self, user_id: str) -> list[Revocation]:
        """See `AccountStore.end_sessions`."""
        return (await self._write(_users.end_sessions, user_id))[1]

    async def add_key(self, key: ApiKey, *, version: int, most: int) -> None:
        """See `AccountStore.add_key`."""
        await self._write(_keys.add, key, version, most)

    async def key(self, prefix: str) -> tuple[User, ApiKey] | None:
        """See `AccountStore.key`."""
        return await self._read(_keys.by_prefix, prefix)

    async def keys(self, user_id: str | None = None) -> list[ApiKey]:
        """See `AccountStore.keys`."""
        return await self._read(_keys.listed, user_id)

    async def revoke_key(self, key_id: str, user_id: str | None = None) -> list[Revocation]:
        """See `AccountStore.revoke_key`."""
        return (await self._write(_keys.revoke, key_id, user_id))[1]

    async def drop_key(self, key_id: str) -> list[Revocation]:
        """See `AccountStore.drop_key`."""
        return (await self._write(_keys.drop, key_id))[1]

    async def record_use(self, used: Mapping[str, int]) -> None:
        """See `AccountStore.record_use`."""
        await self._write(_keys.record_use, used)

    async def revocations(self, *, limit: int = 100) -> list[Revocation]:
        """See `AccountStore.revocations`."""
        return await self._read(_keys.waiting, limit)

    async def forget_revocations(self, ids: Sequence[str]) -> None:
        """See `AccountStore.forget_revocations`."""
        await self._write(_keys.forget, ids)

    async def purge(self, *, grace_s: float) -> None:
        """See `AccountStore.purge`."""
        await self._write(_sessions.purge, _ns(grace_s))

    async def _write(
        self, work: Callable[Concatenate[Step, P], T], *args: P.args, **more: P.kwargs
    ) -> tuple[T, list[Revocation]]:
        """The result of one step, and what it revoked."""
        connection = self._opened(self._writer)
        now, new_id = self._seams.clock.now_ns(), self._seams.ids.new

        def step() -> tuple[T, list[Revocation]]:
            with translated(self._path), transaction(connection):
                under_way = Step(connection, now, new_id)
                return work(under_way, *args, **more), under_way.revocations

        return await self._seams.threads.run(step, limiter=self._writing)

    async def _read(
        self, ask: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **more: P.kwargs
    ) -> T:
        connection = self._opened(self._reader)

        def asked() -> T:
            with translated(self._path):
                return ask(connection, *args, **more)

        return await self._seams.threads.run(asked, limiter=self._reading)

    def _opened(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise StoreUnavailable(f"store {self._path} is closed")
        return connection


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
