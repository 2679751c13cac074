"""The plan of faults: drawn from the seed before anything runs, readable, and reducible one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

import msgspec

from deltastream.sim._draws import PROFILES, draw_faults
from deltastream.sim._kinds import Excuse, Fault
from deltastream.sim.scenario import Scenario

__all__ = ["PROFILES", "Excuse", "Fault", "Plan", "draw", "kind_of"]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What will go wrong, in order of time. One JSON object.

    No fault refers to another, and each draws what it has to draw from a generator of its own: a
    plan without one of them leaves the others as they are.
    """

    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        ids = [fault.id for fault in self.faults]
        if len(set(ids)) != len(ids):
            raise ValueError("two faults of a plan have the same id")

    @property
    def excuses(self) -> frozenset[Excuse]:
        """What may be seen because of any of them."""
        return frozenset().union(*(fault.excuses for fault in self.faults))

    @property
    def over(self) -> float:
        """When the last of them is over, in seconds since the start; 0 where there are none."""
        return max((fault.over for fault in self.faults), default=0.0)

    def counts(self) -> dict[str, int]:
        """How many there are of each kind, by its name."""
        return dict(sorted(Counter(kind_of(fault) for fault in self.faults).items()))

    def without(self, *ids: int) -> Self:
        """The plan that lacks these faults."""
        return msgspec.structs.replace(self, faults=tuple(f for f in self.faults if f.id not in ids))

    def to_json(self) -> str:
        """The plan as JSON, a fault to a line."""
        lines = ",\n".join(f"  {msgspec.json.encode(fault).decode()}" for fault in self.faults)
        return f'{{"faults": [\n{lines}\n]}}\n' if lines else '{"faults": []}\n'

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` has written.

        Raises:
            msgspec.ValidationError: it is not a plan; the text says where.
        """
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The plan in a file; as `from_json`."""
        return cls.from_json(path.read_bytes())


def kind_of(fault: Fault) -> str:
    """The name of a fault's kind."""
    return str(fault.__struct_config__.tag)


def draw(scenario: Scenario) -> Plan:
    """The plan that a scenario's seed and profile give, for its length, products and readers.

    Raises:
        ValueError: there is no such profile.
    """
    return Plan(tuple(draw_faults(scenario)))
