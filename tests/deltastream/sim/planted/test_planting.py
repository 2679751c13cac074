"""A planted bug whose function has changed must not go unnoticed."""

from __future__ import annotations

import pytest

DUE = "supervisors._supervisor:Supervisor._due"


def test_a_function_that_is_gone(plant):
    with pytest.raises(AttributeError), plant({f"{DUE}_date": lambda original: original}):
        pass


def test_what_is_no_function_any_more(plant):
    with (
        pytest.raises(AssertionError, match="no function"),
        plant({"supervisors._supervisor:Supervisor.stopping": lambda original: original}),
    ):
        pass


def test_a_function_that_takes_other_arguments(plant):
    with (
        pytest.raises(AssertionError, match="other arguments"),
        plant({DUE: lambda original: lambda self, now: None}),
    ):
        pass


@pytest.mark.slow
def test_a_bug_that_changes_nothing_is_not_found(planted):
    with pytest.raises(pytest.fail.Exception, match="not found within 1 seeds"):
        planted({DUE: lambda original: original}, seeds=1, caught="start_order")
