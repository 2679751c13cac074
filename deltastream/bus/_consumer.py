"""A member of a group: takes deliveries, acknowledges them or lets them fail."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence

import trio

from deltastream.bus._core import Core, decoded
from deltastream.bus._failures import FAILED_FRAMES, Failure
from deltastream.bus._groups import Group, Member, Retry, Share, due_order, next_due
from deltastream.bus._journal import Frame, Reader
from deltastream.bus._settlement import Settlement
from deltastream.bus._topics import check_entries
from deltastream.bus._writer import Request
from deltastream.bus.protocol import Delivery, Entry, Record
from deltastream.errors import BusClosed, MessageDecodeError
from deltastream.messages import Position, decode, encode

__all__ = ["EmbeddedConsumer"]


class EmbeddedConsumer:
    """See `protocol.Consumer`."""

    def __init__(self, core: Core, group: Group, member: Member) -> None:
        self._core = core
        self._group = group
        self._member = member

    def _check(self) -> None:
        if self._core.closed:
            raise BusClosed("The bus is closed.")
        if not self._member.active:
            raise BusClosed("This consumer has left its group, or the journal was replaced: join again.")

    async def batch(self, max_messages: int = 64) -> list[Delivery]:
        """See `protocol.Consumer.batch`."""
        if max_messages < 1:
            raise ValueError(f"max_messages must be positive, got {max_messages}")
        member = self._member
        rested = False  # whether others have had a turn, as they have in every call
        while True:
            self._check()
            member.wakeup.clear()
            now = trio.current_time()
            order = due_order(member.shares, now)
            if not order:
                await member.wakeup.wait(next_due(member.shares))
                rested = True
                continue
            if not rested:
                await trio.lowlevel.checkpoint()
                rested = True
                continue
            taken = self._from_memory(order, max_messages, now) or await self._from_journal(
                order[0], max_messages, now
            )
            if taken:
                return taken

    def _from_memory(self, order: list[Share], limit: int, now: float) -> list[Delivery]:
        """What can be had without waiting; nothing if the most urgent share needs the journal."""
        taken: list[Delivery] = []
        for share in order:
            records = None
            if limit > len(taken) and not share.returned and not share.due(now):
                records = share.topic.cached(share.cursor, limit - len(taken))
            if records is None:
                if not taken:
                    return taken
                share.passed += 1
                continue
            share.passed = 0
            taken.extend(
                _hand_out(share, record) for record in records if not _pass_over(share, record.position.seq)
            )
        return taken

    async def _from_journal(self, share: Share, limit: int, now: float) -> list[Delivery]:
        share.busy = True
        share.passed = 0
        try:
            more = share.returned or share.cursor < share.topic.last
            share.retried_last = share.due(now) and not (share.retried_last and more)
            if share.retried_last:
                return await self._retries(share, limit, now)
            if share.returned:
                return await self._returned(share, limit)
            last = share.topic.last
            frames = await self._core.read(Reader.frames, share.topic.number, share.cursor, limit)
            self._check()
            if not frames:
                share.cursor = max(share.cursor, last)
            return await self._deliver(share, [frame for frame in frames if frame.seq > share.cursor])
        finally:
            share.busy = False
            self._group.settle(share)

    async def _returned(self, share: Share, limit: int) -> list[Delivery]:
        wanted = heapq.nsmallest(limit, share.returned)
        span = wanted[-1] - wanted[0] + 1
        frames = await self._core.read(Reader.frames, share.topic.number, wanted[0] - 1, min(span, limit))
        self._check()
        reached = frames[-1].seq if frames else wanted[-1]
        gone = {seq for seq in wanted if seq <= reached}.difference(frame.seq for frame in frames)
        share.returned = [seq for seq in share.returned if seq not in gone]
        heapq.heapify(share.returned)
        still = set(wanted).intersection(share.returned)
        return await self._deliver(share, [frame for frame in frames if frame.seq in still])

    async def _deliver(self, share: Share, frames: list[Frame]) -> list[Delivery]:
        """Hand out the frames up to the first that is no message; bury that one if it comes first."""
        taken: list[Delivery] = []
        for frame in frames:
            if _pass_over(share, frame.seq):
                continue
            position = Position(self._core.topics.epoch, frame.seq)
            try:
                message = decoded(frame)
            except MessageDecodeError as error:
                if not taken:
                    _take(share, frame.seq)
                    failure = Failure(share, position, frame.frame, 1, error, last=True)
                    await failure.submit(self._core, self._group)
                break
            taken.append(_hand_out(share, Record(share.topic.name, position, message)))
        return taken

    async def _retries(self, share: Share, limit: int, now: float) -> list[Delivery]:
        chosen = heapq.nsmallest(limit, (retry for retry in share.retries if retry.due <= now))
        frames = dict(
            await self._core.read(Reader.query, FAILED_FRAMES, json.dumps([retry.id for retry in chosen]))
        )
        self._check()
        taken: list[Delivery] = []
        for retry in chosen:
            frame: bytes | None = frames.get(retry.id)
            if frame is None:
                _forget(share, retry)
                continue
            try:
                message = decode(frame)
            except MessageDecodeError as error:
                if not taken:
                    _forget(share, retry)
                    share.retrying[retry.position] = retry
                    failure = Failure(share, retry.position, frame, retry.attempts + 1, error, last=True)
                    await failure.submit(self._core, self._group)
                break
            _forget(share, retry)
            share.retrying[retry.position] = retry
            taken.append(Delivery(share.topic.name, retry.position, message, retry.attempts + 1))
        return taken

    async def ack(self, deliveries: Sequence[Delivery], *, emit: Sequence[Entry] = ()) -> list[Position]:
        """See `protocol.Consumer.ack`. What is not in flight any more is left alone."""
        self._check()
        check_entries(emit)
        if not deliveries and not emit:
            await trio.lowlevel.checkpoint()
            return []
        names = [*(each.topic for each in deliveries), *(each.topic for each in emit)]
        rank = min(self._core.topics.rank(name) for name in names)
        settlement = Settlement(self._group, [(each.topic, each.position) for each in deliveries])
        request = Request(emit, rank, join=settlement.join, done=settlement.done, undo=settlement.undo)
        await self._core.writer.submit(request)
        return request.positions

    async def fail(self, delivery: Delivery, error: BaseException) -> None:
        """See `protocol.Consumer.fail`. What is not in flight any more is left alone."""
        self._check()
        share = self._group.shares.get(delivery.topic)
        if share is None or not share.holds(delivery.position):
            await trio.lowlevel.checkpoint()
            return
        last = delivery.attempt >= self._core.settings.retry.max_attempts
        frame = encode(delivery.message)
        failure = Failure(share, delivery.position, frame, delivery.attempt, error, last=last)
        await failure.submit(self._core, self._group)


def _hand_out(share: Share, record: Record) -> Delivery:
    _take(share, record.position.seq)
    return Delivery(record.topic, record.position, record.message)


def _take(share: Share, seq: int) -> None:
    share.in_flight.add(seq)
    if seq > share.cursor:
        share.cursor = seq
    else:
        share.returned.remove(seq)
        heapq.heapify(share.returned)


def _pass_over(share: Share, seq: int) -> bool:
    """Whether this message is out of line already; then the cursor need not wait for it."""
    if seq in share.aside:
        share.cursor = max(share.cursor, seq)
        return True
    return False


def _forget(share: Share, retry: Retry) -> None:
    share.retries.remove(retry)
    heapq.heapify(share.retries)
