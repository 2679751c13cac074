"""Mailboxes: bounded queues between actors, each with a declared policy for when it is full."""

import enum
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import trio

from supervisors._buffers import Buffer, KeyedBuffer, QueueBuffer
from supervisors._errors import InvalidSpec
from supervisors._statistics import MailboxStatistics

__all__ = ["Address", "Mailbox", "Overflow", "Policy", "block", "conflate", "drop_newest", "drop_oldest"]

T = TypeVar("T")


class Overflow(enum.Enum):
    """What happens to an item that arrives at a full mailbox."""

    BLOCK = "block"
    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"


@dataclass(frozen=True, slots=True)
class Policy(Generic[T]):
    """How much a mailbox holds and what it does when full; build one with the functions of this module.

    Attributes:
        capacity: Number of items it holds at most, at least 1; with a key, of distinct keys.
        overflow: What happens to an item that finds it full.
        key: Conflates: an item takes the place of a waiting one with the same key. ``None`` keeps them all.
    """

    capacity: int
    overflow: Overflow
    key: Callable[[T], Hashable] | None = None

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise InvalidSpec(f"the capacity of a mailbox must be at least 1, not {self.capacity}")
        if self.capacity == math.inf:
            raise InvalidSpec("the capacity of a mailbox must be finite")


def block(capacity: int) -> Policy[Any]:
    """A full mailbox makes its senders wait: back-pressure, and nothing is lost."""
    return Policy(capacity, Overflow.BLOCK)


def drop_oldest(capacity: int) -> Policy[Any]:
    """A full mailbox drops and counts its oldest item to take the new one."""
    return Policy(capacity, Overflow.DROP_OLDEST)


def drop_newest(capacity: int) -> Policy[Any]:
    """A full mailbox drops and counts the item that arrives."""
    return Policy(capacity, Overflow.DROP_NEWEST)


def conflate(key: Callable[[T], Hashable], capacity: int, overflow: Overflow = Overflow.BLOCK) -> Policy[T]:
    """The latest item of each key wins and takes the place in the queue of the one it replaces.

    Args:
        key: Returns the key of an item. Runs in the sender's task, which gets what it raises.
        capacity: Number of distinct keys held at most.
        overflow: What happens to an item with a new key when there are that many.
    """
    return Policy(capacity, overflow, key)


class _Parcel(Generic[T]):
    """What a waiting sender wants to get rid of."""

    __slots__ = ("accepted", "item", "key")

    def __init__(self, key: Hashable, item: T) -> None:
        self.key = key
        self.item = item
        self.accepted = False


class Mailbox(Generic[T]):
    """A bounded queue that outlives the incarnations of the actor that reads it.

    Create it where the tree is described, list it in the ``mailboxes`` of the reader's ``ChildSpec``, and
    give its ``address`` to those who write. The tree closes it when no incarnation can ever read it again.

    **Cancellation.** Every method either completes or raises ``trio.Cancelled`` having changed nothing: a
    cancelled ``send`` was not accepted, a cancelled ``receive`` took nothing. What an actor has received and
    not finished dies with that incarnation (at most once).

    **Closing.** After ``finish()`` (nothing more will be sent) senders get ``trio.ClosedResourceError``, and
    receivers get what is left and then ``trio.EndOfChannel``. After ``close()`` (nobody will read any more)
    what is left is dropped and counted, senders get ``trio.BrokenResourceError`` and receivers
    ``trio.ClosedResourceError``. Both may be called at any time and more than once.

    Waiting senders are served in the order of their arrival. Several readers share the items; it is no
    broadcast. Use it from the Trio thread only.

    Args:
        name: Shown in statistics and used to look it up in a ``Context``.
        policy: ``block(n)``, ``drop_oldest(n)``, ``drop_newest(n)`` or ``conflate(key, n)``.
    """

    def __init__(self, name: str, policy: Policy[T]) -> None:
        self.name = name
        self.policy = policy
        self.address: Address[T] = Address(self)
        self._key = policy.key
        self._capacity = policy.capacity
        self._overflow = policy.overflow
        self._buffer: Buffer[T] = QueueBuffer() if policy.key is None else KeyedBuffer()
        self._senders: dict[trio.lowlevel.Task, _Parcel[T]] = {}
        self._receivers = trio.lowlevel.ParkingLot()
        self._finished = False
        self._closed = False
        self._peak = self._sent = self._received = self._dropped = self._conflated = 0

    def __repr__(self) -> str:
        return f"<Mailbox {self.name!r}: {len(self._buffer)} of {self.policy.capacity}>"

    def send_nowait(self, item: T) -> None:
        """Send without waiting.

        Raises:
            trio.WouldBlock: It is full and its policy is to block.
            trio.ClosedResourceError: It was finished.
            trio.BrokenResourceError: It was closed.
        """
        if self._finished or self._closed:
            self._ensure_sendable()
        key = None if self._key is None else self._key(item)
        if not self._offer(key, item):
            raise trio.WouldBlock

    async def send(self, item: T) -> None:
        """Send, waiting for room only if the policy is to block. Always a checkpoint.

        Cancellation: ``Cancelled`` means that the item was not accepted.

        Raises:
            trio.ClosedResourceError: It was finished.
            trio.BrokenResourceError: It was closed, perhaps while waiting.
        """
        await trio.lowlevel.checkpoint()
        self._ensure_sendable()
        key = None if self._key is None else self._key(item)
        if self._offer(key, item):
            return
        task = trio.lowlevel.current_task()
        parcel = self._senders[task] = _Parcel(key, item)

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._senders[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if not parcel.accepted:
            self._ensure_sendable()

    def receive_nowait(self) -> T:
        """Take the next item without waiting.

        Raises:
            trio.WouldBlock: It is empty.
            trio.EndOfChannel: It is empty and was finished.
            trio.ClosedResourceError: It was closed.
        """
        return self.receive_batch_nowait(1)[0]

    def receive_batch_nowait(self, limit: int | None = None) -> list[T]:
        """Take up to ``limit`` items (all with ``None``), at least one, without waiting.

        Raises: as ``receive_nowait``.
        """
        if not self._buffer:
            self._ensure_receivable()
            raise trio.WouldBlock
        return self._take(limit)

    async def receive(self) -> T:
        """Wait for the next item. Always a checkpoint.

        Cancellation: ``Cancelled`` means that nothing was taken.

        Raises:
            trio.EndOfChannel: It is empty and was finished.
            trio.ClosedResourceError: It was closed, perhaps while waiting.
        """
        return (await self.receive_batch(1))[0]

    async def receive_batch(self, limit: int | None = None) -> list[T]:
        """Wait until there is an item, then take up to ``limit`` of them (all with ``None``) at once.

        A burst costs one task switch, not one per item. Always a checkpoint. The list is never empty.

        Cancellation: ``Cancelled`` means that nothing was taken.

        Raises: as ``receive``.
        """
        if self._buffer:
            await trio.lowlevel.checkpoint()
        while not self._buffer:
            self._ensure_receivable()
            await self._receivers.park()
        return self._take(limit)

    def finish(self) -> None:
        """Declare that nothing more will be sent. Senders that are waiting get ``ClosedResourceError``."""
        if not self._finished:
            self._finished = True
            self._wake_all()

    def close(self) -> None:
        """Declare that nobody will read any more; what is left is dropped and counted."""
        if not self._closed:
            self._closed = True
            self._dropped += len(self._buffer.take(None))
            self._wake_all()

    def __aiter__(self) -> "Mailbox[T]":
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def statistics(self) -> MailboxStatistics:
        """Return a snapshot. ``sent == received + dropped + conflated + depth`` holds in every one."""
        buffer = self._buffer
        return MailboxStatistics(
            name=self.name,
            policy=("conflate, " if self.policy.key is not None else "") + self.policy.overflow.value,
            capacity=self.policy.capacity,
            depth=len(buffer),
            peak=self._peak,
            sent=self._sent,
            received=self._received,
            dropped=self._dropped,
            conflated=self._conflated,
            waiting_senders=len(self._senders),
            waiting_receivers=len(self._receivers),
            oldest_age=trio.current_time() - buffer.oldest() if buffer else None,
            finished=self._finished,
            closed=self._closed,
        )

    def _ensure_sendable(self) -> None:
        if self._closed:
            raise trio.BrokenResourceError(f"mailbox {self.name!r} was closed")
        if self._finished:
            raise trio.ClosedResourceError(f"mailbox {self.name!r} was finished")

    def _ensure_receivable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError(f"mailbox {self.name!r} was closed")
        if self._finished:
            raise trio.EndOfChannel

    def _offer(self, key: Hashable, item: T) -> bool:
        """Deal with an item as the policy says; return False if its sender has to wait."""
        buffer = self._buffer
        if buffer.replace(key, item):
            self._conflated += 1
        elif len(buffer) < self._capacity:
            self._push(key, item)
        elif self._overflow is Overflow.BLOCK:
            return False
        else:
            self._dropped += 1
            if self._overflow is Overflow.DROP_OLDEST:
                buffer.shift()
                self._push(key, item)
        self._sent += 1
        return True

    def _push(self, key: Hashable, item: T) -> None:
        buffer = self._buffer
        buffer.push(key, item, trio.current_time())
        if len(buffer) > self._peak:
            self._peak = len(buffer)
        if self._receivers:
            self._receivers.unpark()

    def _take(self, limit: int | None) -> list[T]:
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        taken = self._buffer.take(limit)
        self._received += len(taken)
        while self._senders:
            task, parcel = next(iter(self._senders.items()))
            if not self._offer(parcel.key, parcel.item):
                break
            parcel.accepted = True
            del self._senders[task]
            trio.lowlevel.reschedule(task)
        return taken

    def _wake_all(self) -> None:
        for task in self._senders:
            trio.lowlevel.reschedule(task)
        self._senders.clear()
        self._receivers.unpark_all()


class Address(Generic[T]):
    """The end of a mailbox that others may hold: it can be written to and looked at, not read or closed."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox[T]) -> None:
        self._mailbox = mailbox

    def __repr__(self) -> str:
        return f"<Address of {self._mailbox!r}>"

    @property
    def name(self) -> str:
        """Name of the mailbox."""
        return self._mailbox.name

    def send_nowait(self, item: T) -> None:
        """See ``Mailbox.send_nowait``."""
        self._mailbox.send_nowait(item)

    async def send(self, item: T) -> None:
        """See ``Mailbox.send``, also on cancellation."""
        await self._mailbox.send(item)

    def statistics(self) -> MailboxStatistics:
        """See ``Mailbox.statistics``."""
        return self._mailbox.statistics()
