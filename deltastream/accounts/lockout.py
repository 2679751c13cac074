"""Guessing passwords gets slower and slower: per account, and per address.

After a few failures each further one doubles the time until the next try, up to a longest one; a
try before that is refused without being looked at, and does not lengthen it. Failures are forgotten
some time after the last.

So that nobody can lock out somebody else by guessing for them, an address from which a user has
logged in before has a count of its own for that user. A success clears the count of the account,
never that of the address, or whoever has an account could guess others' without end.

All is in memory, of bounded size: the longest untouched are forgotten first.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import trio

from deltastream.accounts.errors import TooManyAttempts

__all__ = ["Attempts", "Delays", "network_of"]

K = TypeVar("K")
V = TypeVar("V")

_ENTRIES: Final = 10_000
_KNOWN_S: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Delays:
    """How fast it gets slower, in seconds.

    Attributes:
        free: failures that cost nothing.
        first: delay after one more; doubles with each further one.
        longest: no delay is longer.
        forget: failures are forgotten so long after the last.
    """

    free: int
    first: float
    longest: float
    forget: float

    def after(self, failures: int) -> float:
        """The delay after so many failures."""
        over = failures - self.free
        return 0.0 if over <= 0 else min(self.longest, self.first * 2.0 ** min(over - 1, 32))


ACCOUNT: Final = Delays(free=5, first=1.0, longest=60.0, forget=3600.0)
ADDRESS: Final = Delays(free=20, first=1.0, longest=900.0, forget=3600.0)


class _Recent(OrderedDict[K, V], Generic[K, V]):
    """A dictionary that forgets the longest unwritten beyond a size."""

    def keep(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > _ENTRIES:
            self.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    last: float


_Subject = tuple[str, str]


class Attempts:
    """Counts failed attempts. Time is Trio's.

    To be used as `check`, then `failed` before the password is looked at, then `succeeded` if it was
    right; with one attempt at a time between them, so that many at once are no way round it.
    """

    def __init__(self) -> None:
        self._failures: _Recent[_Subject, _Failures] = _Recent()
        self._known: _Recent[_Subject, float] = _Recent()

    def check(self, account: str, address: str) -> None:
        """Raise TooManyAttempts where the account or the address must wait. Either may be empty: none."""
        now = trio.current_time()
        wait = max(
            (self._wait(subject, delays, now) for subject, delays in self._subjects(account, address, now)),
            default=0.0,
        )
        if wait > 0:
            raise TooManyAttempts(wait)

    def failed(self, account: str, address: str) -> None:
        """Count a failure."""
        now = trio.current_time()
        for subject, delays in self._subjects(account, address, now):
            self._count(subject, delays, now)

    def succeeded(self, account: str, address: str) -> None:
        """Take back the failure that was counted before the password was looked at, and those before."""
        now = trio.current_time()
        for subject, delays in self._subjects(account, address, now):
            if delays is ACCOUNT:
                self._failures.pop(subject, None)
        if not address:
            return
        self._known.keep((account, address), now)
        if (past := self._failures.get(("", address))) is not None:
            self._failures[("", address)] = _Failures(max(past.count - 1, 0), past.last)

    def _subjects(self, account: str, address: str, now: float) -> Iterator[tuple[_Subject, Delays]]:
        """What an attempt counts for: the account, or the account from where it is known; the address."""
        if account:
            since = self._known.get((account, address)) if address else None
            known = since is not None and now - since < _KNOWN_S
            yield (account, address if known else ""), ACCOUNT
        if address:
            yield ("", address), ADDRESS

    def _wait(self, subject: _Subject, delays: Delays, now: float) -> float:
        past = self._failures.get(subject)
        if past is None or now - past.last >= delays.forget:
            return 0.0
        return past.last + delays.after(past.count) - now

    def _count(self, subject: _Subject, delays: Delays, now: float) -> None:
        past = self._failures.get(subject)
        count = past.count if past is not None and now - past.last < delays.forget else 0
        self._failures.keep(subject, _Failures(count + 1, now))


def network_of(address: str | None) -> str:
    """What counts as one address: an IPv4 address, an IPv6 network of 64 bits; "" where there is none."""
    if address is None:
        return ""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
