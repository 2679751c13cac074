"""Sessions and their refresh tokens."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from deltastream.accounts.sqlite._schema import Step
from deltastream.accounts.sqlite._users import USER, check_current, user_of
from deltastream.accounts.types import RefreshToken, Rotation, Session, User

__all__ = ["add", "by_id", "end", "of_token", "purge", "rotate"]

_FIELDS: Final = Session.__struct_fields__
_SESSION: Final = ", ".join(f"sessions.{name}" for name in _FIELDS)
_INSERT: Final = f"INSERT INTO sessions ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
_TOKEN: Final = "INSERT INTO refresh_tokens (hash, session, issued, expires) VALUES (?, ?, ?, ?)"
_PRESENTED: Final = f"""
SELECT {_SESSION}, {USER}, token.expires, token.used, token.successor
FROM refresh_tokens AS token JOIN sessions ON sessions.id = token.session
JOIN users ON users.id = sessions.user_id WHERE token.hash = ?
"""
_SECOND: Final = 1_000_000_000


def _session_of(row: tuple[Any, ...]) -> Session:
    return Session(**dict(zip(_FIELDS, row, strict=False)))


def _split(row: tuple[Any, ...]) -> tuple[User, Session]:
    return user_of(row[len(_FIELDS) :]), _session_of(row)


def by_id(db: sqlite3.Connection, session_id: str) -> tuple[User, Session] | None:
    """See `AccountStore.session`."""
    row = db.execute(
        f"SELECT {_SESSION}, {USER} FROM sessions JOIN users ON users.id = user_id WHERE sessions.id = ?",
        (session_id,),
    ).fetchone()
    return None if row is None else _split(row)


def of_token(db: sqlite3.Connection, token: bytes) -> Session | None:
    """See `AccountStore.session_of`."""
    row = db.execute(_PRESENTED, (token,)).fetchone()
    return None if row is None else _session_of(row)


def add(step: Step, session: Session, token: RefreshToken, most: int) -> None:
    """See `AccountStore.add_session`."""
    check_current(step.db, session.user_id, session.version)
    live = step.db.execute(
        "SELECT id FROM sessions WHERE user_id = ? AND revoked IS NULL AND expires > ?"
        " ORDER BY created DESC, id DESC",
        (session.user_id, step.now),
    ).fetchall()
    for (oldest,) in live[most - 1 :]:
        end(step, oldest, "too_many_sessions")
    step.db.execute(_INSERT, msgspec.structs.astuple(session))
    step.db.execute(_TOKEN, (token.hash, session.id, token.issued, token.expires))


def end(step: Step, session_id: str, reason: str) -> None:
    """See `AccountStore.end_session`."""
    row = step.db.execute(
        "UPDATE sessions SET revoked = ? WHERE id = ? AND revoked IS NULL RETURNING user_id",
        (step.now, session_id),
    ).fetchone()
    if row is not None:
        step.revoke(row[0], reason, session=session_id)


def rotate(step: Step, presented: bytes, successor: RefreshToken, sealed: bytes, grace: int) -> Rotation:
    """See `AccountStore.rotate`. `grace` in nanoseconds."""
    row = step.db.execute(_PRESENTED, (presented,)).fetchone()
    if row is None:
        return Rotation(outcome="unknown")
    user, session = _split(row)
    token_expires, used, known = row[-3:]
    stands = session.revoked is None and session.version == user.session_version and not user.disabled
    if not stands or step.now >= min(session.expires, token_expires):
        return Rotation(outcome="ended", user=user, session=session)
    if used is None:
        expires = min(successor.expires, session.expires)
        # The clock may have been set back: used in the order of exchanges, they are forgotten in it, too.
        step.db.execute(
            "UPDATE refresh_tokens SET used = ?1 WHERE session = ?2 AND used > ?1", (step.now, session.id)
        )
        step.db.execute(
            "UPDATE refresh_tokens SET used = ?, successor = ? WHERE hash = ?", (step.now, sealed, presented)
        )
        step.db.execute(_TOKEN, (successor.hash, session.id, successor.issued, expires))
        _drop_seals(step, grace, session.id)
        return Rotation(outcome="rotated", user=user, session=session, expires=expires)
    if known is not None and abs(step.now - used) <= grace:  # abs: the clock may have been set back
        tokens = step.db.execute(
            "SELECT hash, successor, expires FROM refresh_tokens WHERE session = ?", (session.id,)
        ).fetchall()
        return Rotation(
            outcome="repeated",
            user=user,
            session=session,
            seals={token: sealed for token, sealed, _ in tokens if sealed is not None},
            expires=max(expires for *_, expires in tokens),
        )
    end(step, session.id, "refresh_reused")
    return Rotation(outcome="reused", user=user, session=session)


def purge(step: Step, grace: int) -> None:
    """Drop sessions that are over, tokens that have expired and seals of no more use."""
    step.db.execute(
        "DELETE FROM sessions WHERE expires <= ?1 OR revoked IS NOT NULL AND revoked < ?1 - ?2",
        (step.now, 86_400 * _SECOND),
    )
    step.db.execute("DELETE FROM refresh_tokens WHERE expires <= ?", (step.now,))
    _drop_seals(step, grace)


def _drop_seals(step: Step, grace: int, session: str | None = None) -> None:
    step.db.execute(
        "UPDATE refresh_tokens SET successor = NULL"
        " WHERE successor IS NOT NULL AND used < ?1 AND (?2 IS NULL OR session = ?2)",
        (step.now - grace, session),
    )
