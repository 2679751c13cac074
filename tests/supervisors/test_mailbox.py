"""The contract of a mailbox: policies, cancellation, closing, statistics."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors import (
    InvalidSpec,
    Mailbox,
    Overflow,
    Policy,
    block,
    conflate,
    drop_newest,
    drop_oldest,
)


def tens(item):
    return item // 10


POLICIES = [
    block(3),
    drop_oldest(3),
    drop_newest(3),
    conflate(tens, 2),
    conflate(tens, 2, Overflow.DROP_OLDEST),
    conflate(tens, 2, Overflow.DROP_NEWEST),
]


def counts(box):
    stats = box.statistics()
    assert stats.sent == stats.received + stats.dropped + stats.conflated + stats.depth
    return stats.depth, stats.peak, stats.sent, stats.received, stats.dropped, stats.conflated


async def test_block_makes_senders_wait_in_turn():
    box = Mailbox("box", block(2))
    async with trio.open_nursery() as nursery:
        box.send_nowait(1)
        await box.send(2)
        with pytest.raises(trio.WouldBlock):
            box.send_nowait(9)
        for item in (3, 4, 5):
            nursery.start_soon(box.send, item)
            await trio.testing.wait_all_tasks_blocked()
        assert box.statistics().waiting_senders == 3
        assert await box.receive() == 1
        assert await box.receive_batch() == [2, 3]
        assert await box.receive_batch() == [4, 5]
    assert counts(box) == (0, 2, 5, 5, 0, 0)


async def test_drop_oldest_and_drop_newest_count():
    oldest, newest = Mailbox("o", drop_oldest(2)), Mailbox("n", drop_newest(2))
    for item in range(5):
        oldest.send_nowait(item)
        await newest.send(item)
    assert await oldest.receive_batch() == [3, 4]
    assert await newest.receive_batch() == [0, 1]
    assert counts(oldest) == counts(newest) == (0, 2, 5, 2, 3, 0)


async def test_conflate_keeps_the_latest_in_the_order_of_first_arrival():
    box = Mailbox("quotes", conflate(tens, 3))
    for item in (10, 20, 11, 30, 21, 12):
        await box.send(item)
    assert box.statistics().policy == "conflate, block"
    assert await box.receive() == 12
    box.send_nowait(13)
    assert box.receive_batch_nowait() == [21, 30, 13]
    assert counts(box) == (0, 3, 7, 4, 0, 3)


@pytest.mark.parametrize(
    ("overflow", "left"), [(Overflow.DROP_OLDEST, [21, 30]), (Overflow.DROP_NEWEST, [10, 21])]
)
async def test_conflate_with_too_many_keys(overflow, left):
    box = Mailbox("quotes", conflate(tens, 2, overflow))
    for item in (10, 20, 21, 30):
        box.send_nowait(item)
    assert box.receive_batch_nowait() == left
    assert counts(box)[4:] == (1, 1)


async def test_conflate_that_blocks_takes_known_keys_at_once():
    box = Mailbox("quotes", conflate(tens, 1))
    box.send_nowait(10)
    with pytest.raises(trio.WouldBlock):
        box.send_nowait(20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.send, 20)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(box.send, 21)
        await trio.testing.wait_all_tasks_blocked()
        box.send_nowait(11)
        assert await box.receive() == 11
        assert box.receive_nowait() == 21  # both waiters were let in, the later one won
    assert counts(box)[4:] == (0, 2)


async def test_error_of_the_key_function_is_the_senders():
    box = Mailbox("box", conflate(lambda item: item["key"], 2))
    with pytest.raises(KeyError):
        box.send_nowait({})
    with pytest.raises(TypeError):
        await box.send({"key": []})
    assert counts(box) == (0, 0, 0, 0, 0, 0)


async def test_burst_is_drained_with_one_task_switch():
    box = Mailbox("box", block(1000))
    batches = []

    async def reader():
        while True:
            batches.append(await box.receive_batch(400))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        for item in range(1000):
            box.send_nowait(item)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [len(batch) for batch in batches] == [400, 400, 200]
    assert [item for batch in batches for item in batch] == list(range(1000))


async def test_readers_share_the_items():
    box = Mailbox("box", block(10))
    got = []

    async def reader():
        got.extend([item async for item in box])

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        assert box.statistics().waiting_receivers == 3
        for item in range(30):
            await box.send(item)
        box.finish()
    assert sorted(got) == list(range(30))


async def test_batch_taken_by_one_reader_leaves_the_others_waiting():
    box = Mailbox("box", block(10))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(box.receive)
        await trio.testing.wait_all_tasks_blocked()
        box.send_nowait(1)
        assert box.receive_batch_nowait() == [1]  # stolen from the reader that was woken
        await trio.testing.wait_all_tasks_blocked()
        assert box.statistics().waiting_receivers == 2
        box.send_nowait(2)
        box.send_nowait(3)


async def test_finish_lets_readers_have_what_is_left():
    box = Mailbox("box", block(2))
    box.send_nowait(1)
    box.finish()
    box.finish()
    with pytest.raises(trio.ClosedResourceError):
        box.send_nowait(2)
    with pytest.raises(trio.ClosedResourceError):
        await box.send(2)
    assert await box.receive() == 1
    with pytest.raises(trio.EndOfChannel):
        await box.receive()
    with pytest.raises(trio.EndOfChannel):
        box.receive_nowait()
    assert box.statistics().finished


async def test_close_breaks_senders_and_readers():
    box = Mailbox("box", block(2))
    box.send_nowait(1)
    box.close()
    box.close()
    assert counts(box) == (0, 1, 1, 0, 1, 0)
    with pytest.raises(trio.BrokenResourceError):
        box.send_nowait(2)
    with pytest.raises(trio.ClosedResourceError):
        await box.receive()
    with pytest.raises(trio.ClosedResourceError):
        box.receive_batch_nowait()


@pytest.mark.parametrize(
    ("end", "error"), [("finish", trio.ClosedResourceError), ("close", trio.BrokenResourceError)]
)
async def test_waiting_senders_learn_of_the_end(end, error):
    box = Mailbox("box", block(1))
    box.send_nowait(1)
    refused = []

    async def sender():
        with pytest.raises(error):
            await box.send(2)
        refused.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        nursery.start_soon(sender)
        await trio.testing.wait_all_tasks_blocked()
        getattr(box, end)()
    assert refused == [True, True]
    assert counts(box)[2] == 1


@pytest.mark.parametrize(
    ("end", "error"), [("finish", trio.EndOfChannel), ("close", trio.ClosedResourceError)]
)
async def test_waiting_readers_learn_of_the_end(end, error):
    box = Mailbox("box", block(1))

    async def reader():
        with pytest.raises(error):
            await box.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        getattr(box, end)()


async def cancelled_after(switches, operation):
    """Run an operation, cancelled after so many task switches; return its result and whether it completed."""
    outcome = []

    async def canceller(scope):
        for _ in range(switches):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(canceller, scope)
            outcome.append(await operation())
    return outcome


@pytest.mark.parametrize("switches", range(8))
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("room", [True, False])
async def test_send_cancelled_at_every_checkpoint_is_all_or_nothing(policy, switches, room):
    box = Mailbox("box", policy)
    if not room:
        for item in (10, 20, 30)[: policy.capacity]:
            box.send_nowait(item)
    before = box.statistics().sent

    async def drain_later():
        for _ in range(4):
            await trio.lowlevel.checkpoint()
        if not room:
            box.receive_nowait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain_later)
        completed = await cancelled_after(switches, lambda: box.send(90))
    assert box.statistics().sent == before + len(completed)
    assert box.statistics().waiting_senders == 0
    counts(box)


@pytest.mark.parametrize("switches", range(8))
@pytest.mark.parametrize("arrives_after", range(6))
@pytest.mark.parametrize("limit", [None, 1])
async def test_receive_cancelled_at_every_checkpoint_loses_nothing(switches, arrives_after, limit):
    box = Mailbox("box", block(4))

    async def arrive():
        for _ in range(arrives_after):
            await trio.lowlevel.checkpoint()
        box.send_nowait(1)
        box.send_nowait(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        completed = await cancelled_after(switches, lambda: box.receive_batch(limit))
    taken = completed[0] if completed else []
    left = box.receive_batch_nowait() if box.statistics().depth else []
    assert taken + left == [1, 2]
    assert box.statistics().waiting_receivers == 0


async def test_every_method_is_a_checkpoint():
    box = Mailbox("box", block(2))
    with trio.testing.assert_checkpoints():
        await box.send(1)
    with trio.testing.assert_checkpoints():
        await box.receive()
    box.send_nowait(1)
    with trio.testing.assert_checkpoints():
        await box.receive_batch()


async def test_oldest_age(autojump_clock):
    box = Mailbox("quotes", conflate(tens, 5))
    assert box.statistics().oldest_age is None
    box.send_nowait(10)
    await trio.sleep(2)
    box.send_nowait(20)
    box.send_nowait(11)
    assert box.statistics().oldest_age == 2  # the slot is as old as its first item
    box.receive_nowait()
    assert box.statistics().oldest_age == 0


async def test_address_can_only_write_and_look(autojump_clock):
    box = Mailbox("box", block(2))
    address = box.address
    address.send_nowait(1)
    await address.send(2)
    assert address.statistics() == box.statistics()
    assert address.name == "box"
    assert not hasattr(address, "receive")
    assert not hasattr(address, "close")
    assert repr(address) == "<Address of <Mailbox 'box': 2 of 2>>"


@pytest.mark.parametrize("capacity", [0, -1, float("inf")])
def test_capacity_is_positive_and_finite(capacity):
    with pytest.raises(InvalidSpec, match="capacity"):
        block(capacity)


async def test_limit_is_positive():
    box = Mailbox("box", block(2))
    box.send_nowait(1)
    with pytest.raises(ValueError, match="limit"):
        await box.receive_batch(0)
    assert await box.receive() == 1


class Model:
    """The mailbox as a list of items and a list of waiting senders."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.items: list[int] = []
        self.waiting: list[int] = []
        self.sent = self.received = self.dropped = self.conflated = 0

    def accept(self, item):
        policy = self.policy
        same = [
            n for n, other in enumerate(self.items) if policy.key and policy.key(other) == policy.key(item)
        ]
        if same:
            self.items[same[0]] = item
            self.conflated += 1
        elif len(self.items) < policy.capacity:
            self.items.append(item)
        elif policy.overflow is Overflow.BLOCK:
            return False
        else:
            self.dropped += 1
            if policy.overflow is Overflow.DROP_OLDEST:
                self.items = [*self.items[1:], item]
        self.sent += 1
        return True

    def take(self, limit):
        taken, self.items = self.items[:limit], self.items[limit:]
        self.received += len(taken)
        while self.waiting and self.accept(self.waiting[0]):
            del self.waiting[0]
        return taken


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(10, 59)),
        st.tuples(st.just("send_nowait"), st.integers(10, 59)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(st.just("take"), st.integers(1, 4)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(operations=OPERATIONS, policy=st.sampled_from(POLICIES))
def test_agrees_with_a_naive_model(operations, policy):
    """Senders that wait, are cancelled, are let in; everything observable after every step."""
    trio.run(run_against_model, operations, policy)


async def run_against_model(operations, policy):
    box, model = Mailbox("box", policy), Model(policy)
    scopes: list[tuple[int, trio.CancelScope]] = []
    refused: list[int] = []

    async def sender(item):
        with trio.CancelScope() as scope:
            scopes.append((item, scope))
            try:
                await box.send(item)
            except trio.BrokenResourceError:
                refused.append(item)
        scopes.remove((item, scope))

    async with trio.open_nursery() as nursery:
        for operation, value in operations:
            if operation == "send":
                nursery.start_soon(sender, value)
                if not model.accept(value):
                    model.waiting.append(value)
            elif operation == "send_nowait":
                try:
                    box.send_nowait(value)
                except trio.WouldBlock:
                    assert not model.accept(value)
                else:
                    assert model.accept(value)
            elif operation == "cancel" and value < len(model.waiting):
                scopes[value][1].cancel()
                del model.waiting[value]
            elif operation == "take" and model.items:
                assert box.receive_batch_nowait(value) == model.take(value)
            await trio.testing.wait_all_tasks_blocked()
            assert [item for item, _ in scopes] == model.waiting
            assert counts(box)[0] == len(model.items)
            assert counts(box)[2:] == (model.sent, model.received, model.dropped, model.conflated)
        box.close()
        assert box.statistics().dropped == model.dropped + len(model.items)
    assert sorted(refused) == sorted(model.waiting)
