"""What a feed's provider is: where market messages come from.

A provider yields normalised messages; the feed actor stamps, keys and appends them to the bus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from deltastream.messages import MarketStatus, OptionChain, UnderlyingTick

__all__ = ["Delivered", "MarketMessage", "Provider", "Refusal"]

MarketMessage = UnderlyingTick | OptionChain | MarketStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something a provider could not accept: a row or a whole file.

    Attributes:
        source: file name, or name of the provider.
        reason: a code such as "duplicate_strike" or "negative_price".
        row: where in the source (1-based line of a text file, index of a JSON row); None: the whole.
        detail: one sentence for a human.
        count: how many rows this stands for.
    """

    source: str
    reason: str
    row: int | None = None
    detail: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message from a provider.

    Attributes:
        key: identifies the message within the provider where the source can repeat itself (a file
            replayed again), so that appending it twice has one effect; None where every message is new.
    """

    message: MarketMessage
    key: str | None = None


class Provider(Protocol):
    """A source of market messages.

    An expected outage (peer gone, file not there yet) is handled inside and told by a
    `MarketStatus`; only the unexpected is raised.

    Attributes:
        name: shown in logs and in the tree.
        silent_after_s: seconds without a message of a product, its market open, after which the
            product is stale; None where silence means nothing (recorded files).
    """

    @property
    def name(self) -> str: ...
    @property
    def silent_after_s(self) -> float | None: ...

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Delivered | Refusal]]:
        """Open the source and iterate over what it gives, ending when it is exhausted.

        The iterator applies the source's own pace; a consumer that is slower delays it.

        Cancellation: nothing that was not yielded is lost to the next `stream()` of a source
        that can repeat; a live source begins anew.
        """
        ...
