"""One password at a time, and no more waiting than the queue holds.

bcrypt has one thread; everybody who wants it stands in one line. Whether an attempt may be made is
asked again when its turn has come, and it counts as a failure until it has succeeded, so that a
hundred guesses sent at once are a hundred guesses one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
import trio

from deltastream.accounts.errors import InvalidCredentials, TooManyAttempts
from deltastream.accounts.lockout import Attempts
from deltastream.accounts.passwords import Passwords
from deltastream.accounts.types import User

__all__ = ["Gate"]

log = structlog.get_logger("deltastream.accounts")

_MOST_WAITING: Final = 256
_MOST_WAITING_OF_ONE: Final = 64
_BUSY_S: Final = 5.0


class Gate:
    """Where passwords are looked at.

    Args:
        passwords: does the work.
        attempts: counts failures.
    """

    def __init__(self, passwords: Passwords, attempts: Attempts) -> None:
        self._passwords = passwords
        self._attempts = attempts
        self._lock = trio.StrictFIFOLock()
        self._waiting: Counter[str] = Counter()

    async def verify(
        self, typed: str, account: str, address: str, find: Callable[[], Awaitable[User | None]]
    ) -> User:
        """The user whom `find` gives, if this is the password.

        Cancellation: an attempt whose turn has come counts as failed.

        Raises:
            InvalidCredentials: no user, disabled, no password, or another one.
            TooManyAttempts: not looked at.
        """
        self._attempts.check(account, address)
        async with self._turn(address):
            self._attempts.check(account, address)
            user = await find()
            self._attempts.failed(account, address)
            stored = user.password_hash if user is not None and not user.disabled else None
            right = await self._passwords.verify(typed, stored)
            if user is None or not right:
                log.info("password_refused", user=None if user is None else user.id, address=address)
                raise InvalidCredentials
            self._attempts.succeeded(account, address)
            return user

    async def hash(self, password: bytes, address: str) -> str:
        """The hash of a new password.

        Cancellation: not honoured while bcrypt runs.

        Raises:
            TooManyAttempts: the address must wait, or too many do.
        """
        self._attempts.check("", address)
        async with self._turn(address):
            return await self._passwords.hash(password)

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        of_one = self._waiting[address] >= _MOST_WAITING_OF_ONE
        if of_one or self._waiting.total() >= _MOST_WAITING:
            raise TooManyAttempts(_BUSY_S)
        self._waiting[address] += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
