"""The kinds of faults: what can go wrong, when, where, for how long, and what it excuses.

Each is a thing that really happens to such a program. A fault excuses consequences that the design
does not promise to prevent, so that everything else can be demanded exactly: a killed process
excuses no loss at all, a machine without power excuses what came after the last sync.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import msgspec

__all__ = [
    "AUTH",
    "CHILDREN",
    "SOCKETS",
    "ClockJump",
    "Crash",
    "CrashLoop",
    "Excuse",
    "Failure",
    "Fault",
    "FeedBreak",
    "FlippedBytes",
    "Flood",
    "FullDisk",
    "Garbage",
    "Kill",
    "KillAtStatement",
    "Late",
    "Mute",
    "OldCopy",
    "Outage",
    "Pause",
    "PowerCut",
    "ReaderLeaves",
    "ReaderStalls",
    "Reorder",
    "Repeat",
    "RuinedStore",
    "SlowDisk",
    "SqlError",
    "TornCommit",
]

Excuse = Literal[
    "restart", "give_up", "degraded", "stale", "refused", "dead_letter", "new_epoch", "lost_tail",
    "lost_any", "lost_place", "store_behind", "late_clock", "aged",
]  # fmt: skip
"""What may be seen because of a fault, and must not be seen otherwise.

restart: children of the tree end and start again; give_up: a supervisor may exceed its intensity.
degraded: the bus, the store or an actor waits.
stale: a product's open market is told to be silent.
refused: the feed refuses messages; dead_letter: a group condemns messages.
new_epoch: positions of the journal become void, with lineage.
lost_tail: accepted messages at the end of the journal are gone; lost_any: anywhere in it. Readers
learn it by a `Gap` or by the new epoch. lost_place: and how far a group was in it.
store_behind: the store has lost effects, and needs the messages again.
late_clock: times of day are not in order of arrival.
aged: a message is not as old as it looks, and has left a journal that keeps seconds only.
"""

File = Literal["journal", "store", "both"]
CHILDREN: Final = (
    "host/loop-lag",
    "host/bus",
    "host/store",
    "host/pipeline/storage",
    "host/pipeline/analytics",
    "host/pipeline/enricher",
    "host/pipeline/feed",
    "host/control",
)
"""The children that can crash, by path."""

AUTH: Final = "host/edge/auth"
"""One more, where people have accounts."""

SOCKETS: Final = ("host/edge/live", "host/edge/desk", "host/edge/sockets")
"""More, where there are clients of sockets."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """Base of all faults.

    Attributes:
        id: names it within its plan; its randomness comes from the seed and this alone, so that it
            stays as it is when others are taken out of the plan.
        at: when, in seconds since the start.
        duration: how long it holds, in seconds; 0 where it is over at once.
        EXCUSES: what may be seen because of it.
    """

    EXCUSES: ClassVar[frozenset[Excuse]] = frozenset()

    id: int
    at: float
    duration: float = 0.0

    @property
    def over(self) -> float:
        """When nothing of it is left but its consequences, in seconds since the start."""
        return self.at + self.duration

    @property
    def excuses(self) -> frozenset[Excuse]:
        """What may be seen because of it."""
        return self.EXCUSES


class Crash(Failure, frozen=True, kw_only=True, tag="crash"):
    """A child of the tree crashes at whatever await it has come to after `steps` task steps from `at`."""

    EXCUSES = frozenset({"restart", "give_up"})

    child: str
    steps: int = 0


class CrashLoop(Failure, frozen=True, kw_only=True, tag="crash_loop"):
    """A child crashes each time it has run for `gap_s`, as long as the fault holds."""

    EXCUSES = frozenset({"restart", "give_up"})

    child: str
    gap_s: float


class _Death(Failure, frozen=True, kw_only=True):
    """The process dies and is started again `down_s` seconds later."""

    EXCUSES = frozenset({"restart"})

    down_s: float = 1.0

    @property
    def over(self) -> float:
        return self.at + self.duration + self.down_s


class Kill(_Death, frozen=True, kw_only=True, tag="kill"):
    """`kill -9` after `steps` task steps from `at`."""

    steps: int = 0


class KillAtStatement(_Death, frozen=True, kw_only=True, tag="kill_at_statement"):
    """`kill -9` right before or after an SQL statement on a file: the `skip`-th that begins with `verb`.

    After COMMIT is after the work and before anybody knows of it.
    """

    file: Literal["journal", "store"]
    verb: str
    moment: Literal["before", "after"]
    skip: int = 0


class TornCommit(_Death, frozen=True, kw_only=True, tag="torn_commit"):
    """`kill -9` while a commit writes: of what it adds to the write-ahead log, a `share` is there."""

    file: Literal["journal", "store"]
    share: float
    skip: int = 0


class PowerCut(_Death, frozen=True, kw_only=True, tag="power_cut"):
    """The machine loses power: each file keeps what was synced, and a share of what was written since.

    Shared memory is gone, so SQLite's index of the write-ahead log is, too. Where the host's
    durability is "power" everything was synced, and nothing is excused but the new start.
    """

    EXCUSES = frozenset({"restart", "new_epoch", "lost_tail", "store_behind"})

    journal_share: float
    store_share: float


class FlippedBytes(_Death, frozen=True, kw_only=True, tag="flipped_bytes"):
    """Bytes of the journal's files are other ones after the process was killed.

    part: "wal": anywhere in the write-ahead log; "frames": inside of messages in the file itself;
    "structure": at the head of the file's pages, where SQLite keeps its trees.
    """

    part: Literal["wal", "frames", "structure"]
    count: int = 1

    @property
    def excuses(self) -> frozenset[Excuse]:
        """What may be seen because of it."""
        common: frozenset[Excuse] = frozenset({"restart", "dead_letter", "new_epoch"})
        lost: dict[str, frozenset[Excuse]] = {
            "wal": frozenset({"lost_tail"}),
            "frames": frozenset({"lost_any"}),
            "structure": frozenset({"lost_any", "lost_place"}),
        }
        return common | lost[self.part]


class RuinedStore(_Death, frozen=True, kw_only=True, tag="ruined_store"):
    """The store's file is no database any more; the operator moves it away, the journal fills a new one."""

    EXCUSES = frozenset({"restart", "give_up", "store_behind"})


class OldCopy(_Death, frozen=True, kw_only=True, tag="old_copy"):
    """A copy of a file, made at `at`, is put in its place when the process was killed `duration` later."""

    file: Literal["journal", "store"]

    @property
    def excuses(self) -> frozenset[Excuse]:
        """What may be seen because of it."""
        if self.file == "store":
            return frozenset({"restart", "store_behind"})
        return frozenset({"restart", "new_epoch", "lost_tail"})


class Pause(Failure, frozen=True, kw_only=True, tag="pause"):
    """The process is stopped (SIGSTOP, a suspended laptop): time goes on, nobody runs."""

    EXCUSES = frozenset({"stale", "aged"})


class ClockJump(Failure, frozen=True, kw_only=True, tag="clock_jump"):
    """The wall clock is set by `by_s` seconds, and back after `duration` where that is not 0."""

    EXCUSES = frozenset({"stale", "late_clock", "aged"})

    by_s: float


class _OfProduct(Failure, frozen=True, kw_only=True):
    """A fault of the feed, for one product, or all where `product` is None."""

    product: str | None = None


class Repeat(_OfProduct, frozen=True, kw_only=True, tag="repeat"):
    """A share of the messages comes again, `delay_s` later; with `keyed` under the provider's own key."""

    share: float
    delay_s: float
    keyed: bool


class Late(_OfProduct, frozen=True, kw_only=True, tag="late"):
    """A share of the messages comes `delay_s` late, after newer ones."""

    EXCUSES = frozenset({"stale"})

    share: float
    delay_s: float


class Reorder(_OfProduct, frozen=True, kw_only=True, tag="reorder"):
    """Every `window` messages come in any order."""

    EXCUSES = frozenset({"stale"})

    window: int


class Mute(_OfProduct, frozen=True, kw_only=True, tag="mute"):
    """The market is open, and no message comes."""

    EXCUSES = frozenset({"stale"})


class Outage(_OfProduct, frozen=True, kw_only=True, tag="outage"):
    """The provider loses its source and says so, by a status before and after."""

    EXCUSES = frozenset({"stale"})


class FeedBreak(Failure, frozen=True, kw_only=True, tag="feed_break"):
    """The provider raises something unexpected."""

    EXCUSES = frozenset({"restart"})


class Garbage(_OfProduct, frozen=True, kw_only=True, tag="garbage"):
    """Between the messages come others that are wrong, absurd or empty, `per_s` a second."""

    EXCUSES = frozenset({"refused", "dead_letter", "late_clock"})

    per_s: float


class Flood(_OfProduct, frozen=True, kw_only=True, tag="flood"):
    """`count` messages come at once, one chain to nine ticks."""

    EXCUSES = frozenset({"late_clock"})

    count: int


class SqlError(Failure, frozen=True, kw_only=True, tag="sql_error"):
    """A share of the statements on a file fails, as with another process's lock or a failing disk."""

    EXCUSES = frozenset({"degraded", "restart", "give_up", "stale"})

    file: File
    error: Literal["busy", "io", "memory"]
    share: float


class FullDisk(Failure, frozen=True, kw_only=True, tag="full_disk"):
    """No statement that writes succeeds; reading works."""

    EXCUSES = frozenset({"degraded", "restart", "give_up", "stale"})

    file: File


class SlowDisk(Failure, frozen=True, kw_only=True, tag="slow_disk"):
    """Every transaction and every query takes `delay_s` longer."""

    EXCUSES = frozenset({"stale"})

    file: File
    delay_s: float


class _OfReader(Failure, frozen=True, kw_only=True):
    """A fault of one reader, by number."""

    reader: int


class ReaderStalls(_OfReader, frozen=True, kw_only=True, tag="reader_stalls"):
    """A reader takes nothing for a while."""


class ReaderLeaves(_OfReader, frozen=True, kw_only=True, tag="reader_leaves"):
    """A reader goes away and comes back with the positions it had."""


Fault = (
    Crash | CrashLoop | Kill | KillAtStatement | TornCommit | PowerCut | FlippedBytes | RuinedStore
    | OldCopy | Pause | ClockJump | Repeat | Late | Reorder | Mute | Outage | FeedBreak | Garbage | Flood
    | SqlError | FullDisk | SlowDisk | ReaderStalls | ReaderLeaves
)  # fmt: skip
"""Any of them; `kind` tells which in JSON."""
