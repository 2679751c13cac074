"""The invariants by name: what each of them promises, in a sentence. A violation names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["PROMISES"]

_DELIVERY: Final = {
    "lost_accepted": "a message that was accepted stands in the log, as it was accepted",
    "accepted_twice": "what is appended under one key stands in the log once",
    "accepted_garbage": "the feed refuses what no reader could read",
    "log_changed": "what stands in the log stays as it was",
    "log_lost": "what stands in the log stays there",
    "unobserved": "what stands in the log was given to who follows it",
    "dead_unknown": "a dead letter is of a message that was in the log",
    "dead_unearned": "only a message that cannot be processed becomes a dead letter",
}
_ORDER: Final = {
    "sequence_gap": "numbers are contiguous, or a gap says which are missing",
    "gap_unexplained": "a gap has a reason",
    "position_reissued": "a position is given to one message alone",
    "position_repeated": "a reader is given each position once",
    "epoch_undeclared": "a new epoch is told before the first message of it",
    "void_needlessly": "a new epoch declares nothing void that stands where it stood",
    "epoch_returned": "an epoch that has passed does not come back",
}
_DERIVATION: Final = {
    "derived_missing": "each market chain has a result, or is a dead letter",
    "derived_twice": "each market chain has one result",
    "derived_and_dead": "what has a result is no dead letter",
    "derived_out_of_order": "results come in the order of their sources",
    "derived_without_source": "a result names its source",
    "derived_wrong_source": "the source that a result names is a market chain in the log",
    "derived_wrong_input": "a result holds the columns of its source",
    "derived_wrong_result": "a result is what enriching its source anew gives",
    "surface_of_no_moment": "a surface is that of the latest chains at some moment, and none goes back",
    "surface_behind": "the last surface is that of the last chains",
}
_STORE: Final = {
    "store_missing": "every message has had its effect in the store",
    "store_extra": "the store holds nothing but the effects of messages in the log",
    "store_order": "series come in the order of (ts_event, seq)",
    "bars": "bars are what the ticks give, from scratch",
    "metrics": "series of metrics are what the chains give, from scratch",
    "latest": "the latest state, now and at an earlier instant, is the newest by (ts_event, seq)",
}
_SUPERVISION: Final = {
    "start_order": "children start in their order",
    "stop_order": "children are stopped in reverse order",
    "two_incarnations": "a child never runs twice at once",
    "intensity_exceeded": "a supervisor restarts no more often than its intensity allows",
    "backoff_missing": "a child that has failed is not started again at once",
    "backoff_regular": "children that fail together are not started again in step",
    "crash_unexplained": "a child crashes only where a fault accounts for it",
    "gave_up_early": "a supervisor gives up only beyond its intensity",
    "gave_up_unexplained": "a host gives up only where a fault accounts for it",
    "escalation": "where the root has given up, the host ends",
    "host_ended": "a host does not end without being asked",
}
_TIME: Final = {
    "stale_as_live": "silence in an open market is told as stale in time",
    "live_as_stale": "what was heard of again is told as open in time",
    "stale_unearned": "only silence is told as stale",
    "lag": "when nothing is wrong every group keeps up",
    "not_recovered": "after a fault all is well again in time",
    "not_settled": "when the feed has ended everything comes to an end",
    "stop_late": "a host stops within its time",
    "hung": "a simulation ends",
}
_BOUNDS: Final = {
    "queue_bound": "no queue holds more than it may",
    "leak_task": "after the stop no task is left",
    "leak_thread": "after the stop no thread is left",
    "leak_file": "after the stop no file of the host is open",
    "leak_held": "after the stop no part of the host holds anything",
}
_READERS: Final = {
    "reader_gap": "a reader is given every message, or a gap",
    "reader_behind": "a reader that reads is current, and sees the end",
    "reader_not_stale": "a reader knows what is stale",
    "reader_differs": "a reader's latest state is the store's",
}
_ACCOUNTS: Final = {
    "revoked_accepted": "a revoked credential is refused everywhere within a second",
    "expired_accepted": "a credential that has expired is refused",
    "refused_wrongly": "a credential is good until it expires or is revoked",
    "reuse_unnoticed": "a refresh token shown again after ten seconds ends its session",
    "successor_differs": "a refresh token leads to the newest of its session, whoever shows it",
    "link_used_twice": "a link lets in once",
    "email_taken_twice": "an email is registered once",
    "lockout_bypassed": "guesses come no faster than the lock-out lets them",
    "limit_exceeded": "nobody is granted more than burst + rate × time",
}
_SOCKETS: Final = {
    "socket_gap": "what a client is sent goes on from what it was sent before, or begins anew",
    "socket_repeated": "a client is sent each position once",
    "socket_content": "what a client is sent of a position is the message that the log has there",
    "socket_base": "a change is of a chain that its client has",
    "socket_state": "where a heartbeat says that a client stands, it has the newest of everything",
    "socket_ahead": "a heartbeat claims no more than was sent",
    "socket_spliced": "nothing of a new epoch is sent as if it went on from the one before",
    "socket_unasked": "a snapshot that nobody has asked for says why it comes, or only saves updates",
    "socket_stray": "nothing comes of a room that a client is not in",
    "socket_answer": "each command is answered once, in order, as the protocol says",
    "socket_refused": "who keeps the rules is let in, and not closed",
    "socket_outlives": "a connection ends within a second of its credential",
    "socket_behind": "a client that takes what comes is current, and knows what is stale",
    "socket_mute": "a connection that is open is not mute",
    "socket_bound": "what waits for a client that takes nothing is bounded",
    "socket_ghost": "a connection that nobody is at ends within four heartbeats",
    "socket_failed": "nothing that a client does makes its connection fail",
}
_PROCESS: Final = {
    "process_died": "a simulation does not end the process that runs it",
    "process_hung": "a simulation ends in real time",
}

PROMISES: Final[Mapping[str, str]] = {
    **_DELIVERY,
    **_ORDER,
    **_DERIVATION,
    **_STORE,
    **_SUPERVISION,
    **_TIME,
    **_BOUNDS,
    **_READERS,
    **_ACCOUNTS,
    **_SOCKETS,
    **_PROCESS,
}
