"""Deliveries on their way from "in flight" to "done", through one commit."""

from __future__ import annotations

from collections.abc import Sequence

from deltastream.bus._groups import Group, Retry, Share
from deltastream.bus._journal import Batch
from deltastream.messages import Position

__all__ = ["Settlement"]


class Settlement:
    """Moves a group's position past some deliveries; gives them back where the commit fails.

    Args:
        group: whose deliveries.
        deliveries: topic and position; what is not in flight when the commit begins is left alone.
        keep: leave the rows of retried messages in the table of failures.
    """

    def __init__(
        self, group: Group, deliveries: Sequence[tuple[str, Position]], *, keep: bool = False
    ) -> None:
        self._group = group
        self._deliveries = deliveries
        self._keep = keep
        self._taken: dict[Share, tuple[list[int], list[Retry]]] = {}
        self._through: dict[Share, int] = {}

    def join(self, batch: Batch) -> None:
        """Take them out of flight; add the positions that follow from that to the batch."""
        for topic, position in self._deliveries:
            share = self._group.shares.get(topic)
            if share is None or not share.holds(position):
                continue
            if share not in self._taken:
                self._taken[share] = ([], [])
                share.settling += 1
            seqs, retries = self._taken[share]
            retry = share.retrying.pop(position, None)
            if retry is None:
                share.in_flight.remove(position.seq)
                seqs.append(position.seq)
            else:
                retries.append(retry)
                if not self._keep:
                    batch.settled.append(retry.id)
        for share, (seqs, _) in self._taken.items():
            if seqs:
                self._through[share] = share.through()
                batch.progress[self._group.name, share.topic.number] = self._through[share]

    def done(self, _: object = None) -> None:
        """The commit succeeded."""
        for share, through in self._through.items():
            share.acked = max(share.acked, through)
            if share.aside:
                share.aside = {seq for seq in share.aside if seq > share.acked}
        self._release()

    def undo(self) -> None:
        """The commit was given up: hand them out again."""
        for share, (seqs, retries) in self._taken.items():
            share.give_back(seqs, retries)
        self._release()

    def _release(self) -> None:
        for share in self._taken:
            share.settling -= 1
            self._group.settle(share)
