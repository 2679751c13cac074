"""How much one client may ask: a bucket of tokens for each, that fills at a steady rate.

Users and API keys have one each, whoever comes without a credential has one by address. What is left
is told in every answer by ``RateLimit`` and ``RateLimit-Policy`` (IETF draft
ratelimit-headers-11), and who must wait is told how long.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import trio

from deltastream.accounts import Identity
from deltastream.accounts.lockout import network_of
from deltastream.gateway.exchange import Exchange
from deltastream.gateway.problems import Problem
from deltastream.gateway.settings import LimitSettings

__all__ = ["Buckets", "Limiter", "LocalBuckets", "Policy", "Taken"]

_ENTRIES: Final = 20_000
_MINUTE_S: Final = 60.0
_ROUNDING_S: Final = 1e-6
"""Whoever waits as long as told is let in, though times are rounded."""

_network_of = lru_cache(4096)(network_of)


@dataclass(frozen=True, slots=True)
class Policy:
    """The size of a bucket and how fast it fills.

    Attributes:
        name: of those it is for.
        per_minute: tokens that flow in.
        burst: tokens it holds.
    """

    name: str
    per_minute: int
    burst: int

    @property
    def header(self) -> bytes:
        """Its item of ``RateLimit-Policy``: a bucket that was emptied is full again after the window."""
        window = math.ceil(self.burst * _MINUTE_S / self.per_minute)
        return f'"{self.name}";q={self.burst};w={window}'.encode()


class Taken(NamedTuple):
    """What became of an attempt to take tokens.

    Attributes:
        granted: whether they were taken; all or none are.
        remaining: whole tokens left.
        full_s: until the bucket is full again if nobody takes more, in seconds.
        retry_s: when the same could be taken, in seconds; 0 where it was.
    """

    granted: bool
    remaining: int
    full_s: float
    retry_s: float


class Buckets(Protocol):
    """Where the buckets are: in this process, or where several gateways share them."""

    async def take(self, policy: Policy, owner: str, cost: int) -> Taken:
        """Take tokens out of somebody's bucket; of a cost beyond the bucket's size, all of it.

        Cancellation: they may have been taken.
        """
        ...


class LocalBuckets:
    """Buckets of this process, in Trio's time. Of bounded number: the longest untouched is forgotten.

    A bucket is one number, the time at which it will be full (the generic cell rate algorithm), so
    that one that is full is as good as none.
    """

    def __init__(self, entries: int = _ENTRIES) -> None:
        self._entries = entries
        self._full_at: dict[str, OrderedDict[str, float]] = {}

    async def take(self, policy: Policy, owner: str, cost: int) -> Taken:
        """See `Buckets`. Does not wait."""
        now = trio.current_time()
        buckets = self._full_at.setdefault(policy.name, OrderedDict())
        each = _MINUTE_S / policy.per_minute
        size = policy.burst * each
        before = max(buckets.get(owner, now), now)
        after = before + min(cost, policy.burst) * each
        late = after - now - size
        if late > _ROUNDING_S:
            buckets.move_to_end(owner)  # or whoever asks on and on would be forgiven
            return Taken(False, _whole(now + size - before, each), before - now, late)
        buckets[owner] = after
        buckets.move_to_end(owner)
        if len(buckets) > self._entries:
            buckets.popitem(last=False)
        return Taken(True, _whole(now + size - after, each), after - now, 0.0)


def _whole(time: float, each: float) -> int:
    return max(0, int((time + _ROUNDING_S) / each))


class Limiter:
    """Takes the cost of requests from whose they are.

    Args:
        settings: how much each may ask.
        buckets: where the buckets are.
    """

    def __init__(self, settings: LimitSettings, buckets: Buckets) -> None:
        self._users = Policy("user", settings.requests_per_minute, settings.burst)
        self._strangers = Policy("address", settings.strangers_per_minute, settings.strangers_burst)
        self._users_header = self._users.header
        self._strangers_header = self._strangers.header
        self._buckets = buckets

    async def admit(self, exchange: Exchange, identity: Identity | None, cost: int) -> None:
        """Take what the request costs, and have its answer tell what is left. Nothing costs nothing.

        Cancellation: tokens may have been taken.

        Raises:
            Problem: there is not enough left.
        """
        if cost == 0:
            return
        if identity is None:
            policy, header, owner = self._strangers, self._strangers_header, _network_of(exchange.address)
        else:
            policy, header, owner = self._users, self._users_header, identity.key or identity.user_id
        taken = await self._buckets.take(policy, owner, cost)
        reset = taken.full_s if taken.granted else taken.retry_s
        left = f'"{policy.name}";r={taken.remaining};t={math.ceil(reset)}'
        exchange.extra += [(b"ratelimit-policy", header), (b"ratelimit", left.encode())]
        if not taken.granted:
            raise Problem("too_many_requests", retry_after_s=math.ceil(taken.retry_s))
