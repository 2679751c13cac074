"""Messages out of line: waiting to be tried again, or dead letters."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from typing import Any, Final

import structlog
import trio

from deltastream.bus._core import Core
from deltastream.bus._groups import Group, Share, backoff_s
from deltastream.bus._journal import Batch, Reader
from deltastream.bus._settlement import Settlement
from deltastream.bus._writer import Request
from deltastream.messages import DeadLetter, Position

__all__ = ["FAILED_FRAMES", "Failure", "dead_letter", "dead_letters", "drop", "replay"]

FAILED_FRAMES: Final = "SELECT id, frame FROM failure WHERE id IN (SELECT value FROM json_each(?))"

_TRACE_CHARACTERS: Final = 16_384
_STORE: Final = (
    "INSERT INTO failure (id, consumer, topic, epoch, seq, ts, attempts, due, error, trace, frame)"
    " VALUES (:id, :consumer, :topic, :epoch, :seq, :ts, :attempts, :due, :error, :trace, :frame)"
    " ON CONFLICT (consumer, topic, epoch, seq) DO UPDATE SET id = excluded.id, ts = excluded.ts,"
    " attempts = excluded.attempts, due = excluded.due, error = excluded.error, trace = excluded.trace"
)
_LETTERS: Final = (
    "SELECT failure.id, consumer, topic.name, epoch, seq, ts, attempts, error, trace, frame"
    " FROM failure JOIN topic ON topic.id = failure.topic WHERE due IS NULL"
)
_LIST: Final = f"{_LETTERS} AND (?1 IS NULL OR consumer = ?1) ORDER BY number DESC LIMIT ?2"
_ONE: Final = f"{_LETTERS} AND failure.id = ?"
_FIND: Final = (
    "SELECT consumer, topic.name, epoch, seq FROM failure JOIN topic ON topic.id = failure.topic"
    " WHERE failure.id = ? AND due IS NULL"
)

_log = structlog.get_logger("deltastream.bus")


class Failure:
    """One failed delivery, to be recorded.

    Args:
        share: the group's standing on the topic; holds the delivery.
        frame: the message.
        attempt: which delivery of it failed.
        last: make it a dead letter instead of trying again.
    """

    def __init__(
        self,
        share: Share,
        position: Position,
        frame: bytes,
        attempt: int,
        error: BaseException,
        *,
        last: bool,
    ) -> None:
        self._share = share
        self._position = position
        self._frame = frame
        self._attempt = attempt
        self._error = f"{type(error).__name__}: {error}"
        self._trace = "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]
        self._last = last

    async def submit(self, core: Core, group: Group) -> None:
        """Record it; durable when this returns. Cancellation: may take effect or not."""
        share, position = self._share, self._position
        retry = share.retrying.get(position)
        id_ = core.seams.ids.new() if retry is None else retry.id
        delay = backoff_s(core.settings.retry, self._attempt, core.seams.rng)
        settlement = Settlement(group, [(share.topic.name, position)], keep=True)
        row = self._row(group, id_, core.seams.clock.now_ns(), delay)
        held = False

        def join(batch: Batch) -> None:
            nonlocal held
            held = share.holds(position)
            settlement.join(batch)

        def store(db: sqlite3.Connection) -> None:
            if held:
                db.execute(_STORE, row)

        def done(_: object) -> None:
            if held and position.epoch == core.topics.epoch:
                share.aside.add(position.seq)
            if held and self._last:
                share.dead += 1
                self._report(group, id_)
            elif held:
                core.groups.retry(share, id_, position, self._attempt, trio.current_time() + delay)
            settlement.done()

        await core.writer.submit(
            Request(rank=share.topic.rank, join=join, operation=store, done=done, undo=settlement.undo)
        )

    def _row(self, group: Group, id_: str, now: int, delay: float) -> dict[str, Any]:
        return {
            "id": id_,
            "consumer": group.name,
            "topic": self._share.topic.number,
            "epoch": self._position.epoch,
            "seq": self._position.seq,
            "ts": now,
            "attempts": self._attempt,
            "due": None if self._last else now + int(delay * 1e9),
            "error": self._error,
            "trace": self._trace,
            "frame": self._frame,
        }

    def _report(self, group: Group, id_: str) -> None:
        _log.error(
            "dead_letter",
            id=id_,
            group=group.name,
            topic=self._share.topic.name,
            seq=self._position.seq,
            attempts=self._attempt,
            error=self._error,
        )


async def dead_letters(core: Core, group: str | None, limit: int) -> list[DeadLetter]:
    """The newest `limit` dead letters, oldest first, of one group or of all; see `ANSWER_BYTES`."""
    rows = await core.read(Reader.bounded, _LIST, group, max(limit, 0))
    return [_letter(*row) for row in reversed(rows)]


async def dead_letter(core: Core, letter_id: str) -> DeadLetter:
    """One dead letter.

    Raises:
        KeyError: no such letter.
    """
    for row in await core.read(Reader.query, _ONE, letter_id):
        return _letter(*row)
    raise KeyError(letter_id)


def _letter(
    id_: str,
    group: str,
    topic: str,
    epoch: str,
    seq: int,
    ts: int,
    attempts: int,
    error: str,
    trace: str,
    frame: bytes,
) -> DeadLetter:
    return DeadLetter(
        id=id_,
        group=group,
        topic=topic,
        position=Position(epoch, seq),
        ts=ts,
        attempts=attempts,
        error=error,
        trace=trace,
        frame=frame,
    )


async def replay(core: Core, letter_id: str) -> None:
    """Make a dead letter a message due now, with no attempts behind it.

    Raises:
        KeyError: no such letter.
    """
    now = core.seams.clock.now_ns()

    def again(share: Share, position: Position) -> None:
        core.groups.retry(share, letter_id, position, 0, trio.current_time())

    await _change(
        core, letter_id, "UPDATE failure SET due = ?2, attempts = 0, ts = ?2 WHERE id = ?1", (now,), again
    )


async def drop(core: Core, letter_id: str) -> None:
    """Forget a dead letter.

    Raises:
        KeyError: no such letter.
    """
    await _change(core, letter_id, "DELETE FROM failure WHERE id = ?1")


async def _change(
    core: Core,
    letter_id: str,
    statement: str,
    values: tuple[Any, ...] = (),
    also: Callable[[Share, Position], None] | None = None,
) -> None:
    def operation(db: sqlite3.Connection) -> tuple[str, str, str, int] | None:
        found: tuple[str, str, str, int] | None = db.execute(_FIND, (letter_id,)).fetchone()
        if found is not None:
            db.execute(statement, (letter_id, *values))
        return found

    def done(found: tuple[str, str, str, int] | None) -> None:
        share = core.groups.share(found[0], found[1]) if found is not None else None
        if share is not None and found is not None:
            share.dead -= 1
            if also is not None:
                also(share, Position(found[2], found[3]))

    request = await core.writer.submit(Request(operation=operation, done=done))
    if request.result is None:
        raise KeyError(letter_id)
