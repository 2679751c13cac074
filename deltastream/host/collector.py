"""Python's garbage collector, kept from holding the event loop: what has long lived is seldom looked at.

A full collection walks every object that there is; with ten thousand clients that takes a third of a
second. So whatever a long one has left is set aside, as by a further generation, and looked at again
only when twice as much is there: cycles among it are found then, and the walks stay rare.
"""

from __future__ import annotations

import gc
import time
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["LongLived"]

HOLD_S: Final = 0.005


class LongLived:
    """Sets aside what survives a full collection that takes too long, within a ``with`` block.

    What is there at the beginning is set aside at once.

    Args:
        hold_s: what is too long, in seconds.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._began = 0.0
        self._aside = 0
        self._looking = False

    def __enter__(self) -> Self:
        gc.freeze()
        self._aside = gc.get_freeze_count()
        gc.callbacks.append(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.callbacks.remove(self._note)
        gc.unfreeze()

    def _note(self, phase: str, about: dict[str, Any]) -> None:
        if about["generation"] < 2:
            return
        now = time.perf_counter()  # seam: of the collector alone; nothing that is published depends on it
        if phase == "start":
            self._began = now
        elif self._looking or now - self._began > self._hold_s:
            self._set_aside()

    def _set_aside(self) -> None:
        gc.freeze()
        aside = gc.get_freeze_count()
        if self._looking:
            self._looking, self._aside = False, aside
        elif aside > 2 * self._aside:
            self._looking = True
            gc.unfreeze()
