"""What is known of whoever shows a credential, for as long as we would hear of a change.

Only while revocations are followed is anything kept, and then for half a minute at most: should word
of one be lost on its way, that is how long it could go unnoticed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

import trio

from deltastream.accounts.types import ApiKey, Session, User
from deltastream.messages import Revocation

__all__ = ["Principals"]

T = TypeVar("T", Session, ApiKey)

_ENTRIES: Final = 4096
_FRESH_S: Final = 30.0


class Principals(Generic[T]):
    """Users by the session id or key prefix by which they come."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, tuple[User, T]]] = OrderedDict()
        self._voided = 0
        self._following = False

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Keep what is asked for, for as long as the block hands every revocation to `void`."""
        self._following = True
        try:
            yield
        finally:
            self._following = False
            self.clear()

    async def get(
        self, name: str, ask: Callable[[str], Awaitable[tuple[User, T] | None]]
    ) -> tuple[User, T] | None:
        """What is known of the credential of that name; `ask` the store where nothing is.

        Cancellation: no effect.
        """
        since, found = self._entries.get(name, (0.0, None))
        if found is not None and trio.current_time() - since < _FRESH_S:
            return found
        voided = self._voided
        asked_at = trio.current_time()
        answer = await ask(name)
        if answer is not None and self._following and voided == self._voided:
            self._entries[name] = (asked_at, answer)
            self._entries.move_to_end(name)
            if len(self._entries) > _ENTRIES:
                self._entries.popitem(last=False)
        return answer

    def void(self, revocations: Sequence[Revocation]) -> None:
        """Forget what these concern, and what is being asked just now."""
        self._voided += len(revocations)
        for revocation in revocations:
            ended = revocation.session or revocation.key
            for name, (_, (user, credential)) in list(self._entries.items()):
                if user.id == revocation.user_id and ended in (None, credential.id):
                    del self._entries[name]

    def clear(self) -> None:
        """Forget everything."""
        self._voided += 1
        self._entries.clear()
