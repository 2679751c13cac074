"""What an exception means for whoever asked: a problem of theirs, an outage, or a defect of ours.

So that handlers need not catch what any of them may meet, it is translated here for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from deltastream.accounts import InvalidToken
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
        case InvalidToken(reason=reason):
            challenge = f'Bearer realm="deltastream", error="invalid_token", error_description="{reason}"'
            return Problem("unauthenticated", str(error), headers=[("www-authenticate", challenge)])
        case StoreUnavailable():
            return Problem("store_unavailable", retry_after_s=STORE_RETRY_S)
        case BadCursor():
            wrong = FieldProblem(
                where="query", field="cursor", code="unknown", message="This cursor is of no use here."
            )
            return Problem("invalid_request", wrong.message, errors=[wrong])
    return None
