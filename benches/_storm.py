"""A host on default rates, and what logins do to its latency; `benches/gateway.py` runs it.

    python benches/_storm.py PAIRS SECONDS           prints a JSON list, one object per pair
    python benches/_storm.py clients PORT SECONDS    50 clients that log in again and again

The host is that of `pipeline.py`: each chain is stamped before `append`, and its stamp read when the
enriched chain has been committed.
"""

from __future__ import annotations

import gc
import http.client
import json
import logging
import sys
import tempfile
import threading
import time
from typing import Final

import structlog
import trio
from _http import HOST, asked, free_port
from _machine import percentiles
from pipeline import MeasuredHost, follow_enriched

from deltastream.host.config import Flag, load
from deltastream.seams import Seams

CLIENTS: Final = 50
SETTLE_S: Final = 3.0
PASSWORD: Final = "correct horse battery"


def email(number: int) -> str:
    return f"user{number}@example.org"


async def pairs(count: int, seconds: float) -> list[dict[str, float]]:
    """Latencies without and with the storm, as often as asked, in alternating order."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="deltastream-bench-") as directory:
        host = make_host(directory, port)
        found = []
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            await nursery.start(follow_enriched, host)
            gc.freeze()  # as `deltastream run` does
            await trio.to_thread.run_sync(register, port)
            for number in range(count):
                pair: dict[str, float] = {}
                for stormy in (False, True) if number % 2 == 0 else (True, False):
                    pair |= await window(host, port, seconds, stormy=stormy)
                found.append(pair)
            host.request_stop("measured")
            nursery.cancel_scope.cancel("measured")
    return found


def make_host(directory: str, port: int) -> MeasuredHost:
    values = {
        "data_dir": directory,
        "log.level": "error",
        "gateway.port": port,
        "sockets.port": 0,
        "gateway.limits.strangers_per_minute": 1_000_000,
        "gateway.limits.strangers_burst": 1_000_000,
        "gateway.limits.answer_s": 120.0,  # fifty wait in one line, on however slow a machine
    }
    flags = tuple(Flag("--bench", path, value, lax=False) for path, value in values.items())
    return MeasuredHost(load(flags=flags, environ={}).settings, Seams.system())


async def window(host: MeasuredHost, port: int, seconds: float, *, stormy: bool) -> dict[str, float]:
    """Percentiles of the chains of one span of time, in milliseconds."""
    await trio.sleep(SETTLE_S)
    logins: list[float] = []
    async with trio.open_nursery() as nursery:
        if stormy:
            nursery.start_soon(storm, port, SETTLE_S + seconds, logins)
            await trio.sleep(SETTLE_S)
        host.measured.since = host.seams.clock.now_ns()
        host.measured.enriched = []
        await trio.sleep(seconds)
        latencies = host.measured.enriched
    name = "storm" if stormy else "quiet"
    points = percentiles(latencies, (50, 99))
    found = {f"{name}_p50_ms": 1e3 * points[50], f"{name}_p99_ms": 1e3 * points[99]}
    return found | ({"logins_per_s": logins[0]} if stormy else {})


async def storm(port: int, seconds: float, logins: list[float]) -> None:
    """Let the clients log in, in a process of their own; appends how many did per second."""
    command = [sys.executable, __file__, "clients", str(port), f"{seconds:g}"]
    done = await trio.run_process(command, capture_stdout=True)
    logins.append(float(done.stdout))


def register(port: int) -> None:
    for number in range(CLIENTS):
        body = {"email": email(number), "password": PASSWORD, "name": f"User {number}"}
        status, answer = asked(port, "POST", "/api/auth/register", body)
        if status != 201:
            raise SystemExit(f"nobody can register: {status} {answer}")


def clients(port: int, seconds: float) -> float:
    """Log in from every client, again as soon as each is answered; how many did per second.

    Raises:
        SystemExit: one was refused.
    """
    until = time.monotonic() + seconds
    statuses: list[int] = []

    def run(number: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=120)
        body = json.dumps({"email": email(number), "password": PASSWORD})
        while time.monotonic() < until:
            connection.request("POST", "/api/auth/login", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if set(statuses) != {200}:
        raise SystemExit(f"logins were answered {sorted(set(statuses))}")
    return len(statuses) / seconds


def main() -> None:
    if sys.argv[1] == "clients":
        print(clients(int(sys.argv[2]), float(sys.argv[3])))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(trio.run(pairs, int(sys.argv[1]), float(sys.argv[2]))))


if __name__ == "__main__":
    main()
