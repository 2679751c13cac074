"""What a replay has given, in words."""

from __future__ import annotations

from deltastream.feeds.protocol import Refusal
from deltastream.feeds.replayed import FileRefusal, Replayed, Tally


def tally(files: int, *refusals: Refusal) -> Tally:
    made = Tally(files)
    for refusal in refusals:
        made.count(refusal)
    return made


def test_all_is_well():
    assert str(Replayed.of(tally(1), accepted=3, appended=3)) == "Replayed 1 file: 3 messages accepted."
    again = Replayed.of(tally(2), accepted=1300, appended=100)
    assert str(again) == "Replayed 2 files: 1,300 messages accepted, 1,200 of them already known."
    assert not again.nothing


def test_refusals_are_told_by_reason_the_most_frequent_first():
    rows = [Refusal("a", reason, row) for row, reason in enumerate("abbcdefg")]
    refused = FileRefusal("x.html", "html", None, "is a web page, not data")
    assert str(Replayed.of(tally(2, refused, *rows), accepted=4, appended=4)) == (
        "Replayed 1 file: 4 messages accepted; 1 of 2 files refused: x.html: is a web page, not data; "
        "8 rows refused (b 2, a 1, c 1, d 1, e 1, 2 more reasons)."
    )


def test_nothing_at_all():
    refused = [FileRefusal(name, "empty", None, "is empty") for name in ("x", "y")]
    made = Replayed.of(tally(2, *refused), accepted=0, appended=0)
    assert made.nothing
    assert str(made) == "Nothing was replayed; 2 of 2 files refused, the first: x: is empty."
    rows = Replayed.of(tally(1, Refusal("a", "damaged_record", count=7)), accepted=0, appended=0)
    assert rows.nothing
    assert not Replayed.of(tally(1), accepted=0, appended=0).nothing
