"""Silence in session, told apart from a closed market."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec
import trio

from deltastream.feeds.protocol import MarketMessage
from deltastream.messages import MarketStatus
from deltastream.seams import Clock

__all__ = ["SilenceWatch"]

_SILENT: Final = "feed_silent"


class _Product:
    """What is known of one product: its provider's last word on the market, and when it last spoke.

    `told` is whether the status that stands is known to be the last one that was published: what was
    recalled may not be, where the end of the log was lost, and a store may know what came after it.
    """

    def __init__(self) -> None:
        self.said: MarketStatus | None = None
        self.heard_at = 0.0
        self.heard_ts = 0
        self.stale = False
        self.told = False


class SilenceWatch:
    """Makes a product stale when its open market has been silent for too long, and open when it speaks.

    Args:
        silent_after_s: seconds of silence that are too long; None: silence of this source means nothing.
        clock: stamps the status messages.
    """

    def __init__(self, silent_after_s: float | None, clock: Clock) -> None:
        self._limit = silent_after_s
        self._clock = clock
        self._products: dict[str, _Product] = {}

    def recall(self, statuses: Iterable[MarketStatus]) -> None:
        """Take over what was last published, oldest first, by a feed that has ended.

        So a product that was stale or open then does not stay so when its feed begins anew and is,
        or was until then, silent. Silence counts from now.
        """
        for status in statuses:
            known = self._products.setdefault(status.product, _Product())
            known.heard_at = trio.current_time()
            known.heard_ts = self._clock.now_ns()
            known.stale = status.reason == _SILENT
            if not known.stale:
                known.said = status

    def heard(self, message: MarketMessage) -> MarketStatus | None:
        """Note a message; returns the status to publish before it.

        There is one where the message ends a silence, and where it is a product's first and its
        provider has not told a status.
        """
        known = self._products.setdefault(message.product, _Product())
        known.heard_at = trio.current_time()
        known.heard_ts = self._clock.now_ns()
        if isinstance(message, MarketStatus):
            known.said = message
            known.stale = False
            known.told = True
            return None
        if self._limit is None or (known.told and not known.stale):
            return None
        reason = "feed_resumed" if known.stale else "feed_heard"
        known.stale = False
        known.told = True
        if known.said is not None:
            return msgspec.structs.replace(
                known.said, reason=reason, ts_event=known.heard_ts, ts_recv=known.heard_ts
            )
        return self._status(message.product, "open", reason, known.heard_ts)

    def fallen_silent(self) -> Iterator[MarketStatus]:
        """The statuses to publish for products that have just been silent for too long.

        Each is to be handed on before the next is asked for: a product may speak meanwhile.
        """
        if self._limit is None:
            return
        for product, known in list(self._products.items()):
            in_session = known.said is None or known.said.status in {"open", "degraded"}
            if in_session and not known.stale and trio.current_time() - known.heard_at > self._limit:
                known.stale = known.told = True
                yield self._status(product, "stale", _SILENT, known.heard_ts)

    def _status(
        self, product: str, status: Literal["open", "stale"], reason: str, since: int
    ) -> MarketStatus:
        now = self._clock.now_ns()
        return MarketStatus(
            product=product, status=status, reason=reason, since=since, ts_event=now, ts_recv=now
        )
