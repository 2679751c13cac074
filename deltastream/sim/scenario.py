"""What is simulated: which markets, for how long, who reads. One JSON object."""

from __future__ import annotations

import random
from typing import Annotated, Final, Literal, Self

import msgspec

__all__ = ["Scenario"]

Positive = Annotated[float, msgspec.Meta(gt=0)]
Durability = Literal["process", "power"]

_SECOND: Final = 10**9
_DAY: Final = 86_400 * _SECOND
_MONDAY: Final = 1_794_787_200 * _SECOND  # 2026-11-16 00:00 UTC
_SESSION: Final = 1_795_145_400 * _SECOND  # 2026-11-20 03:30 UTC, a Friday: 09:00 in Mumbai
_SESSION_S: Final = 24_900.0  # until 15:55
_MARKETS: Final = ("NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ")

_BUNDLES_S: Final = (0.0, 0.5, 1.0, 2.0)
_AGES_S: Final = (None, None, None, 5.0, 20.0)
_PEOPLE: Final = (0, 0, 0, 2)
_CLIENTS: Final = (0, 0, 0, 3)
_DURABILITIES: Final[tuple[Durability, ...]] = ("process", "process", "process", "power")


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated stretch of time, without what goes wrong in it (that is the `Plan`).

    Attributes:
        seed: everything that is drawn in a simulation comes from it.
        start: the first instant, nanoseconds UTC.
        duration_s: how long the feed runs; what follows until all is settled comes on top.
        products: of the synthetic markets; expiries, strikes: of each product, of each chain.
        tick_interval_s, chain_interval_s: between ticks of a product, between chains of an expiry.
        bundle_s: over how long the vendor gathers messages and then sends them together; 0: not at all.
        hours: "always" trades around the clock, "real" by the exchange's calendar.
        max_age_s: from what age on acknowledged messages leave the journal; None: not in this time.
        durability: what the files of journal and store survive, the death of the process or of the
            machine.
        readers: followers of the bus, as gateways will be.
        read_interval_s: how long readers, and the observer, let messages gather between two batches.
        people: who have accounts; with any there are two gateways, and others who try.
        clients: of sockets, at two gateways.
        profile: what kind of faults is drawn from the seed.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    start: int = _SESSION
    duration_s: Positive = 60.0
    products: tuple[str, ...] = ("NIFTY", "SPY")
    expiries: Annotated[int, msgspec.Meta(ge=1, le=12)] = 1
    strikes: Annotated[int, msgspec.Meta(ge=5, le=400)] = 41
    tick_interval_s: Positive = 1.0
    chain_interval_s: Positive = 5.0
    bundle_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    hours: Literal["always", "real"] = "always"
    max_age_s: Positive | None = None
    durability: Durability = "process"
    readers: Annotated[int, msgspec.Meta(ge=0)] = 2
    read_interval_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    people: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    clients: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    profile: str = "none"

    @classmethod
    def short(cls, seed: int, profile: str = "short") -> Self:
        """A minute of two markets, at some instant of a week: well over a hundred messages."""
        rng = random.Random(f"scenario/{seed}")
        return cls(
            seed=seed,
            start=_MONDAY + rng.randrange(7 * _DAY // 1000) * 1000,
            duration_s=60.0,
            products=tuple(rng.sample(_MARKETS, 2)),
            strikes=rng.randint(9, 21),
            bundle_s=rng.choice(_BUNDLES_S),
            max_age_s=rng.choice(_AGES_S),
            durability=rng.choice(_DURABILITIES),
            readers=2,
            people=rng.choice(_PEOPLE),
            clients=(clients := rng.choice(_CLIENTS)),
            expiries=rng.choice((1, 2)) if clients else 1,
            profile=profile,
        )

    @classmethod
    def session(cls, seed: int, profile: str = "none", readers: int = 10) -> Self:
        """A day of the four Indian markets, from before the opening until after the close."""
        return cls(
            seed=seed,
            start=_SESSION,
            duration_s=_SESSION_S,
            products=_MARKETS[:4],
            expiries=2,
            bundle_s=1.0,
            hours="real",
            readers=readers,
            read_interval_s=1.0,
            profile=profile,
        )
