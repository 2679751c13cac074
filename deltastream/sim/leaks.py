"""After the stop nothing is left: no task, no thread, no open file, no member, no byte on its way."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from deltastream.sim.history import Complain

__all__ = ["Leaks", "open_files"]

_DESCRIPTORS: Final = Path("/proc/self/fd")
_THREADS: Final = Path("/proc/self/task")


def open_files(directory: Path) -> list[str]:
    """Files below a directory that this process has open, by name; none where the system does not tell."""
    found = []
    prefix = f"{directory}{os.sep}"
    with suppress(FileNotFoundError):
        for descriptor in os.listdir(_DESCRIPTORS):  # seam: sorted at the end
            with suppress(FileNotFoundError):
                target = os.readlink(_DESCRIPTORS / descriptor)
                if target.startswith(prefix):
                    found.append(target.removeprefix(prefix))
    return sorted(found)


def _threads() -> int:
    """Threads of this process; 0 where the system does not tell."""
    return len(os.listdir(_THREADS)) if _THREADS.is_dir() else 0


class Leaks:
    """Compares what is there after the stop with what was there before the first start.

    Args:
        tasks: living tasks before.
        directory: where the hosts' files are.
        complain: told of whatever is left.
    """

    def __init__(self, tasks: int, directory: Path, complain: Complain) -> None:
        self._tasks = tasks
        self._threads = _threads()
        self._directory = directory
        self._complain = complain

    def check(self, tasks: int, held: dict[str, int]) -> None:
        """Everything has stopped.

        Args:
            tasks: living tasks now.
            held: what the last host's parts still count, by name; each must be 0.
        """
        if tasks != self._tasks:
            self._complain("leak_task", f"{tasks} tasks live, {self._tasks} before the first start")
        if _threads() > self._threads:
            self._complain("leak_thread", f"{_threads()} threads, {self._threads} before")
        left = open_files(self._directory)
        if left:
            self._complain("leak_file", f"{len(left)} files are open: {', '.join(left[:5])}")
        for name, count in held.items():
            if count:
                self._complain("leak_held", f"{name}: {count}")
