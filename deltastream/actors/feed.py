"""The feed actor: what a provider gives goes onto the bus."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from deltastream.actors._entries import entry_of
from deltastream.actors._silence import SilenceWatch
from deltastream.bus import Bus, Entry, matches
from deltastream.feeds.protocol import Provider, Refusal
from deltastream.messages import MarketStatus
from deltastream.seams import Seams
from supervisors import Context

__all__ = ["Feed"]

BATCH: Final = 64
IN_A_ROW: Final = 8
"""Messages handed over without a turn of the loop in between: a millisecond's work, with wide chains."""

WATCH_S: Final = 1.0
STATUS: Final = "market.status.*"
RECALLED: Final = 16
"""Statuses of a product among which its source's own last word is looked for."""

log = structlog.get_logger("deltastream.feed")


class Feed:
    """Appends the messages of one provider to `market.*`, in order, several to a transaction.

    What the provider refuses is logged and counted. When the provider is exhausted and its last
    message accepted, the actor ends and `exhausted` is set. A product whose open market falls
    silent gets the status "stale" with reason "feed_silent"; one that speaks again the status that
    its provider last told, or "open", with reason "feed_resumed"; and one that speaks for the first
    time, its status not yet told, the same with reason "feed_heard".
    """

    def __init__(self, bus: Bus, provider: Provider, seams: Seams) -> None:
        self._bus = bus
        self._provider = provider
        self._seams = seams
        self.accepted = 0
        self.refused: dict[str, int] = {}
        self.exhausted = trio.Event()

    async def run(self, ctx: Context, /, *, task_status: trio.TaskStatus[None]) -> None:
        """Feed until the provider is exhausted.

        Cancellation: messages handed over by the provider and not yet accepted are forgotten, as
        if the source had been closed before them.
        """
        if self.exhausted.is_set():
            self.exhausted = trio.Event()
        give, take = trio.open_memory_channel[Entry](BATCH)
        silence = SilenceWatch(self._provider.silent_after_s, self._seams.clock)
        async with trio.open_nursery() as appending:
            appending.start_soon(self._append_all, take)
            with give:
                async with trio.open_nursery() as reading:
                    reading.start_soon(self._watch, silence, give)
                    await self._read(silence, give, task_status)
                    reading.cancel_scope.cancel(reason="the provider is exhausted")
        self.exhausted.set()

    async def _read(
        self,
        silence: SilenceWatch,
        give: trio.MemorySendChannel[Entry],
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with self._provider.stream() as items:
            task_status.started()
            await self._recall(silence)
            in_a_row = 0
            async for item in items:
                if isinstance(item, Refusal):
                    self._refuse(item)
                    continue
                try:
                    entry = entry_of(item.message, item.key)
                except (ValueError, TypeError, OverflowError) as error:
                    self._refuse(Refusal(self._provider.name, "not_acceptable", detail=str(error)))
                    continue
                resumed = silence.heard(item.message)
                if resumed is not None:
                    await give.send(entry_of(resumed))
                in_a_row = await _hand_over(entry, give, in_a_row)

    async def _recall(self, silence: SilenceWatch) -> None:
        """Begin with the statuses that stand; of a source whose silence means nothing there are none."""
        if self._provider.silent_after_s is None:
            return
        for topic in (await self._bus.statistics()).topics:
            if matches(STATUS, topic.topic):
                last = [record.message for record in await self._bus.last(topic.topic, limit=RECALLED)]
                silence.recall(status for status in last if isinstance(status, MarketStatus))

    async def _watch(self, silence: SilenceWatch, give: trio.MemorySendChannel[Entry]) -> None:
        while True:
            await trio.sleep(WATCH_S)
            for status in silence.fallen_silent():
                log.warning("feed_silent", product=status.product, since=status.since)
                await give.send(entry_of(status))

    async def _append_all(self, take: trio.MemoryReceiveChannel[Entry]) -> None:
        with take:
            async for first in take:
                batch = await _with_what_follows(first, take)
                await self._bus.append_batch(batch)
                self.accepted += len(batch)

    def _refuse(self, refusal: Refusal) -> None:
        self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + refusal.count
        log.warning(
            "refused",
            source=refusal.source,
            row=refusal.row,
            reason=refusal.reason,
            detail=refusal.detail,
            count=refusal.count,
        )


async def _hand_over(entry: Entry, give: trio.MemorySendChannel[Entry], in_a_row: int) -> int:
    """Hand over an entry: at once where there is room, but let others have their turn after a few.

    Returns:
        How many went in a row without one.
    """
    if in_a_row < IN_A_ROW:
        try:
            give.send_nowait(entry)
        except trio.WouldBlock:
            pass
        else:
            return in_a_row + 1
    await give.send(entry)
    return 0


async def _with_what_follows(first: Entry, take: trio.MemoryReceiveChannel[Entry]) -> list[Entry]:
    """What comes at once, up to a batch.

    A provider that has many messages hands over some in each turn of the loop; each alone would
    cost a transaction here and in every reader. Tasks take their turns in any order, so messages
    may come in one turn and none in the next: only two turns without any are the end. A message that
    comes alone waits for these, some microseconds.
    """
    batch = [first]
    idle = 0
    while idle < 2:
        await trio.lowlevel.checkpoint()
        idle += 1
        try:
            while len(batch) < BATCH:
                batch.append(take.receive_nowait())
                idle = 0
            break
        except trio.WouldBlock:
            continue
        except trio.EndOfChannel:
            break
    return batch
