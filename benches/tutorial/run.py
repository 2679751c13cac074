"""The tutorial's design on this machine: Celery over Redis, a task per chain of 21 strikes.

    python benches/tutorial/run.py [--json] [--seconds 20]

Prints the rate that two cores carry (publisher, Redis and two worker processes together) and the
latency from publishing to the stored result, one chain at a time. Redis runs privately, in memory
alone, and is stopped at the end. Celery lives in a virtual environment of its own,
benches/.venv-tutorial, made when first needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from _environment import environment  # noqa: E402  # beside this directory
from _machine import machine, percentiles, table  # noqa: E402  # the same

LOCK = HERE / "requirements.lock"
CORES = 2
UNLOADED_S = 10.0
START_S = 20.0


@contextmanager
def started(command: list[str | Path], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is terminated at the end, killed where it does not heed that."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit("redis-server did not start")


def measure(seconds: float) -> dict[str, Any]:
    """Run the design for `seconds` under load, then unloaded.

    Returns:
        chains_per_s and latency_ms, percentiles of `samples` chains; or `skipped`, a sentence.
    """
    server = shutil.which("redis-server")
    if server is None:
        return {"skipped": "redis-server is not installed: install the package redis-server."}
    python = environment("tutorial", LOCK)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    port = free_port()
    variables = os.environ | {"TUTORIAL_REDIS": f"redis://127.0.0.1:{port}/0"}
    with tempfile.TemporaryDirectory(prefix="deltastream-tutorial-") as name:
        directory = Path(name)
        redis: list[str | Path] = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        redis += ["--save", "", "--appendonly", "no"]
        worker: list[str | Path] = [python, "-m", "celery", "--app", "tasks", "--quiet", "worker"]
        worker += ["--concurrency", str(CORES), "--loglevel", "ERROR"]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with (
            started(redis, directory / "redis.log") as server_process,
            started(worker, directory / "worker.log", cwd=HERE, env=variables),
        ):
            wait_for_port(port, server_process)
            load = subprocess.run(
                [python, HERE / "load.py", str(seconds), str(UNLOADED_S)],
                env=variables,
                stdout=subprocess.PIPE,
                text=True,
            )
            if load.returncode:
                raise SystemExit((directory / "worker.log").read_text() or "the publisher failed")
    found = json.loads(load.stdout)
    return {
        "strikes": 21,
        "cores": CORES,
        "chains_per_s": found["chains_per_s"],
        "samples": len(found["latencies_ms"]),
        "latency_ms": {f"p{point:g}": value for point, value in percentiles(found["latencies_ms"]).items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the tutorial's design: Celery over Redis")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to hold the load")
    options = parser.parse_args()
    if not options.json:
        print(machine(), flush=True)
    result = measure(options.seconds)
    if options.json:
        print(json.dumps(result))
    elif "skipped" in result:
        print(f"Skipped: {result['skipped']}")
    else:
        print(f"sustained: {result['chains_per_s']:.0f} chains/s of {result['strikes']} strikes")
        latency = result["latency_ms"]
        print(table(["publish to stored result, ms", *latency], [["unloaded", *latency.values()]]))


if __name__ == "__main__":
    main()
