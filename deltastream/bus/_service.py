"""The service: opens the journal, lends it to the handle, keeps it in order, closes it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Final

import structlog
import trio

from deltastream.bus._core import Core
from deltastream.bus._journal import Journal
from deltastream.bus._opening import Opened, check, end_session, open_journal
from deltastream.bus._retention import Retention
from deltastream.bus._schema import connect, wal_bytes
from deltastream.bus._writer import is_damage
from deltastream.errors import BusClosed, JournalError

__all__ = ["serve"]

_LONGEST_PAUSE_S: Final = 60.0
_ROUNDS_BESIDE: Final = 2

_log = structlog.get_logger("deltastream.bus")


async def serve(core: Core, task_status: trio.TaskStatus[None]) -> None:
    """Run until the bus is closed; see `EmbeddedBus.run`. Begins again where a new epoch has begun."""
    if core.closed:
        raise BusClosed("The bus is closed.")
    await _serve(core, task_status)
    while core.stale and not core.closed:
        await _serve(core, trio.TASK_STATUS_IGNORED)


async def _serve(core: Core, task_status: trio.TaskStatus[None]) -> None:
    opened = await core.seams.threads.run(
        open_journal, core.path, core.settings, core.seams.ids, core.damage, limiter=core.writer.limiter
    )
    try:
        core.salvage = opened.report or core.salvage
        core.load(opened.journal, opened.standing)
        core.up(opened.reader)
        task_status.started()
        await _work(core, opened)
        if core.damage is not None:
            raise JournalError(f"The journal {core.path} is damaged: {core.damage}.")
    finally:
        with trio.CancelScope(shield=True):
            core.down()
            await _close(core, opened)


async def _close(core: Core, opened: Opened) -> None:
    """What is committed is in the file, but where that cannot be told: there it is left in the log.

    The last to close writes the log back and takes it away; a reader cannot.
    """
    run, limiter = core.seams.threads.run, core.writer.limiter
    told = await run(end_session, opened.journal, limiter=limiter)
    if not told:
        await run(opened.journal.close, limiter=limiter)
    await run(opened.reader.close, limiter=core.reading)
    if told:
        await run(opened.journal.close, limiter=limiter)


async def _work(core: Core, opened: Opened) -> None:
    """Until the bus is closed, or the journal found to be damaged."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_retain, core)
        nursery.start_soon(_write_back, core, opened)
        nursery.start_soon(_write, core, opened)
        if not opened.checked:
            nursery.start_soon(_check_beside, core)
        await core.ended.wait()
        nursery.cancel_scope.cancel()


async def _write(core: Core, opened: Opened) -> None:
    try:
        await core.writer.run(opened.journal)
        core.ended.set()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        core.report_damage(error)


async def _retain(core: Core) -> None:
    """Retention, each time the journal has grown, and now and then without that."""
    retention = Retention(core)
    pause = min(_LONGEST_PAUSE_S, core.settings.max_age_s / 10)
    with suppress(BusClosed):
        while True:
            with trio.move_on_after(pause):
                await core.writer.grown(wal_bytes(core.settings.max_bytes))
            await retention.enforce()


async def _write_back(core: Core, opened: Opened) -> None:
    """Checkpoint: the bulk on a connection of its own, beside the writer; the short rest by the writer."""
    run = core.seams.threads.run
    db = await run(connect, core.path, core.settings.durability)
    try:
        while True:
            await core.writer.grown(wal_bytes(core.settings.max_bytes))
            try:
                for _ in range(_ROUNDS_BESIDE):
                    await run(_copy, db, opened.journal)
                await run(opened.journal.write_back, limiter=core.writer.limiter)
            except (sqlite3.OperationalError, OSError, MemoryError) as error:
                _log.warning("journal_not_written_back", error=str(error))
    finally:
        with trio.CancelScope(shield=True):
            await run(db.close)


def _copy(db: sqlite3.Connection, journal: Journal) -> None:
    """SQLite syncs the file only when nothing is left to copy, which would be the writer's turn."""
    with journal.copying:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    journal.sync()


async def _check_beside(core: Core) -> None:
    """Check a large journal while it works."""
    stop: list[bool] = []

    async def stop_with_service() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stop.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_with_service)
        try:
            await core.seams.threads.run(check, core.path, stop)
        except sqlite3.OperationalError as error:
            if not stop:
                _log.warning("journal_not_checked", error=str(error))
        except sqlite3.DatabaseError as error:
            core.report_damage(error)
        nursery.cancel_scope.cancel()
