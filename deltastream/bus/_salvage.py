"""A damaged journal: what was saved of it, and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["SalvageReport"]


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What became of a damaged journal.

    Attributes:
        set_aside: where the damaged file now is.
        reason: what was wrong with it.
        epoch: of the journal that took its place.
        salvaged: intact messages taken over, by topic.
        lost: messages known to be missing, by topic; more may be, at the end of a topic.
    """

    set_aside: Path
    reason: str
    epoch: str
    salvaged: dict[str, int]
    lost: dict[str, int]
