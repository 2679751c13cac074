"""A case: a scenario and the faults in it, which is all that a simulation depends on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from deltastream.errors import DeltaStreamError
from deltastream.market import products
from deltastream.sim import Part, Verdict, World, simulate
from deltastream.sim.faults import inject
from deltastream.sim.invariants import watch
from deltastream.sim.people import People
from deltastream.sim.plan import PROFILES, Fault, Plan, draw
from deltastream.sim.scenario import Scenario

__all__ = ["SESSION", "Case", "CaseRefused", "examine", "scenario_of"]

SESSION: Final = "session"
"""The duration that means a trading day."""

_FEW_FAULTS_S: Final = 120.0
_PROGRAM: Final = "deltastream sim"


class CaseRefused(DeltaStreamError):
    """A file holds no case."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds: a case, or a plan alone."""

    faults: tuple[Fault, ...]
    scenario: Scenario | None = None


class Case(msgspec.Struct, frozen=True):
    """A scenario and its faults.

    Attributes:
        scenario: what is simulated.
        plan: what goes wrong in it.
    """

    scenario: Scenario
    plan: Plan

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """The scenario with the faults that its seed gives.

        Raises:
            ValueError: it names a profile that does not exist.
        """
        return cls(scenario, draw(scenario))

    @property
    def options(self) -> str | None:
        """The command line's options that make this very case; None where only a file can hold it."""
        options = _options(self.scenario)
        if options is None or self.plan != draw(self.scenario):
            return None
        return " ".join(options)

    def command(self, file: Path | None = None) -> str:
        """The command that runs this case again.

        Args:
            file: where it is saved, for what no options describe.
        """
        if self.options is not None:
            return f"{_PROGRAM} {self.options}"
        return f"{_PROGRAM} --plan {shlex.quote(str(file)) if file else 'FILE'}"

    def to_json(self) -> str:
        """The case as JSON: its scenario on a line, each fault on another."""
        scenario = msgspec.json.encode(self.scenario).decode()
        return self.plan.to_json().replace("{", f'{{"scenario": {scenario},\n ', 1)

    @classmethod
    def read(cls, file: Path, scenario: Scenario) -> tuple[Self, bool]:
        """The case in a file, and whether the file tells its scenario; a plan alone gets the one given.

        Raises:
            CaseRefused: the file cannot be read, or is none.
        """
        try:
            found = msgspec.json.decode(file.read_bytes(), type=_File)
            return cls(_known(found.scenario or scenario), Plan(found.faults)), found.scenario is not None
        except OSError as error:
            raise CaseRefused(f"{file} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise CaseRefused(f"{file} holds no plan of faults: {error}.") from None


def examine(case: Case, parts: Sequence[Part] = ()) -> Verdict:
    """Simulate a case: its faults happen, and every invariant is checked. Not from within a Trio run.

    Args:
        case: what is simulated.
        parts: what else takes hold of the world, before the faults do.
    """

    def whole(world: World) -> None:
        if case.scenario.people:
            People(world, case.scenario.people)
        if case.scenario.clients:
            from deltastream.sim.sockets import Sockets

            Sockets(world, case.scenario.clients)
        watch(world, inject(world, case.plan))

    return simulate(case.scenario, case.plan, [*parts, whole])


def scenario_of(
    seed: int, duration: float | str | None = None, readers: int | None = None, profile: str | None = None
) -> Scenario:
    """The scenario that the command line's options describe.

    Args:
        seed: everything is drawn from it.
        duration: virtual seconds, or `SESSION`; a minute unless given.
        readers: how many; the scenario's own number unless given.
        profile: of faults; the duration's own unless given.
    """
    profile = profile or _default_profile(duration)
    if isinstance(duration, str):
        scenario = Scenario.session(seed, profile=profile)
    else:
        scenario = Scenario.short(seed, profile=profile)
        if duration is not None:
            scenario = msgspec.structs.replace(scenario, duration_s=duration)
    return scenario if readers is None else msgspec.structs.replace(scenario, readers=readers)


def _known(scenario: Scenario) -> Scenario:
    """A scenario that can be simulated.

    Raises:
        ValueError: it names what does not exist.
    """
    if scenario.profile not in PROFILES:
        raise ValueError(f"there is no profile {scenario.profile!r}")
    names = [known.symbol for known in products()]
    unknown = [name for name in scenario.products if name not in names]
    if unknown or not scenario.products:
        raise ValueError(f"there is no product {unknown[0]!r}" if unknown else "it names no product")
    return scenario


def _default_profile(duration: float | str | None) -> str:
    """A few faults of any kind in a minute; where there is more time, some now and then."""
    short = duration is None or (not isinstance(duration, str) and duration <= _FEW_FAULTS_S)
    return "short" if short else "mild"


def _options(scenario: Scenario) -> list[str] | None:
    """The shortest options that describe a scenario, if any do."""
    for duration in (None, scenario.duration_s, SESSION):
        for readers in (None, scenario.readers):
            for profile in (None, scenario.profile):
                if scenario_of(scenario.seed, duration, readers, profile) == scenario:
                    options = [f"--seed {scenario.seed}"]
                    if duration is not None:
                        options.append(
                            f"--duration {duration if duration == SESSION else f'{duration:.12g}s'}"
                        )
                    if readers is not None:
                        options.append(f"--readers {readers}")
                    if profile is not None:
                        options.append(f"--faults {profile}")
                    return options
    return None
