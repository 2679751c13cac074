"""Which exceptions are the fault of one message."""

from __future__ import annotations

import trio

__all__ = ["blames_message"]


def blames_message(error: BaseException) -> bool:
    """Whether an exception out of a handler condemns its message rather than its actor.

    A panic of the core arrives as a BaseException and does; being cancelled or told to exit does
    not, nor does a group that holds such an order.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(blames_message(inner) for inner in error.exceptions)
    return not isinstance(error, trio.Cancelled | KeyboardInterrupt | SystemExit | GeneratorExit)
