"""What an exception means for whoever asked: a problem of theirs, an outage, or a defect of ours.

So that handlers need not catch what any of them may meet, it is translated here for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import trio

from deltastream.accounts import errors as accounts
from deltastream.errors import StoreUnavailable
from deltastream.gateway.problems import FieldProblem, Problem
from deltastream.storage.protocol import BadCursor

__all__ = ["STORE_RETRY_S", "parted", "problem_of"]

STORE_RETRY_S: Final = 2.0
"""When to try again where the store is away."""

_ENDINGS: Final = (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit)


def parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of an exception ends the task and is nothing to answer, and what there is to answer."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(_ENDINGS)
    return (error, None) if isinstance(error, _ENDINGS) else (None, error)


def problem_of(error: BaseException) -> Problem | None:
    """The problem that an exception tells of; None where it is a defect.

    A group of exceptions tells of a problem where every one in it does: of the first.
    """
    problems = [_translated(leaf) for leaf in _leaves(error)]
    return None if None in problems else problems[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _translated(error: BaseException) -> Problem | None:
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            return Problem("store_unavailable", retry_after_s=STORE_RETRY_S)
        case BadCursor():
            return _of_fields(
                "query", [accounts.Problem("cursor", "unknown", "This cursor is of no use here.")]
            )
        case accounts.InvalidToken(reason=reason):
            challenge = f'Bearer realm="deltastream", error="invalid_token", error_description="{reason}"'
            return Problem("unauthenticated", str(error), headers=[("www-authenticate", challenge)])
        case accounts.InvalidCredentials():
            return Problem("invalid_credentials")
        case accounts.TooManyAttempts():
            return Problem("too_many_attempts", retry_after_s=error.retry_after_s)
        case accounts.InvalidFields():
            return _of_fields("body", error.problems)
        case accounts.NotAllowed():
            return Problem("forbidden", str(error))
        case accounts.NotFound():
            return Problem("not_found", str(error))
        case accounts.EmailTaken() | accounts.LastAdministrator() | accounts.TooMany():
            return Problem("conflict", str(error))
    return None


def _of_fields(where: str, wrong: Sequence[accounts.Problem]) -> Problem:
    """All that is wrong with some fields; those of a body are named by JSON pointers."""
    slash = "/" if where == "body" else ""
    errors = [
        FieldProblem(where=where, field=f"{slash}{field}", code=code, message=message)
        for field, code, message in wrong
    ]
    return Problem("invalid_request", " ".join(error.message for error in errors), errors=errors)
