"""Who has come and not said who it is: of one address only so many, lest they take everybody's places."""

from __future__ import annotations

from collections import Counter

from deltastream.accounts.lockout import network_of

__all__ = ["Strangers"]


class Strangers:
    """Counts them by address; of IPv6 a network of 64 bits is one.

    Args:
        most: of one address.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._counts)

    def too_many(self, address: str) -> bool:
        """Whether no more of an address may come."""
        return self._counts.get(network_of(address), 0) >= self._most

    def come(self, address: str) -> None:
        """One more is there."""
        self._counts[network_of(address)] += 1

    def go(self, address: str) -> None:
        """One has gone, or has said who it is."""
        network = network_of(address)
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]
