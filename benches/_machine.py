"""What every benchmark prints beside its numbers: the machine, the build and the command."""

from __future__ import annotations

import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from deltastream import _core

__all__ = ["machine", "percentiles", "table"]


def machine() -> str:
    """Everything a reader needs to repeat a measurement, a line each.

    Raises:
        SystemExit: the core is a debug build, whose numbers mean nothing.
    """
    if _core.build_profile != "release":
        raise SystemExit(f"The Rust core is a {_core.build_profile} build: run `make setup` and try again.")
    cpu = _fields("/proc/cpuinfo").get("model name", platform.machine())
    memory_kib = int(_fields("/proc/meminfo")["MemTotal"].split()[0])
    facts = {
        "cpu": f"{cpu}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        "memory": f"{memory_kib / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "core": f"deltastream {_core.__version__}, {_core.build_profile} build",
        "command": shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]]),
    }
    return "\n".join(f"{name + ':':9}{value}" for name, value in facts.items())


def percentiles(samples: Iterable[float], points: Sequence[float] = (50, 90, 99, 100)) -> dict[float, float]:
    """Value of each percentile by nearest rank; 100 is the greatest. NaN where there are no samples.

    Args:
        samples: in any unit; the values keep it.
        points: per cent, in (0, 100].
    """
    ordered = sorted(samples)
    if not ordered:
        return dict.fromkeys(points, math.nan)
    return {point: ordered[math.ceil(point / 100 * len(ordered)) - 1] for point in points}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their head as aligned text, the first column to the left; floats with three decimals."""
    cells = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _fields(path: str) -> dict[str, str]:
    """First value of each ``name : value`` line of a file in /proc."""
    found: dict[str, str] = {}
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found
