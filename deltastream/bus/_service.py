"""The service: opens the journal, lends it to the handle, keeps it in order, closes it."""

from __future__ import annotations

import trio

from deltastream.bus._core import Core
from deltastream.bus._journal import Journal, Reader, Standing
from deltastream.errors import BusClosed, JournalError

__all__ = ["serve"]


async def serve(core: Core, task_status: trio.TaskStatus[None]) -> None:
    """Run until the bus is closed; see `EmbeddedBus.run`."""
    if core.closed:
        raise BusClosed("The bus is closed.")
    journal, reader, standing = await core.seams.threads.run(_open, core, limiter=core.writer.limiter)
    try:
        core.load(journal, standing)
        core.up(reader)
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, core)
            await core.writer.run(journal)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await core.down()
            await core.seams.threads.run(journal.close, limiter=core.writer.limiter)


def _open(core: Core) -> tuple[Journal, Reader, Standing]:
    journal = Journal(core.path, core.settings.durability, core.seams.ids.new)
    return journal, Reader(core.path), journal.standing()


async def _watch(core: Core) -> None:
    await core.damaged.wait()
    raise JournalError(f"The journal {core.path} is damaged: {core.damage}.")
