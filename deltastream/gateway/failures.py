"""What an exception means for whoever asked: a problem of theirs, an outage, or a defect of ours.

Handlers need not catch what accounts and the store refuse: it is translated here, for all routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from deltastream.accounts import errors as accounts
from deltastream.errors import StoreUnavailable
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.storage.protocol import BadCursor

__all__ = ["STORE_RETRY_S", "problem_of", "stops"]

STORE_RETRY_S: Final = 5.0
"""When to try again where the store is away."""

_STOPS: Final = (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit)


def stops(error: BaseException) -> BaseException | None:
    """The part of an exception that ends the task and is nothing to answer; None where there is none."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(_STOPS)
    return error if isinstance(error, _STOPS) else None


def problem_of(error: BaseException) -> Problem | None:
    """The problem that an exception tells of; None where it is a defect.

    A group of exceptions tells of a problem where every one in it does; the first is told.
    """
    problems = [_translated(leaf) for leaf in _leaves(error)]
    return None if None in problems else problems[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _translated(error: BaseException) -> Problem | None:  # noqa: PLR0911  a table, one line each
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            return Problem("store_unavailable", retry_after_s=STORE_RETRY_S)
        case BadCursor():
            return _of_fields([accounts.Problem("cursor", "unknown", "The cursor is of no use here.")], "query")
        case accounts.InvalidToken():
            return unauthenticated(error.reason)
        case accounts.InvalidCredentials():
            return Problem("invalid_credentials")
        case accounts.TooManyAttempts():
            return Problem("too_many_attempts", retry_after_s=error.retry_after_s)
        case accounts.InvalidFields():
            return _of_fields(error.problems, "body")
        case accounts.NotAllowed():
            return Problem("forbidden", str(error))
        case accounts.NotFound():
            return Problem("not_found", str(error))
        case accounts.EmailTaken() | accounts.LastAdministrator() | accounts.TooMany():
            return Problem("conflict", str(error))
    return None


def unauthenticated(reason: str) -> Problem:
    """The credential that was shown is not valid."""
    challenge = f'Bearer realm="deltastream", error="invalid_token", error_description="{reason}"'
    return Problem(
        "unauthenticated",
        f"The credential is not valid: {reason}.",
        headers=[("www-authenticate", challenge)],
    )


def _of_fields(problems: list[accounts.Problem], where: str) -> Problem:
    slash = "/" if where == "body" else ""
    return Problem(
        "invalid_request",
        errors=[
            FieldProblem(where=where, field=f"{slash}{field}", code=code, message=message)
            for field, code, message in problems
        ],
    )
