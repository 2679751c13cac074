"""Accounts as a gateway uses them: who is it, what may they do, and what they do to their own.

Whatever changes an account of one's own is done with a session, never with an API key: a key that
was stolen makes no other credentials. What an operator does to others' is in `administration`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import structlog
import trio

from deltastream.accounts import secret_texts as texts
from deltastream.accounts._authenticator import Authenticator
from deltastream.accounts._gate import Gate
from deltastream.accounts._revocations import TOPIC, Courier
from deltastream.accounts.errors import (
    EmailTaken,
    InvalidToken,
    NotAllowed,
    NotFound,
    Outdated,
)
from deltastream.accounts.fields import Fields, email_of, password_bytes
from deltastream.accounts.issuing import new_api_key, new_user
from deltastream.accounts.keyring import KeyRing
from deltastream.accounts.lockout import Attempts, network_of
from deltastream.accounts.passwords import Passwords
from deltastream.accounts.protocol import AccountStore
from deltastream.accounts.settings import AccountSettings
from deltastream.accounts.tokens import Tokens
from deltastream.accounts.types import (
    ApiKey,
    Identity,
    NewApiKey,
    Profile,
    RefreshToken,
    Session,
    SignedIn,
    User,
    profile,
)
from deltastream.bus import Bus
from deltastream.errors import DataDirectoryError, StoreUnavailable
from deltastream.messages import Revocation
from deltastream.seams import Seams

__all__ = ["AccountService"]

log = structlog.get_logger("deltastream.accounts")

_SECOND: Final = 1_000_000_000
_GRACE_S: Final = 10.0
_FRESH_LINK_S: Final = 600
_MOST_SESSIONS: Final = 100
_TIDY_S: Final = 60.0
_TIDIES_A_PURGE: Final = 60


class AccountService:
    """Accounts. Run `run` beside it, so that it hears of revocations, and tells of its own.

    Every method that asks the store raises StoreUnavailable where that is away for now.

    Attributes:
        open_registration: whether strangers may register.

    Args:
        store: an open one.
        ring: an open one.
        settings: of accounts.
        seams: everything of the outside world.
        open_registration: whether strangers may register.
    """

    def __init__(
        self,
        store: AccountStore,
        ring: KeyRing,
        settings: AccountSettings,
        seams: Seams,
        *,
        open_registration: bool = False,
    ) -> None:
        self._store = store
        self._ring = ring
        self._settings = settings
        self._seams = seams
        self.open_registration = open_registration
        self._tokens = Tokens(ring, settings.access_s, seams)
        self._passwords = Passwords(settings.bcrypt_cost, seams)
        self._attempts = Attempts()
        self._gate = Gate(self._passwords, self._attempts)
        self._who = Authenticator(store, self._tokens, seams)

    async def run(self, bus: Bus, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow and publish revocations, record uses of keys, rotate the signing key. A service.

        Without it everything works, but each request asks the store, and other gateways learn of
        nothing.

        Cancellation: records what is still to be recorded, and ends.

        Raises:
            BusClosed: the bus was closed.
        """
        courier = Courier(self._store, self._who.void, self._who.forget)
        async with bus.follow([TOPIC], live=True) as follower:
            with self._who.followed():
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(courier.watch)
                        nursery.start_soon(courier.publish, bus)
                        nursery.start_soon(courier.follow, follower)
                        nursery.start_soon(self._tidy)
                        task_status.started()
                finally:
                    with trio.CancelScope(shield=True):
                        await self._who.record_use()

    def told(self, tell: Callable[[Sequence[Revocation] | None], None]) -> AbstractContextManager[None]:
        """Let somebody hear of every revocation, as soon as it is known here.

        Args:
            tell: called with what has been revoked, or with None where some of it may have been missed;
                returns at once.
        """
        return self._who.told(tell)

    async def register(
        self, email: str, password: str, name: str = "", *, address: str | None = None
    ) -> SignedIn:
        """Make a user and log in.

        That an email is taken is told, since there is no mail to tell it by; it counts as a failure of
        the address, so that asking for many gets slow.

        Cancellation: the user may have been made or not.

        Raises:
            NotAllowed: registration is closed.
            InvalidFields: with every problem.
            EmailTaken: somebody has the email.
            TooManyAttempts: the address must wait.
        """
        if not self.open_registration:
            raise NotAllowed("Registration is closed; ask the operator for an account.")
        fields = Fields()
        email = fields.email(email)
        data = fields.password(password, email)
        name = fields.name(name, instead=email.partition("@")[0])
        fields.check()
        network = network_of(address)
        user = new_user(self._seams, email, name, "user", await self._gate.hash(data, network))
        try:
            await self._store.add_user(user)
        except EmailTaken:
            self._attempts.failed("", network)
            raise
        log.info("registered", user=user.id, address=network)
        return await self._begin(user, "password")

    async def login(self, email: str, password: str, *, address: str | None = None) -> SignedIn:
        """Begin a session.

        Cancellation: an attempt that bcrypt has begun on counts as failed; a session may be left that
        nobody has the tokens of.

        Raises:
            InvalidCredentials: no such user, disabled, no password, or another one; all alike.
            TooManyAttempts: not looked at.
            Outdated: the account changed at the same moment.
        """
        normal, network = email_of(email) or "", network_of(address)
        user = await self._gate.verify(password, normal, network, partial(self._store.user_by_email, normal))
        old = user.password_hash or ""
        if self._passwords.is_outdated(old) and (data := password_bytes(password)) is not None:
            await self._store.rehash(user.id, old, await self._passwords.hash(data))
        signed_in = await self._begin(user, "password")
        log.info("logged_in", user=user.id, session=signed_in.session, address=network)
        return signed_in

    async def login_with_link(self, token: str, *, address: str | None = None) -> SignedIn:
        """Begin a session with a one-time token, which is of no more use then.

        Cancellation: the token may have been used up.

        Raises:
            InvalidToken: not one, used, replaced by a newer one, or older than ten minutes.
        """
        if not texts.is_link(token):
            raise InvalidToken("malformed")
        user = await self._store.take_link(texts.digest(token))
        if user is None:
            raise InvalidToken("unknown")
        signed_in = await self._begin(user, "link")
        log.info("logged_in_by_link", user=user.id, session=signed_in.session, address=network_of(address))
        return signed_in

    async def authenticate(self, credential: str) -> Identity:
        """Whose an access token or an API key is, and what they may do.

        Cancellation: no effect.

        Raises:
            InvalidToken: it gives no rights.
        """
        if credential.startswith(texts.API_KEY):
            return await self._who.by_key(credential)
        return await self._who.by_token(credential)

    async def refresh(self, token: str) -> SignedIn:
        """New tokens for a refresh token, which is of no more use then.

        Shown again within ten seconds, it gives the token that the session has by then: tabs of one
        browser may all have had it, and whatever answer comes last leaves a good one in their cookie.
        Later that means that it, or its successor, is in wrong hands: the session ends.

        Cancellation: may take effect or not; asked again within ten seconds, nothing is lost.

        Raises:
            InvalidToken: unknown, of a session that has ended, or used before.
        """
        if not texts.is_refresh(token):
            raise InvalidToken("malformed")
        text, successor = self._new_refresh()
        rotation, revoked = await self._store.rotate(
            texts.digest(token), successor, texts.seal(text, token), grace_s=_GRACE_S
        )
        self._who.void(revoked)
        user, session = rotation.user, rotation.session
        if user is None or session is None:
            raise InvalidToken("unknown")
        if rotation.outcome == "reused":
            log.warning("refresh_token_reused", user=user.id, session=session.id)
            raise InvalidToken("reused")
        if rotation.outcome == "ended":
            raise InvalidToken("revoked" if session.revoked is not None else "expired")
        if rotation.outcome == "repeated":
            text = _newest(token, rotation.seals)
        return self._signed_in(user, session, text, rotation.expires)

    async def logout(self, identity: Identity) -> None:
        """End the session of an access token; an API key has none.

        Cancellation: may take effect or not.
        """
        if identity.session is not None:
            self._who.void(await self._store.end_session(identity.session))
            log.info("logged_out", user=identity.user_id, session=identity.session)

    async def logout_with_refresh(self, token: str) -> None:
        """End the session of a refresh token, whatever has become of it; nothing where there is none.

        Cancellation: may take effect or not.
        """
        session = await self._store.session_of(texts.digest(token)) if texts.is_refresh(token) else None
        if session is not None:
            self._who.void(await self._store.end_session(session.id))
            log.info("logged_out", user=session.user_id, session=session.id)

    async def logout_everywhere(self, identity: Identity) -> None:
        """End every session of the user. API keys stay: they are no sessions.

        Cancellation: may take effect or not.

        Raises:
            NotAllowed: asked with an API key.
            InvalidToken: the session has ended.
        """
        user, _ = await self._own(identity)
        self._who.void(await self._store.end_sessions(user.id))
        log.info("logged_out_everywhere", user=user.id)

    async def profile(self, identity: Identity) -> Profile:
        """What may be shown of the user.

        Cancellation: no effect.

        Raises:
            InvalidToken: there is no such user any more.
        """
        user = await self._store.user(identity.user_id)
        if user is None:
            raise InvalidToken("revoked")
        return profile(user)

    async def change_password(
        self, identity: Identity, new: str, *, current: str | None = None, address: str | None = None
    ) -> SignedIn:
        """Set a password, end all sessions, and begin a new one. API keys stay.

        The current one must be told, except by whoever has none yet or came by a link within the last
        ten minutes.

        Cancellation: the password may have been set or not.

        Raises:
            NotAllowed: asked with an API key.
            InvalidToken: the session has ended.
            InvalidFields: with every problem of the new one.
            InvalidCredentials: the current one is wrong or missing.
            TooManyAttempts: not looked at.
        """
        user, session = await self._own(identity)
        fields = Fields()
        data = fields.password(new, user.email)
        fields.check()
        await self._confirm(user, session, current, address)
        stored = await self._gate.hash(data, network_of(address))
        self._who.void(await self._store.set_password(user.id, user.session_version, stored))
        log.info("password_changed", user=user.id, address=network_of(address))
        changed = await self._store.user(user.id)
        if changed is None or changed.password_hash != stored:
            raise Outdated
        return await self._begin(changed, "password")

    async def delete(
        self, identity: Identity, *, current: str | None = None, address: str | None = None
    ) -> None:
        """Delete one's own account with all its sessions and keys. The password as in `change_password`.

        Cancellation: may take effect or not.

        Raises:
            LastAdministrator: nobody could administer any more.
            NotAllowed, InvalidToken, InvalidCredentials, TooManyAttempts: as `change_password`.
        """
        user, session = await self._own(identity)
        await self._confirm(user, session, current, address)
        self._who.void(await self._store.delete_user(user.id))
        log.info("user_deleted", user=user.id, address=network_of(address))

    async def create_key(
        self, identity: Identity, name: str, scopes: Sequence[str], *, days: int = 90
    ) -> NewApiKey:
        """Make an API key that expires after so many days. Its text cannot be told again.

        Cancellation: may take effect or not; a key whose text nobody knows can be revoked.

        Raises:
            NotAllowed: asked with an API key, or for a scope that the user has not.
            InvalidToken: the session has ended.
            InvalidFields: with every problem.
            TooMany: the user has as many as one may have.
        """
        user, _ = await self._own(identity)
        made = await new_api_key(self._store, self._seams, user, name, scopes, days)
        log.info("api_key_made", user=user.id, key=made.key.id, scopes=made.key.scopes)
        return made

    async def keys(self, identity: Identity) -> list[ApiKey]:
        """The user's API keys, also those that have ended, oldest first.

        Cancellation: no effect.

        Raises:
            NotAllowed: asked with an API key.
            InvalidToken: the session has ended.
        """
        user, _ = await self._own(identity)
        await self._who.record_use()
        return await self._store.keys(user.id)

    async def revoke_key(self, identity: Identity, key_id: str) -> None:
        """End one of the user's API keys; nothing where it has ended.

        Cancellation: may take effect or not.

        Raises:
            NotFound: the user has no such key.
            NotAllowed: asked with an API key.
            InvalidToken: the session has ended.
        """
        user, _ = await self._own(identity)
        if not key_id.isascii():
            raise NotFound("There is no such API key.")
        self._who.void(await self._store.revoke_key(key_id, user.id))
        log.info("api_key_revoked", user=user.id, key=key_id)

    async def _own(self, identity: Identity) -> tuple[User, Session]:
        """The user and session behind an identity, as they are in the store now."""
        if identity.session is None:
            raise NotAllowed("An API key cannot do this; log in.")
        found = await self._store.session(identity.session)
        if found is None or not self._who.stands(*found, identity.version):
            raise InvalidToken("revoked")
        return found

    async def _confirm(self, user: User, session: Session, current: str | None, address: str | None) -> None:
        age = self._seams.clock.now_ns() - session.created
        by_link = session.origin == "link" and 0 <= age <= _FRESH_LINK_S * _SECOND
        if user.password_hash is not None and not by_link:
            find = partial(self._store.user, user.id)
            await self._gate.verify(current or "", user.email, network_of(address), find)

    async def _begin(self, user: User, origin: str) -> SignedIn:
        now = self._seams.clock.now_ns()
        text, token = self._new_refresh()
        session = Session(
            id=self._seams.ids.new(),
            user_id=user.id,
            version=user.session_version,
            origin="link" if origin == "link" else "password",
            created=now,
            expires=now + self._settings.session_s * _SECOND,
        )
        self._who.void(await self._store.add_session(session, token, most=_MOST_SESSIONS))
        return self._signed_in(user, session, text, min(token.expires, session.expires))

    def _new_refresh(self) -> tuple[str, RefreshToken]:
        now = self._seams.clock.now_ns()
        text = texts.refresh_text(self._seams.secrets)
        expires = now + self._settings.refresh_s * _SECOND
        return text, RefreshToken(hash=texts.digest(text), issued=now, expires=expires)

    def _signed_in(self, user: User, session: Session, refresh: str, refresh_expires: int) -> SignedIn:
        access, expires = self._tokens.issue(user.id, session.id, session.version, until=session.expires)
        return SignedIn(
            user=profile(user),
            session=session.id,
            access=access,
            access_expires=expires,
            refresh=refresh,
            refresh_expires=refresh_expires,
        )

    async def _tidy(self) -> None:
        """What has time: uses of keys, another process's or an old signing key, what has expired."""
        turn = 0
        while True:
            try:
                await self._ring.refresh()
                await self._ring.rotate(older_than_s=self._settings.signing_key_s)
                if turn % _TIDIES_A_PURGE == 0:
                    await self._store.purge(grace_s=_GRACE_S)
            except (DataDirectoryError, StoreUnavailable) as error:
                log.warning("accounts_not_tidied", error=str(error))
            await self._who.record_use()
            turn += 1
            await trio.sleep(_TIDY_S)


def _newest(token: str, seals: Mapping[bytes, bytes]) -> str:
    """The last of the refresh tokens that follow this one."""
    while (sealed := seals.get(texts.digest(token))) is not None:
        token = texts.unseal(sealed, token)
    return token
