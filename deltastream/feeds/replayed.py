"""What a replay has given: files, messages and refusals in figures, and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from deltastream.feeds.protocol import Refusal

__all__ = ["FileRefusal", "Replayed", "Tally"]

_REASONS_TOLD: Final = 5


class FileRefusal(Refusal):
    """A file that cannot be used at all."""


@dataclass(slots=True)
class Tally:
    """What became of the files of one pass over them.

    Attributes:
        files: how many were found.
        refused: why some could not be used at all, one sentence each, beginning with the file's name.
        rows: how many rows of the others were refused, by reason.
    """

    files: int = 0
    refused: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    def count(self, refusal: Refusal) -> None:
        """Note what was refused."""
        if isinstance(refusal, FileRefusal):
            self.refused.append(f"{refusal.source}: {refusal.detail}")
        else:
            self.rows[refusal.reason] = self.rows.get(refusal.reason, 0) + refusal.count


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that has ended.

    Attributes:
        files_read, files_refused: of those that were found.
        accepted: messages the bus has taken.
        known: how many of them it already had; they appended nothing.
        rows_refused: by reason.
        first_refusal: why the first file was refused; empty where none was.
    """

    files_read: int
    files_refused: int
    accepted: int
    known: int
    rows_refused: dict[str, int]
    first_refusal: str = ""

    @classmethod
    def of(cls, tally: Tally, *, accepted: int, appended: int) -> Replayed:
        """Of the files, the messages accepted, and how many of those were new to the bus."""
        return cls(
            files_read=tally.files - len(tally.refused),
            files_refused=len(tally.refused),
            accepted=accepted,
            known=max(accepted - appended, 0),
            rows_refused=dict(tally.rows),
            first_refusal=tally.refused[0] if tally.refused else "",
        )

    @property
    def nothing(self) -> bool:
        """Whether something was refused and nothing accepted."""
        return self.accepted == 0 and bool(self.files_refused or self.rows_refused)

    def __str__(self) -> str:
        files = self.files_read + self.files_refused
        rows = sum(self.rows_refused.values())
        if self.nothing:
            told = ["Nothing was replayed"]
        else:
            known = f", {self.known:,} of them already known" if self.known else ""
            told = [
                f"Replayed {_counted(self.files_read, 'file')}: {self.accepted:,} messages accepted{known}"
            ]
        if self.files_refused:
            which = "" if self.files_refused == 1 else ", the first"
            told.append(
                f"{self.files_refused:,} of {_counted(files, 'file')} refused{which}: {self.first_refusal}"
            )
        if rows:
            ordered = sorted(self.rows_refused.items(), key=lambda item: (-item[1], item[0]))
            reasons = [f"{reason} {count:,}" for reason, count in ordered[:_REASONS_TOLD]]
            more = [] if len(ordered) <= _REASONS_TOLD else [f"{len(ordered) - _REASONS_TOLD} more reasons"]
            told.append(f"{_counted(rows, 'row')} refused ({', '.join(reasons + more)})")
        return "; ".join(told) + "."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
