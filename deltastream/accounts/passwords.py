"""Passwords and bcrypt: one worker thread, one answer time.

Whether a user is unknown, has no password or is given a wrong one, `verify` runs bcrypt once at the
configured cost. Hashes of an older cost take the older time until their users have logged in again.
"""

from __future__ import annotations

import base64
from typing import Final

import bcrypt
import structlog
import trio

from deltastream.accounts.fields import password_bytes
from deltastream.seams import Seams

__all__ = ["Passwords"]

log = structlog.get_logger("deltastream.accounts")

_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT: Final = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ALPHABET: Final = bytes.maketrans(_STANDARD, _BCRYPT)
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 23


class Passwords:
    """Hashes and checks passwords.

    Args:
        cost: binary logarithm of the rounds.
        seams: secrets for salts, threads for the work.
    """

    def __init__(self, cost: int, seams: Seams) -> None:
        self._cost = cost
        self._seams = seams
        self._limiter = trio.CapacityLimiter(1)  # of two cores, one goes on with the market
        draw = seams.secrets.draw
        self._nobodys = self._prefix + _text(draw(_SALT_BYTES)) + _text(draw(_DIGEST_BYTES))

    @property
    def _prefix(self) -> bytes:
        return f"$2b${self._cost:02d}$".encode()

    async def hash(self, password: bytes) -> str:
        """The hash of a password, as `Fields.password` gives it.

        Cancellation: not honoured while bcrypt runs.
        """
        salt = self._prefix + _text(self._seams.secrets.draw(_SALT_BYTES))
        return (await self._seams.threads.run(bcrypt.hashpw, password, salt, limiter=self._limiter)).decode()

    async def verify(self, typed: str, stored: str | None) -> bool:
        """Whether this was typed for the stored hash; the same time for none.

        What could never have been a password (more than 72 bytes, a NUL) is wrong like any other.

        Cancellation: not honoured while bcrypt runs.
        """
        password = password_bytes(typed)
        target = self._nobodys if stored is None or password is None else stored.encode()
        try:
            right = await self._check(password or b"", target)
        except ValueError:
            log.error("password_hash_malformed")
            return await self._check(password or b"", self._nobodys) and False
        return right and target is not self._nobodys

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than is configured."""
        return not stored.encode().startswith(self._prefix)

    async def _check(self, password: bytes, target: bytes) -> bool:
        return await self._seams.threads.run(bcrypt.checkpw, password, target, limiter=self._limiter)


def _text(data: bytes) -> bytes:
    """bcrypt's own base 64, without padding."""
    return base64.b64encode(data).rstrip(b"=").translate(_ALPHABET)
