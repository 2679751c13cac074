"""Stale data is never served as live, nor live data as stale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deltastream.messages import MarketStatus, Message
from deltastream.sim.excuses import Excuses
from deltastream.sim.history import Complain

__all__ = ["SLACK_S", "Freshness"]

SLACK_S: Final = 2.5
"""Seconds beyond the limit of silence until the status must be there: the feed looks each second, a
commit takes milliseconds, and this looks each second itself."""

_COMMIT_S: Final = 0.1
"""Seconds by which the feed may have heard before its message was accepted."""

_OWN: Final = ("feed_silent", "feed_resumed", "feed_heard")
_IN_SESSION: Final = ("open", "degraded")
_HOLDS_UP: Final = frozenset({"slow_disk", "pause", "flood"})


@dataclass
class _Product:
    """One product.

    Attributes:
        heard_at: when its source was last heard; said: the source's last word on the market.
        status: the last one that was published, and since when; None before the first.
        spoke_at: when it was first heard since, while told to be stale.
    """

    heard_at: float
    said: str | None = None
    status: str | None = None
    since: float = 0.0
    spoke_at: float | None = None


class Freshness:
    """Follows what the feed was heard to say, and what was published of it.

    Args:
        silent_after_s: the provider's limit of silence.
        excuses: what struck so far.
        complain: told of a status that contradicts what the feed was heard to say.
        gathers_s: for how long whoever observes the log lets messages gather.
    """

    def __init__(
        self, silent_after_s: float, excuses: Excuses, complain: Complain, *, gathers_s: float = 0.0
    ) -> None:
        self._limit = silent_after_s
        self._seen_after = 2 * gathers_s
        self._excuses = excuses
        self._complain = complain
        self._products: dict[str, _Product] = {}

    def hear(self, now: float, message: Message) -> None:
        """The feed's message was accepted, one that it made itself included."""
        product = getattr(message, "product", None)
        if product is None:
            return
        known = self._products.setdefault(product, _Product(now))
        if isinstance(message, MarketStatus) and message.reason in _OWN:
            return
        known.heard_at = now
        if known.spoke_at is None and known.status == "stale" and now > known.since + SLACK_S:
            known.spoke_at = now
        if isinstance(message, MarketStatus):
            known.said = message.status

    def publish(self, now: float, status: MarketStatus) -> None:
        """A status was published."""
        known = self._products.setdefault(status.product, _Product(now))
        known.status, known.since, known.spoke_at = status.status, now, None
        silence = now - known.heard_at
        excused = self._excuses.around(known.heard_at, now, "stale", "restart", "degraded")
        early = silence <= self._limit - _COMMIT_S
        if status.status == "stale" and status.reason in _OWN and early and not excused:
            self._complain("stale_unearned", f"{status.product} after {silence:.3f} s of silence")

    def is_stale(self, product: str, now: float) -> bool:
        """Whether a product has been told to be stale for so long that everybody must know."""
        known = self._products.get(product)
        return known is not None and known.status == "stale" and now - known.since > SLACK_S

    def look(self, now: float, feed_since: float | None) -> None:
        """Once a second, the feed running since then; None: not running."""
        if feed_since is None:
            return
        for product, known in self._products.items():
            heard = max(known.heard_at, feed_since)
            if not self._undisturbed(heard, now):
                continue
            in_session = known.said is None or known.said in _IN_SESSION
            if in_session and known.status in _IN_SESSION and now - heard > self._limit + SLACK_S:
                self._complain(
                    "stale_as_live", f"{product} is {known.status}, silent for {now - heard:.3f} s"
                )
            speaks = known.spoke_at is not None and now >= known.spoke_at + self._seen_after
            if known.status == "stale" and speaks and now - known.heard_at < self._limit:
                self._complain("live_as_stale", f"{product} is stale, heard {now - known.heard_at:.3f} s ago")

    def _undisturbed(self, since: float, now: float) -> bool:
        """Whether nothing held meanwhile that keeps the feed or the bus from doing this in time."""
        return not (
            self._excuses.around(since, now, "degraded", "new_epoch", "give_up", "late_clock")
            or self._excuses.kinds(since, now) & _HOLDS_UP
        )
