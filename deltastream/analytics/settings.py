"""Settings of the analytics."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["AnalyticsSettings"]

Rate = Annotated[float, msgspec.Meta(gt=-1.0, lt=1.0)]


class AnalyticsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How chains are priced.

    Attributes:
        rates: continuously compounded interest per year, as a fraction, by currency. The defaults
            are round numbers near the short-term rates of late 2026: set your own.
        default_rate: for a currency that `rates` does not name.
        stale_after_s: a chain older than this many seconds is flagged "stale", and what depends on
            time is not computed.
    """

    rates: dict[str, Rate] = msgspec.field(default_factory=lambda: {"INR": 0.055, "USD": 0.0375})
    default_rate: Rate = 0.0
    stale_after_s: Annotated[float, msgspec.Meta(gt=0)] = 900.0

    def __post_init__(self) -> None:
        for name in self.rates:
            if len(name) == 3 and name.isalpha() and not name.isupper():
                raise ValueError(f"rates are by currencies in capitals: {name.upper()}, not {name}")
