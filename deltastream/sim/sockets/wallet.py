"""What a client shows to be let in: tokens and keys of one user, and when they are of use."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import trio

from deltastream.accounts import AccountError, AccountService, EmailTaken
from deltastream.errors import DeltaStreamError
from deltastream.sim.host import ACCESS_S
from deltastream.sim.machine import process

__all__ = ["Credential", "NoAnswer", "Wallet"]

T = TypeVar("T")

_PASSWORD: Final = "a password of no use"
_PATIENCE_S: Final = 10.0
_NEVER: Final = float("inf")


class NoAnswer(Exception):
    """The accounts have not answered; what was asked for may have been done."""


@dataclass(slots=True, eq=False)
class Right:
    """A session or a key.

    Attributes:
        ending, ended: since when it may be of no use, and since when it must be of none; virtual seconds.
    """

    ending: float = _NEVER
    ended: float = _NEVER


@dataclass(slots=True, eq=False)
class Credential:
    """A token or a key.

    Attributes:
        text: what is shown.
        right: what it is good for; tokens of one session end together.
        made: when, virtual seconds; a token is good for `ACCESS_S`.
        key: its id, where it is a key.
        refresh: ends the session of a token.
    """

    text: str
    right: Right
    made: float
    key: str | None = None
    refresh: str = ""

    @property
    def ending(self) -> float:
        """Since when it may be of no use."""
        return self.right.ending

    @property
    def ended(self) -> float:
        """Since when it must be of none."""
        return self.right.ended

    @property
    def over(self) -> float:
        """When it expires, if nobody sets the clock."""
        return _NEVER if self.key is not None else self.made + ACCESS_S


class Wallet:
    """One user's credentials, got as by the API of a gateway that answers at present.

    Args:
        number: names the user.
        rng: decides what is shown.
        service: the accounts of some gateway and the process they run in; None where none answers.
    """

    def __init__(
        self, number: int, rng: random.Random, service: Callable[[], tuple[AccountService, Any] | None]
    ) -> None:
        self._email = f"client{number}@example.org"
        self._address = f"198.51.100.{number + 1}"
        self._rng = rng
        self._service = service
        self._registered = False
        self._kept: Credential | None = None
        self._session = Right()
        self._refresh = ""

    async def credential(self) -> Credential:
        """Something that is good now, as far as anybody knows: the last one, or another.

        Cancellation: one may have been made.

        Raises:
            NoAnswer: there is none to be had.
        """
        kept = self._kept
        worn = kept is None or kept.ending != _NEVER or kept.over < trio.current_time() + 1
        if kept is None or worn or self._rng.random() < 0.2:
            kept = self._kept = await self.another()
        return kept

    def discard(self) -> None:
        """What was shown last was refused."""
        self._kept = None

    async def another(self) -> Credential:
        """A new one; see `credential`, also for what cancellation does."""
        begun = trio.current_time()
        if not self._registered:
            await self._register()
        signed_in = await self._sign_in()
        if self._rng.random() < 0.6:
            return Credential(signed_in.access, self._session, begun, refresh=signed_in.refresh)

        async def make(service: AccountService) -> Any:
            return await service.create_key(
                await service.authenticate(signed_in.access), "sim", ["read:market"]
            )

        made = await self._ask(make)
        return Credential(made.text, Right(), begun, key=made.key.id)

    async def _sign_in(self) -> Any:
        """Fresh tokens: by the last refresh token where there is one, as a password costs real time."""
        refresh, self._refresh = self._refresh, ""
        if refresh:
            signed_in = await self._ask(lambda service: service.refresh(refresh))
        else:
            signed_in = await self._ask(
                lambda service: service.login(self._email, _PASSWORD, address=self._address)
            )
            self._session = Right()
        self._refresh = signed_in.refresh
        return signed_in

    async def revoke(self, credential: Credential) -> None:
        """End it.

        Cancellation: it may be ended.

        Raises:
            NoAnswer: it may be ended.
        """
        right = credential.right
        right.ending = min(right.ending, trio.current_time())
        name = credential.key
        if name is None:
            self._refresh = ""
            await self._ask(lambda service: service.logout_with_refresh(credential.refresh))
        else:
            signed_in = await self._sign_in()

            async def revoke(service: AccountService) -> None:
                await service.revoke_key(await service.authenticate(signed_in.access), name)

            await self._ask(revoke)
        right.ended = min(right.ended, trio.current_time())

    async def _register(self) -> None:
        async def register(service: AccountService) -> None:
            with suppress(EmailTaken):  # by an attempt of which nobody heard
                await service.register(self._email, _PASSWORD, address=self._address)

        await self._ask(register)
        self._registered = True

    async def _ask(self, question: Callable[[AccountService], Awaitable[T]]) -> T:
        found = self._service()
        if found is None:
            raise NoAnswer
        service, host = found
        token = process.set(host)
        try:
            with trio.fail_after(_PATIENCE_S):
                answer = await question(service)
        except (DeltaStreamError, AccountError, trio.TooSlowError) as error:
            raise NoAnswer from error
        finally:
            process.reset(token)
        if not host.alive:
            raise NoAnswer
        return answer
