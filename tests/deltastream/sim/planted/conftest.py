"""Planted bugs: the simulation finds each of them within so many seeds, and nothing without it.

A bug replaces functions of production code by name. It is no use where the name is gone, or the function
takes other arguments than it did, or is not called; then its test fails, so that none rots.
"""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, islice
from unittest import mock

import pytest

from deltastream.sim import Scenario
from deltastream.sim.case import Case, examine
from deltastream.sim.plan import draw, kind_of

Bugs = dict[str, Callable]
"""By the name of what is replaced, "module:function" or "module:Class.function": what makes the
replacement out of the original."""


def parameters(function: Callable) -> list[tuple]:
    """Names, kinds and whether there is a default."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default is each.empty) for each in found]


class Plant:
    """A context in which bugs are there.

    Attributes:
        calls: how often each of them was called.
    """

    def __init__(self, bugs: Bugs) -> None:
        self._bugs = bugs
        self._stack = ExitStack()
        self.calls = dict.fromkeys(bugs, 0)

    def __enter__(self) -> Plant:
        for name, make in self._bugs.items():
            module, _, path = name.partition(":")
            outer, _, attribute = path.rpartition(".")
            owner = pkgutil.resolve_name(f"{module}:{outer}" if outer else module)
            original = inspect.getattr_static(owner, attribute)
            assert inspect.isfunction(original), f"{name} is no function any more"
            bug = make(original)
            assert parameters(bug) == parameters(original), f"{name} takes other arguments than it did"
            self._stack.enter_context(mock.patch.object(owner, attribute, self._counted(name, bug)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _counted(self, name: str, bug: Callable) -> Callable:
        @functools.wraps(bug)
        def counted(*args, **options):
            self.calls[name] += 1
            return bug(*args, **options)

        return counted


def violated(seed: int) -> set[str]:
    """The invariants that a short seed violates."""
    verdict = examine(Case.of(Scenario.short(seed)))
    return {violation.invariant for violation in verdict.violations}


without_bug = functools.cache(violated)


def seeds_with(faults: frozenset[str], people: bool, clients: bool) -> Iterator[int]:
    """The seeds whose plans have a fault of these kinds, if any; and those with people, or clients."""
    for seed in count():
        scenario = Scenario.short(seed)
        kinds = {kind_of(fault) for fault in draw(scenario).faults}
        if (
            (not faults or kinds & faults)
            and (scenario.people or not people)
            and (scenario.clients or not clients)
        ):
            yield seed


@pytest.fixture
def plant() -> type[Plant]:
    return Plant


@pytest.fixture
def planted() -> Callable[..., None]:
    """Plants bugs; fails unless one of the invariants is violated, and none without them."""

    def find(
        bugs: Bugs,
        *,
        seeds: int,
        caught: str,
        faults: str = "",
        people: bool = False,
        clients: bool = False,
    ) -> None:
        """Look for it.

        Args:
            bugs: what is planted.
            seeds: it must be found within the first so many.
            caught: invariants of which one must be violated.
            faults: counted are those seeds alone whose plans have a fault of these kinds; all if empty.
            people: and in whose scenarios people take part; clients: those of sockets.
        """
        others: set[str] = set()
        for seed in islice(seeds_with(frozenset(faults.split()), people, clients), seeds):
            assert not without_bug(seed), f"deltastream sim --seed {seed} fails with nothing planted"
            with Plant(bugs) as plant:
                found = violated(seed)
            if not found.isdisjoint(caught.split()):
                assert all(plant.calls.values()), f"found without being called: {plant.calls}"
                return
            others |= found
        pytest.fail(f"not found within {seeds} seeds; called: {plant.calls}; violated: {sorted(others)}")

    return find
