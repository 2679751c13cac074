"""From the command to the first enriched chain in the store, and the memory of a host on defaults.

The gateways are part of it, on ports of their own choice.

python benches/startup.py                 ten starts; memory after one minute
python benches/startup.py --minutes 10    memory after ten
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from _machine import machine, percentiles, table


@contextmanager
def running(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`deltastream run` on defaults in a directory of its own."""
    command = [sys.executable, "-m", "deltastream", "run", "--data-dir", str(directory)]
    environment = {**os.environ, "DELTASTREAM_GATEWAY__PORT": "0", "DELTASTREAM_SOCKETS__PORT": "0"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def chains_stored(directory: Path) -> int:
    """How many chains another process finds in the store; 0 while there is no store."""
    try:
        with closing(sqlite3.connect(f"file:{directory}/store.db?mode=ro", uri=True)) as store:
            return int(store.execute("SELECT count(*) FROM chains").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def first_chain_s() -> float:
    """Seconds from starting the process until a chain can be read."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        with running(Path(directory) / "data"):
            while not chains_stored(Path(directory) / "data"):
                if time.perf_counter() - began > 30:
                    raise SystemExit("no chain within 30 s")
                time.sleep(0.005)
            return time.perf_counter() - began


def resident_mib(minutes: float) -> list[tuple[str, str]]:
    """Resident memory of a host, every fifth of the time."""
    rows = []
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "data") as process:
        for part in range(1, 6):
            time.sleep(minutes * 60 / 5)
            status = Path(f"/proc/{process.pid}/status").read_text()
            kib = int(status.split("VmRSS:")[1].split()[0])
            rows.append((f"after {minutes * part / 5:g} min", f"{kib / 1024:.0f} MiB"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long memory is watched")
    options = parser.parse_args()
    print(machine())
    starts = percentiles([first_chain_s() for _ in range(10)], (50, 100))
    print(table(("first enriched chain stored", "s"), [("median", starts[50]), ("most", starts[100])]))
    print(table(("resident memory on defaults", ""), resident_mib(options.minutes)))


if __name__ == "__main__":
    main()
