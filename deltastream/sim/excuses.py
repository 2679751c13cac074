"""What the faults that struck account for, and until when."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from deltastream.bus.protocol import Gap
from deltastream.sim._kinds import Kill, PowerCut

__all__ = ["RECOVERY_S", "Excuses"]

RECOVERY_S: Final = 30.0
"""How long after its last fault the system may take until all is well again, seconds.

A child that kept failing waits up to 10 s before its next start; a bus or a store that was away is
tried again within 5 s each; a message that failed comes up to four times more within 3 s; a process
that gave up is started after 1 s. What is left is for catching up with the backlog.
"""

_LASTING: Final = frozenset({"lost_any"})
"""Damage that may be found whenever somebody reads what it hit: such a fault is never over."""


class _Struck(NamedTuple):
    begun: float
    over: float
    fault: Any
    excuses: frozenset[str]


class Excuses:
    """Collects the faults that struck.

    Args:
        durable: nothing that was committed goes with the machine's power.
        trims: messages leave the journal when they are old and everybody has done with them.
    """

    def __init__(self, *, durable: bool = False, trims: bool = False) -> None:
        self._struck: list[_Struck] = []
        self._durable = durable
        self._trims = trims

    def strike(self, now: float, fault: Any) -> None:
        """A fault has struck at `now`, virtual seconds since the start."""
        spared = self._durable and isinstance(fault, PowerCut)
        excuses = Kill.EXCUSES if spared else fault.excuses
        over = max(fault.over, now + fault.over - fault.at)
        self._struck.append(_Struck(now, float("inf") if excuses & _LASTING else over, fault, excuses))

    def ever(self, *what: str) -> bool:
        """Whether any fault that struck so far accounts for one of these."""
        return any(not struck.excuses.isdisjoint(what) for struck in self._struck)

    def last(self, *what: str) -> float:
        """When the last fault struck that accounts for one of these; -inf where none has."""
        struck = [begun for begun, _, _, excuses in self._struck if not excuses.isdisjoint(what)]
        return max(struck, default=float("-inf"))

    def around(self, since: float, now: float, *what: str) -> bool:
        """Whether a fault accounts for one of these between `since` and `now`, its recovery included."""
        return any(
            begun <= now and since <= over + RECOVERY_S and not excuses.isdisjoint(what)
            for begun, over, _, excuses in self._struck
        )

    def between(self, since: float, now: float, *what: str) -> bool:
        """Whether a fault that accounts for one of these began or ended between `since` and `now`."""
        return any(
            not excuses.isdisjoint(what) and (since <= begun <= now or since <= over <= now)
            for begun, over, _, excuses in self._struck
        )

    def calm(self, since: float, now: float) -> bool:
        """Whether nothing that concerns the host held between `since` and `now`, nor recovery from it.

        What a reader does to itself concerns nobody else; what a feed does to its messages slows nobody.
        """
        return not any(
            begun <= now and since <= over + RECOVERY_S and _disturbs(fault)
            for begun, over, fault, _ in self._struck
        )

    def kinds(self, since: float, now: float) -> frozenset[str]:
        """The kinds of those that held between `since` and `now`, their recovery included."""
        return frozenset(
            str(fault.__struct_config__.tag)
            for begun, over, fault, _ in self._struck
            if begun <= now and since <= over + RECOVERY_S
        )

    def settled(self, now: float, for_s: float) -> bool:
        """Whether for so long no fault has held but those of a feed's messages, nor recovery from it."""
        return not any(
            begun <= now and now - for_s <= over + RECOVERY_S and not hasattr(fault, "product")
            for begun, over, fault, _ in self._struck
            if _disturbs(fault)
        )

    @property
    def longest_down(self) -> float:
        """For how long at most there was no process, in seconds: as much older is what was seen after it."""
        return max((getattr(fault, "down_s", 0.0) for _, _, fault, _ in self._struck), default=0.0)

    @property
    def over(self) -> float:
        """When the last fault that struck was over."""
        finite = [over if over != float("inf") else begun for begun, over, _, _ in self._struck]
        return max(finite, default=0.0)

    def explains(self, gap: Gap) -> bool:
        """Whether a gap in what a reader was given is accounted for."""
        lossy = gap.last >= gap.first
        match gap.reason:
            case "epoch_changed":
                return self.ever("new_epoch") and (not lossy or self.ever("lost_tail", "lost_any"))
            case "trimmed":
                return self._trims
            case "lost":
                return self.ever("lost_any")
            case "undecodable":
                return self.ever("lost_any", "dead_letter")
            case _:
                return False


def _disturbs(fault: Any) -> bool:
    return not hasattr(fault, "reader")
