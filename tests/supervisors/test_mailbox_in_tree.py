"""Row 28: mailboxes belong to the specification and are closed when nobody can ever read them again."""

import random

import pytest
import trio
import trio.testing

from supervisors import Intensity, Mailbox, Restart, UnknownMailbox, block, open_tree


async def test_mailbox_outlives_incarnations_also_of_supervisors(world, autojump_clock):
    """Row 28: what is sent meanwhile waits for the next incarnation."""
    box: Mailbox[int] = Mailbox("numbers", block(10))
    got = []

    async def run(ctx, *, task_status):
        numbers = ctx.mailbox("numbers")
        assert numbers is box
        task_status.started()
        async for number in numbers:
            if number == 0:
                raise ZeroDivisionError
            got.append((ctx.incarnation, number))

    inner = world.supervisor(
        world.child("x", start=run, mailboxes=(box,)), name="inner", intensity=Intensity(1, 5)
    )
    async with world.open(inner) as tree:
        for number in (1, 0, 2, 0, 3):
            await box.send(number)
        await trio.sleep(2)
        assert got == [(1, 1), (2, 2), (1, 3)]
        assert tree.find("root/inner").incarnation == 2
        assert tree.find("root/inner/x").mailboxes == (box.statistics(),)
    with pytest.raises(trio.BrokenResourceError):
        box.send_nowait(4)


async def test_mailbox_of_an_added_child_is_closed_with_it(world, autojump_clock):
    """Row 28: removed, or temporary and ended; not while it may come back."""
    kept, removed, temporary = (Mailbox(name, block(1)) for name in ("kept", "removed", "temporary"))
    async with world.open(world.child("a", restart=Restart.TEMPORARY, mailboxes=(kept,))) as tree:
        root = tree.supervisor("root")
        await root.add_child(world.child("r", mailboxes=(removed,)))
        await root.add_child(world.child("t", mailboxes=(temporary,), restart=Restart.TEMPORARY))
        world.finish("a")
        world.finish("t")
        await world.settle()
        assert not kept.statistics().closed
        assert temporary.statistics().closed
        await root.terminate_child("r")
        assert not removed.statistics().closed
        await root.remove_child("r")
        assert removed.statistics().closed
    assert kept.statistics().closed


async def test_context_knows_its_mailboxes_only(world):
    """Row 28."""
    box, seen = Mailbox("mine", block(1)), []

    async def run(ctx, *, task_status):
        seen.append(dict(ctx.mailboxes))
        with pytest.raises(UnknownMailbox, match="root/x has no mailbox 'other'"):
            ctx.mailbox("other")
        task_status.started()

    async with world.open(world.child("x", start=run, mailboxes=(box,), restart=Restart.TEMPORARY)):
        assert seen == [{"mine": box}]


async def test_sender_that_waits_is_freed_by_the_end_of_the_tree(world):
    """Row 28."""
    box = Mailbox("box", block(1))
    async with trio.open_nursery() as nursery:

        async def sender():
            await box.send(1)
            with pytest.raises(trio.BrokenResourceError):
                await box.send(2)

        async with open_tree(world.supervisor(world.child("a", mailboxes=(box,))), rng=random.Random(0)):
            nursery.start_soon(sender)
            await trio.testing.wait_all_tasks_blocked()
