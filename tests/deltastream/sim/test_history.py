"""The observer's view of the log: every broken promise of the bus is told, and only those."""

from __future__ import annotations

import pytest

from deltastream.bus import Gap, Record
from deltastream.messages import Position, UnderlyingTick, encode
from deltastream.sim.acceptance import Acceptance
from deltastream.sim.history import History, digest_of, understood


def tick(number, price=100.0):
    return UnderlyingTick(product="NIFTY", price=price, ts_event=number, ts_recv=number)


class Told:
    """A history, and the codes of what it complained of."""

    def __init__(self, explained=True):
        self.codes = []
        self.history = History(lambda code, detail: self.codes.append(code), lambda gap: explained)

    def give(self, *places, price=100.0):
        """Records of topic a: (epoch, seq)."""
        seen = None
        for epoch, seq in places:
            message = tick(seq, price)
            record = Record("a", Position(epoch, seq), message)
            seen = self.history.take(record, digest_of(understood(encode(message))[0]), seq)
        return seen

    def find(self, epoch, seq):
        found = self.history.find("a", Position(epoch, seq))
        return None if found is None else found.number


@pytest.fixture
def told():
    return Told()


def test_a_contiguous_topic(told):
    told.give(("e", 1), ("e", 2), ("e", 3))
    assert told.codes == []
    assert told.find("e", 2) == 1
    assert told.history.lines["a"].end == Position("e", 3)


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ([("e", 1), ("e", 3)], "sequence_gap"),
        ([("e", 2)], "sequence_gap"),
        ([("e", 1), ("e", 2), ("e", 1)], "position_repeated"),
        ([("e", 1), ("f", 1)], "epoch_undeclared"),
    ],
)
def test_what_is_not(told, places, code):
    told.give(*places)
    assert told.codes == [code]


def test_a_position_with_two_contents(told):
    told.give(("e", 1))
    told.give(("e", 1), price=7.0)
    assert told.codes == ["position_reissued"]


def test_an_epoch_that_returns(told):
    told.give(("e", 1))
    told.history.declare(Gap("a", "e", 2, 1, "epoch_changed"))
    told.give(("f", 2), ("e", 3))
    assert told.codes == ["epoch_returned"]


def test_a_declared_gap_is_none(told):
    told.give(("e", 1))
    told.history.declare(Gap("a", "e", 2, 5, "trimmed"))
    told.give(("e", 6))
    assert told.codes == []
    assert told.history.lines["a"].missing == 4


def test_a_gap_that_does_not_follow(told):
    told.give(("e", 1))
    told.history.declare(Gap("a", "e", 4, 5, "trimmed"))
    assert told.codes == ["sequence_gap"]


def test_a_gap_that_no_fault_explains():
    told = Told(explained=False)
    told.give(("e", 1))
    told.history.declare(Gap("a", "e", 2, 1, "epoch_changed"))
    assert told.codes == ["gap_unexplained"]


def test_a_message_is_found_under_every_name_it_has(told):
    told.give(("e", 1), ("e", 2), ("e", 3))
    told.history.declare(Gap("a", "e", 3, 3, "epoch_changed"))
    told.give(("f", 3), price=7.0)
    told.history.declare(Gap("a", "f", 2, 3, "epoch_changed"))
    told.history.declare(Gap("a", "f", 2, 3, "epoch_changed"))  # as long as nothing new is there
    told.give(("g", 2), price=8.0)
    assert told.codes == []
    assert [told.find(epoch, 1) for epoch in "efg"] == [0, 0, 0]
    assert [told.find(epoch, 2) for epoch in "efg"] == [1, 1, 4]
    assert [told.find(epoch, 3) for epoch in "efg"] == [2, 3, None]
    line = told.history.lines["a"]
    assert [seen.void for seen in line] == [False, True, True, True, False]


@pytest.mark.parametrize(("first", "forgotten"), [(1, True), (2, False)])
def test_an_epoch_that_nothing_is_known_of_any_more(told, first, forgotten):
    assert not told.history.forgotten
    told.give(("e", 1), ("e", 2))
    told.history.declare(Gap("a", "e", first, 2, "epoch_changed", "f"))
    assert told.history.forgotten is forgotten


def test_a_second_new_epoch_may_give_back_what_the_first_had_taken(told):
    """A backup of before the first is put back; nothing of this topic was seen in between."""
    told.give(("e", 1), ("e", 2), ("e", 3))
    told.history.declare(Gap("a", "e", 1, 3, "epoch_changed"))
    told.history.declare(Gap("a", "e", 3, 3, "epoch_changed"))
    told.give(("g", 3), price=7.0)
    assert told.codes == []
    assert [told.find("e", seq) for seq in (1, 2, 3)] == [0, 1, 2]
    assert [seen.void for seen in told.history.lines["a"]] == [False, False, True, False]


def test_a_message_lost_from_the_log(told):
    told.give(("e", 1), ("e", 2))
    line = told.history.lines["a"]
    line.lose(1)
    assert line.gone == {0}
    assert told.history.find("a", Position("e", 1)).void


class TestAcceptance:
    def test_seen_before_or_after(self, told):
        accepted = Acceptance(told.history, told.history._complain)
        accepted.accept("a", Position("e", 1), tick(1))
        accepted.see("a", Position("e", 1), told.give(("e", 1)))
        told.give(("e", 2))
        accepted.accept("a", Position("e", 2), tick(2))
        assert (told.codes, accepted.unseen()) == ([], [])

    def test_never_seen(self, told):
        accepted = Acceptance(told.history, told.history._complain)
        accepted.accept("a", Position("e", 1), tick(1))
        assert accepted.unseen() == [("a", Position("e", 1), tick(1))]

    def test_another_message_in_its_place(self, told):
        accepted = Acceptance(told.history, told.history._complain)
        accepted.accept("a", Position("e", 1), tick(1, price=7.0))
        accepted.see("a", Position("e", 1), told.give(("e", 1)))
        assert told.codes == ["lost_accepted"]

    def test_told_to_the_feed_before_the_observer_knows_the_epoch(self, told):
        told.give(("e", 1), ("e", 2))
        accepted = Acceptance(told.history, told.history._complain)
        accepted.accept("a", Position("f", 2), tick(2, price=7.0))
        told.history.declare(Gap("a", "e", 2, 2, "epoch_changed", "f"))
        told.give(("f", 2), price=7.0)
        accepted.see("a", Position("f", 2), told.history.find("a", Position("f", 2)))
        assert (told.codes, accepted.unseen()) == ([], [])

    def test_there_under_the_name_of_a_later_epoch(self, told):
        told.give(("e", 1))
        accepted = Acceptance(told.history, told.history._complain)
        accepted.accept("a", Position("e", 2), tick(2))
        told.history.declare(Gap("a", "e", 2, 1, "epoch_changed"))
        told.give(("f", 2))
        accepted.see("a", Position("f", 2), told.history.find("a", Position("f", 2)))
        [(_, position, _)] = accepted.unseen()
        assert position == Position("e", 2)  # of which the observer was told that it ended at 1


@pytest.mark.parametrize(("price", "back"), [(100.0, ["a f/2", "a f/3"]), (7.0, [])])
def test_what_was_declared_void_and_is_back(told, price, back):
    accepted = Acceptance(told.history, told.history._complain)
    told.give(("e", 1), ("e", 2), ("e", 3))
    told.history.declare(Gap("a", "e", 2, 3, "epoch_changed", "f"))
    told.give(("f", 2), ("f", 3), price=price)
    assert accepted.back() == back


def test_a_source_that_stands_still_brings_nothing_back(told):
    accepted = Acceptance(told.history, told.history._complain)
    told.give(("e", 1), ("e", 2))
    told.history.declare(Gap("a", "e", 2, 2, "epoch_changed", "f"))
    accepted.accept("a", Position("f", 2), tick(2))
    told.give(("f", 2))
    assert accepted.back() == []


class TestKeys:
    @pytest.fixture
    def accepted(self, told):
        told.give(("e", 1), ("e", 2), ("e", 3))
        return Acceptance(told.history, lambda code, detail: told.codes.append(code))

    def test_a_message_appended_twice_under_one_key(self, told, accepted):
        for seq in (1, 2):
            accepted.accept("a", Position("e", seq), tick(seq), "k")
        accepted.complete()
        assert told.codes == ["accepted_twice"]

    @pytest.mark.parametrize(
        ("when", "gone", "codes"),
        [(5.0, True, []), (5.0, False, ["accepted_twice"]), (15.0, True, ["accepted_twice"])],
    )
    def test_a_key_forgotten_with_its_message(self, told, accepted, when, gone, codes):
        for seq, at in ((1, 0.0), (2, 10.0)):
            accepted.accept("a", Position("e", seq), tick(seq), "k")
            told.history.find("a", Position("e", seq)).at = at
        told.history.find("a", Position("e", 1)).gone = gone
        accepted.complete(lambda first, second: first <= when <= second)
        assert told.codes == codes

    def test_the_position_of_the_first_is_given_again(self, told, accepted):
        for key in ("k", "k", None, None):
            accepted.accept("a", Position("e", 2), tick(2), key)
        accepted.accept("a", Position("e", 3), tick(3), "l")
        accepted.complete()
        assert told.codes == []

    def test_what_has_become_void_may_come_again(self, told, accepted):
        accepted.accept("a", Position("e", 3), tick(3), "k")
        told.history.declare(Gap("a", "e", 3, 3, "epoch_changed"))
        told.give(("f", 3), price=7.0)
        accepted.accept("a", Position("f", 3), tick(3, 7.0), "k")
        accepted.complete()
        assert told.codes == []
