"""What has long lived is walked seldom, and cycles in it are found all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from deltastream.host.collector import LongLived


class Node:
    """One that refers to itself: its references alone never free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    assert gc.get_freeze_count() == 0
    before = list(gc.callbacks)
    yield
    assert gc.get_freeze_count() == 0
    assert gc.callbacks == before


def test_what_survives_a_long_collection_is_set_aside():
    with LongLived(hold_s=0.0):
        first = gc.get_freeze_count()
        kept = [[] for _ in range(1000)]
        assert gc.get_freeze_count() == first
        gc.collect()
        assert gc.get_freeze_count() >= first + 1000
        del kept[500:]  # what nothing refers to goes at once, set aside or not
        assert gc.get_freeze_count() < first + 1000


def test_a_short_collection_leaves_it_where_it_is():
    with LongLived(hold_s=60.0):
        first = gc.get_freeze_count()
        kept = [[] for _ in range(1000)]
        gc.collect()
        assert gc.get_freeze_count() <= first
        assert len(kept) == 1000


def test_a_younger_collection_sets_nothing_aside():
    with LongLived(hold_s=0.0):
        first = gc.get_freeze_count()
        kept = [[] for _ in range(1000)]
        gc.collect(1)
        assert gc.get_freeze_count() <= first
        assert len(kept) == 1000


def test_a_cycle_that_was_set_aside_is_found_once_there_is_twice_as_much():
    with LongLived(hold_s=0.0):
        first = gc.get_freeze_count()
        node = Node()
        gone = weakref.ref(node)
        gc.collect()
        del node
        gc.collect()
        assert gone() is not None
        kept = [[] for _ in range(2 * first)]
        gc.collect()  # there is twice as much: looked at again
        gc.collect()
        assert gone() is None
        aside = gc.get_freeze_count()
        assert aside > len(kept)
        gc.collect()
        assert gc.get_freeze_count() >= aside
