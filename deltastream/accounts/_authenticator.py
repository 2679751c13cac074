"""Whose a credential is: genuine, not expired, not revoked, of somebody who may still come in."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from deltastream.accounts import secret_texts as texts
from deltastream.accounts._principals import Principals
from deltastream.accounts.errors import InvalidToken
from deltastream.accounts.protocol import AccountStore
from deltastream.accounts.tokens import Tokens
from deltastream.accounts.types import ROLE_SCOPES, ApiKey, Identity, Scope, Session, User
from deltastream.errors import StoreUnavailable
from deltastream.messages import Revocation
from deltastream.seams import Seams

__all__ = ["Authenticator"]

_SECOND: Final = 1_000_000_000


class Authenticator:
    """Tells identities.

    Args:
        store: asked for what is not known.
        tokens: reads access tokens.
        seams: the clock.
    """

    def __init__(self, store: AccountStore, tokens: Tokens, seams: Seams) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = seams.clock
        self._sessions: Principals[Session] = Principals()
        self._keys: Principals[ApiKey] = Principals()
        self._used: dict[str, int] = {}
        self._told: list[Callable[[Sequence[Revocation] | None], None]] = []

    async def by_token(self, text: str) -> Identity:
        """Whose an access token is.

        Cancellation: no effect.

        Raises:
            InvalidToken: nobody's.
        """
        claims = self._tokens.read(text)
        found = await self._sessions.get(claims.sid, self._store.session)
        if found is None or found[0].id != claims.sub or not self.stands(*found, claims.sv):
            raise InvalidToken("revoked")
        user, session = found
        return _identity(user, ROLE_SCOPES[user.role], claims.exp * _SECOND, session=session.id)

    async def by_key(self, text: str) -> Identity:
        """Whose an API key is; its use is remembered.

        Cancellation: no effect.

        Raises:
            InvalidToken: nobody's.
        """
        parts = texts.api_key_parts(text)
        if parts is None:
            raise InvalidToken("malformed")
        prefix, shown = parts
        found = await self._keys.get(prefix, self._store.key)
        if found is None or not hmac.compare_digest(shown, found[1].hash):
            raise InvalidToken("unknown")
        user, key = found
        now = self._clock.now_ns()
        if key.revoked is not None or user.disabled:
            raise InvalidToken("revoked")
        if now >= key.expires:
            raise InvalidToken("expired")
        self._used[key.id] = now
        scopes = ROLE_SCOPES[user.role].intersection(key.scopes)
        return _identity(user, scopes, key.expires, key=key.id)

    def stands(self, user: User, session: Session, version: int) -> bool:
        """Whether a session gives rights to who has been let in at that version."""
        alive = session.revoked is None and self._clock.now_ns() < session.expires
        return alive and not user.disabled and version == session.version == user.session_version

    def void(self, revocations: Sequence[Revocation]) -> None:
        """Forget what these concern."""
        self._sessions.void(revocations)
        self._keys.void(revocations)
        if revocations:
            for tell in self._told:
                tell(revocations)

    def forget(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._keys.clear()
        for tell in self._told:
            tell(None)

    @contextmanager
    def told(self, tell: Callable[[Sequence[Revocation] | None], None]) -> Iterator[None]:
        """Let somebody hear of every revocation; of None where some may have been missed."""
        self._told.append(tell)
        try:
            yield
        finally:
            self._told.remove(tell)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Remember who has come, for as long as the block hands every revocation to `void`."""
        with self._sessions.followed(), self._keys.followed():
            yield

    async def record_use(self) -> None:
        """Write down when keys were used, or keep it for later where the store is away.

        Cancellation: what was being written may be lost.
        """
        used, self._used = self._used, {}
        if used:
            try:
                await self._store.record_use(used)
            except StoreUnavailable:
                self._used = used | self._used


def _identity(
    user: User,
    scopes: frozenset[Scope],
    expires: int,
    *,
    session: str | None = None,
    key: str | None = None,
) -> Identity:
    return Identity(
        user_id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        scopes=scopes,
        expires=expires,
        version=user.session_version,
        session=session,
        key=key,
    )
