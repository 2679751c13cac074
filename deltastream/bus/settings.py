"""What can be set on the bus."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["BusSettings", "RetrySettings"]

Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a message whose handler failed is tried again.

    Attributes:
        max_attempts: deliveries in all before the message becomes a dead letter. Default 5.
        base_s: delay before the second attempt, in seconds; it doubles with every further one and
            is jittered to between half and all of itself. Default 0.2.
        cap_s: longest delay, in seconds. Default 30.
    """

    max_attempts: Positive = 5
    base_s: Seconds = 0.2
    cap_s: Seconds = 30.0


class BusSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bus of one host.

    Attributes:
        durability: what accepted messages survive: "process" the death of the process, "power"
            also that of the machine, at one disk sync per commit. Default "process".
        max_bytes: size of the journal's files together, in bytes, at least 8 MiB. Above it the oldest
            messages go, acknowledged ones first; what a group loses is counted and logged. Dead letters
            may take an eighth of it. Default 2 GiB.
        max_age_s: age from which acknowledged messages go, in seconds. Default 7 days.
        cache_bytes: recent messages kept decoded in memory, in bytes of their frames. Default 16 MiB.
        max_pending_bytes: frames not yet committed; above it appends wait. Default 16 MiB.
        retry: see `RetrySettings`.
        priorities: topic patterns by rank, most urgent first; a topic that matches none ranks last.
            Default: ticks, market status, chains.
    """

    durability: Literal["process", "power"] = "process"
    max_bytes: Annotated[int, msgspec.Meta(ge=8 << 20)] = 2 << 30
    max_age_s: Seconds = 7 * 86400.0
    cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 16 << 20
    max_pending_bytes: Positive = 16 << 20
    retry: RetrySettings = RetrySettings()
    priorities: tuple[tuple[str, ...], ...] = (
        ("market.tick.*",),
        ("market.status.*",),
        ("market.chain.*", "enriched.chain.*"),
    )
