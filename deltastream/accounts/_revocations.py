"""Revocations on their way: from the store to the bus, and from the bus to every cache.

The store keeps each until it is on the bus, so a crash between the two loses none, and one that
another process put there, such as the command line, is found as well. Several may carry the same
one: it is appended by its id, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from deltastream.accounts.protocol import AccountStore
from deltastream.bus import Bus, Entry, Follower, Gap
from deltastream.errors import StoreUnavailable
from deltastream.messages import Revocation

__all__ = ["TOPIC", "Courier"]

TOPIC: Final = "system.revocation"
"""Where every gateway hears of revocations."""

log = structlog.get_logger("deltastream.accounts")

_LOOK_S: Final = 0.25


class Courier:
    """Carries revocations.

    Args:
        store: where they wait.
        void: told of each as soon as it is known here.
        clear: told when some may have been missed.
    """

    def __init__(
        self, store: AccountStore, void: Callable[[Sequence[Revocation]], None], clear: Callable[[], None]
    ) -> None:
        self._store = store
        self._void = void
        self._clear = clear
        self._due: list[Revocation] = []
        self._found = trio.Event()

    async def watch(self) -> None:
        """Look for what waits in the store: it takes effect here even while the bus takes nothing.

        Cancellation: no effect.
        """
        away = False
        while True:
            try:
                waiting = await self._store.revocations()
            except StoreUnavailable as error:
                if not away:
                    log.warning("revocations_unknown", error=str(error))
                away = True
                self._clear()
            else:
                away = False
                if waiting:
                    self._void(waiting)
                    self._due = waiting
                    self._found.set()
            await trio.sleep(_LOOK_S)

    async def publish(self, bus: Bus) -> None:
        """Put on the bus what `watch` has found.

        Cancellation: what is not known to be on the bus is put there again.

        Raises:
            BusClosed: the bus was closed.
        """
        while True:
            await self._found.wait()
            self._found = trio.Event()
            due, self._due = self._due, []
            await bus.append_batch([Entry(TOPIC, revocation, revocation.id) for revocation in due])
            try:
                await self._store.forget_revocations([revocation.id for revocation in due])
            except StoreUnavailable as error:  # they wait on, and are found again
                log.warning("revocations_not_forgotten", error=str(error))

    async def follow(self, follower: Follower) -> None:
        """Hear of revocations from wherever they are made.

        Cancellation: no effect.

        Raises:
            BusClosed: the bus was closed.
        """
        while True:
            for item in await follower.batch():
                if isinstance(item, Gap):
                    self._clear()
                elif isinstance(item.message, Revocation):
                    self._void([item.message])
