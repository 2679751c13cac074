"""Users and the links that let them in."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from deltastream.accounts.errors import EmailTaken, LastAdministrator, NotAllowed, NotFound, Outdated
from deltastream.accounts.sqlite._schema import Step
from deltastream.accounts.types import Link, Role, User

__all__ = [
    "USER",
    "add",
    "add_first",
    "add_link",
    "by_email",
    "by_id",
    "check_current",
    "delete",
    "end_sessions",
    "everyone",
    "link",
    "rehash",
    "set_disabled",
    "set_password",
    "set_role",
    "take_link",
    "user_of",
]

_FIELDS: Final = User.__struct_fields__
USER: Final = ", ".join(f"users.{name}" for name in _FIELDS)
"""The columns that `user_of` reads."""

_INSERT: Final = f"INSERT INTO users ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"


def user_of(row: tuple[Any, ...]) -> User:
    """The user in the first columns of a row."""
    values = dict(zip(_FIELDS, row, strict=False))
    values["disabled"] = bool(values["disabled"])
    return User(**values)


def by_id(db: sqlite3.Connection, user_id: str) -> User | None:
    """See `AccountStore.user`."""
    row = db.execute(f"SELECT {USER} FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else user_of(row)


def by_email(db: sqlite3.Connection, email: str) -> User | None:
    """See `AccountStore.user_by_email`."""
    row = db.execute(f"SELECT {USER} FROM users WHERE email = ?", (email,)).fetchone()
    return None if row is None else user_of(row)


def everyone(db: sqlite3.Connection) -> list[User]:
    """See `AccountStore.users`."""
    return [user_of(row) for row in db.execute(f"SELECT {USER} FROM users ORDER BY created, id")]


def add(step: Step, user: User) -> None:
    """See `AccountStore.add_user`."""
    if by_email(step.db, user.email) is not None:
        raise EmailTaken
    if user.role != "admin" and not step.db.execute("SELECT EXISTS (SELECT 1 FROM users)").fetchone()[0]:
        raise NotAllowed("The first user must be an administrator.")
    step.db.execute(_INSERT, msgspec.structs.astuple(user))


def add_first(step: Step, user: User) -> bool:
    """See `AccountStore.add_first_user`."""
    (some,) = step.db.execute("SELECT EXISTS (SELECT 1 FROM users)").fetchone()
    if not some:
        step.db.execute(_INSERT, msgspec.structs.astuple(user))
    return not some


def set_password(step: Step, user_id: str, version: int, password_hash: str) -> None:
    """See `AccountStore.set_password`."""
    check_current(step.db, user_id, version)
    step.db.execute("UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, user_id))
    _new_version(step, user_id, "password_changed")


def rehash(step: Step, user_id: str, old: str, new: str) -> None:
    """See `AccountStore.rehash`."""
    step.db.execute(
        "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?", (new, user_id, old)
    )


def set_role(step: Step, user_id: str, role: Role) -> None:
    """See `AccountStore.set_role`."""
    user = _existing(step.db, user_id)
    if user.role != role:
        if role != "admin":
            _spare_administrator(step.db, user)
        step.db.execute("UPDATE users SET role = ? WHERE id = ?", (role, user_id))
        step.revoke(user_id, "role_changed")


def set_disabled(step: Step, user_id: str, disabled: bool) -> None:
    """See `AccountStore.set_disabled`."""
    user = _existing(step.db, user_id)
    if disabled != user.disabled:
        if disabled:
            _spare_administrator(step.db, user)
        step.db.execute("UPDATE users SET disabled = ? WHERE id = ?", (disabled, user_id))
        _new_version(step, user_id, "user_disabled" if disabled else "user_enabled")


def delete(step: Step, user_id: str) -> None:
    """See `AccountStore.delete_user`."""
    _spare_administrator(step.db, _existing(step.db, user_id))
    step.db.execute("DELETE FROM users WHERE id = ?", (user_id,))
    step.revoke(user_id, "user_deleted")


def end_sessions(step: Step, user_id: str) -> None:
    """See `AccountStore.end_sessions`."""
    _existing(step.db, user_id)
    _new_version(step, user_id, "logout_everywhere")


def _new_version(step: Step, user_id: str, reason: str) -> None:
    """End every session and link of a user."""
    step.db.execute("UPDATE users SET session_version = session_version + 1 WHERE id = ?", (user_id,))
    step.db.execute(
        "UPDATE sessions SET revoked = ? WHERE user_id = ? AND revoked IS NULL", (step.now, user_id)
    )
    step.db.execute("DELETE FROM links WHERE user_id = ?", (user_id,))
    step.revoke(user_id, reason)


def check_current(db: sqlite3.Connection, user_id: str, version: int) -> None:
    """Raise Outdated unless the user is enabled and of this session version."""
    user = by_id(db, user_id)
    if user is None or user.disabled or user.session_version != version:
        raise Outdated


def add_link(step: Step, link: Link) -> None:
    """See `AccountStore.add_link`."""
    _existing(step.db, link.user_id)
    step.db.execute("DELETE FROM links WHERE user_id = ? OR expires <= ?", (link.user_id, step.now))
    step.db.execute(
        "INSERT INTO links (hash, user_id, expires) VALUES (?, ?, ?)", msgspec.structs.astuple(link)
    )


def link(db: sqlite3.Connection, hash_: bytes) -> Link | None:
    """See `AccountStore.link`."""
    row = db.execute("SELECT hash, user_id, expires FROM links WHERE hash = ?", (hash_,)).fetchone()
    return None if row is None else Link(hash=row[0], user_id=row[1], expires=row[2])


def take_link(step: Step, link: bytes) -> User | None:
    """See `AccountStore.take_link`."""
    row = step.db.execute("SELECT user_id, expires FROM links WHERE hash = ?", (link,)).fetchone()
    if row is None:
        return None
    step.db.execute("DELETE FROM links WHERE hash = ?", (link,))
    user = by_id(step.db, row[0])
    return user if user is not None and not user.disabled and row[1] > step.now else None


def _existing(db: sqlite3.Connection, user_id: str) -> User:
    user = by_id(db, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _spare_administrator(db: sqlite3.Connection, user: User) -> None:
    (others,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND NOT disabled AND id <> ?)", (user.id,)
    ).fetchone()
    if user.role == "admin" and not user.disabled and not others:
        raise LastAdministrator
