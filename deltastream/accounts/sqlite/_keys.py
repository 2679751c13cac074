"""API keys, and the revocations that wait for the bus."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from deltastream.accounts.errors import NotFound, TooMany
from deltastream.accounts.sqlite._schema import Step
from deltastream.accounts.sqlite._users import USER, check_current, user_of
from deltastream.accounts.types import ApiKey, User
from deltastream.messages import Revocation

__all__ = ["add", "by_prefix", "drop", "forget", "listed", "record_use", "revoke", "waiting"]

_FIELDS: Final = ApiKey.__struct_fields__
_KEY: Final = ", ".join(f"api_keys.{name}" for name in _FIELDS)
_INSERT: Final = f"INSERT INTO api_keys ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"


def _key_of(row: tuple[Any, ...]) -> ApiKey:
    values = dict(zip(_FIELDS, row, strict=False))
    values["scopes"] = tuple(values["scopes"].split())
    return ApiKey(**values)


def by_prefix(db: sqlite3.Connection, prefix: str) -> tuple[User, ApiKey] | None:
    """See `AccountStore.key`."""
    row = db.execute(
        f"SELECT {_KEY}, {USER} FROM api_keys JOIN users ON users.id = user_id WHERE prefix = ?", (prefix,)
    ).fetchone()
    return None if row is None else (user_of(row[len(_FIELDS) :]), _key_of(row))


def listed(db: sqlite3.Connection, user_id: str | None) -> list[ApiKey]:
    """See `AccountStore.keys`."""
    rows = db.execute(
        f"SELECT {_KEY} FROM api_keys WHERE ?1 IS NULL OR user_id = ?1 ORDER BY created, id", (user_id,)
    )
    return [_key_of(row) for row in rows]


def add(step: Step, key: ApiKey, version: int, most: int) -> None:
    """See `AccountStore.add_key`."""
    check_current(step.db, key.user_id, version)
    (valid,) = step.db.execute(
        "SELECT count(*) FROM api_keys WHERE user_id = ? AND revoked IS NULL AND expires > ?",
        (key.user_id, step.now),
    ).fetchone()
    if valid >= most:
        raise TooMany(f"There are {valid} API keys already; revoke some.")
    values = msgspec.structs.asdict(key) | {"scopes": " ".join(key.scopes)}
    step.db.execute(_INSERT, tuple(values.values()))


def revoke(step: Step, key_id: str, user_id: str | None) -> None:
    """See `AccountStore.revoke_key`."""
    row = step.db.execute(
        "SELECT user_id, revoked FROM api_keys WHERE id = ?1 AND (?2 IS NULL OR user_id = ?2)",
        (key_id, user_id),
    ).fetchone()
    if row is None:
        raise NotFound("There is no such API key.")
    if row[1] is None:
        step.db.execute("UPDATE api_keys SET revoked = ? WHERE id = ?", (step.now, key_id))
        step.revoke(row[0], "key_revoked", key=key_id)


def drop(step: Step, key_id: str) -> None:
    """See `AccountStore.drop_key`."""
    row = step.db.execute(
        "DELETE FROM api_keys WHERE id = ? RETURNING user_id, revoked", (key_id,)
    ).fetchone()
    if row is not None and row[1] is None:
        step.revoke(row[0], "key_revoked", key=key_id)


def record_use(step: Step, used: Mapping[str, int]) -> None:
    """See `AccountStore.record_use`."""
    step.db.executemany(
        "UPDATE api_keys SET last_used = ?2 WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)",
        list(used.items()),
    )


def waiting(db: sqlite3.Connection, limit: int) -> list[Revocation]:
    """See `AccountStore.revocations`."""
    rows = db.execute(
        "SELECT id, ts, user_id, reason, session, key FROM revocations ORDER BY number LIMIT ?", (limit,)
    )
    names = ("id", "ts", "user_id", "reason", "session", "key")
    return [Revocation(**dict(zip(names, row, strict=True))) for row in rows]


def forget(step: Step, ids: Sequence[str]) -> None:
    """See `AccountStore.forget_revocations`."""
    step.db.executemany("DELETE FROM revocations WHERE id = ?", [(id_,) for id_ in ids])
