"""The gateway under load: the latest chain, `/health`, the tutorial's design, logins, memory.

One `deltastream run`, with its feed and its whole pipeline on default rates, bound to one core, and
the load generator to another. Access log lines are written, to a file.

    python benches/gateway.py                        everything
    python benches/gateway.py --parts chain,tutorial

chain     the latest chain of 21 strikes (42 quotes, rows) with a token, with an API key, and asked for
          again by its ETag; `/health`; a price
tutorial  the same chain through the tutorial's design: a Flask gateway asking a Flask storage service
          over HTTP, both by `app.run`, on the same one core together
storm     publish → enriched while 50 clients log in as fast as they are let, against the same host in
          peace: pairs in alternating order
memory    resident memory and lateness of the event loop of a host on defaults, while it answers
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _environment import environment
from _http import Load, asked, free_port, load, wait_until_ready
from _machine import machine, table

HERE = Path(__file__).resolve().parent
TUTORIAL = HERE / "tutorial"
SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = 32
CHAIN = "/api/data/chain/NIFTY"
ANALYTICS = tuple(f"/api/analytics/{name}/NIFTY" for name in ("greeks", "oi", "volatility-surface", "pcr"))
PARTS = ("chain", "tutorial", "storm", "memory")
ASKED_CHAIN_PER_S, ASKED_P99_MS, ASKED_HEALTH_PER_S, ASKED_RATIO = 1200.0, 60.0, 1500.0, 3.0
ASKED_MIB, ASKED_HOLD_MS = 200.0, 5.0
ANYTHING = "10000000"
"""Requests a minute: as many as come, so that the limiter counts and never refuses."""

TUTORIAL_FIELDS = (
    *("product", "expiry", "spot_price", "pcr_oi", "pcr_volume", "atm_strike", "atm_straddle_price"),
    *("max_pain_strike", "total_call_oi", "total_put_oi", "call_buildup_otm", "put_buildup_otm"),
    *("timestamp", "processed_at"),
)
TUTORIAL_QUOTE = (
    *("symbol", "product", "strike", "expiry", "option_type", "bid", "ask", "last", "volume"),
    *("open_interest", "delta", "gamma", "vega", "theta", "iv", "timestamp"),
)


class Server:
    """A running `deltastream run`.

    Attributes:
        port: of its API.
        token: of a user who may read the market.
        key: an API key of that user.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, data_dir: Path) -> None:
        self.process = process
        self.port = port
        self._data_dir = data_dir
        status, user = asked(
            port,
            "POST",
            "/api/auth/register",
            {"email": "bench@example.org", "password": "correct horse battery", "name": "Bench"},
        )
        if status != 201:
            raise SystemExit(f"nobody can register: {status} {user}")
        self.token = str(user["token"])
        status, key = asked(
            port,
            "POST",
            "/api/user/keys",
            {"name": "bench", "scopes": ["read:market"]},
            self.bearer,
        )
        if status != 201:
            raise SystemExit(f"no key can be made: {status} {key}")
        self.key = str(key["token"])

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str) -> Any:
        status, body = asked(self.port, "GET", path, headers=self.bearer)
        if status != 200:
            raise SystemExit(f"{path}: {status} {body}")
        return body

    def loop_lag(self) -> dict[str, float]:
        """How late its event loop was lately, in seconds."""
        command = [sys.executable, "-m", "deltastream", "status", "--json", "--data-dir", str(self._data_dir)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found: dict[str, float] = json.loads(done.stdout)["loop_lag"]
        return found

    def newest(self, pattern: str, count: int) -> list[dict[str, Any]]:
        """The last messages of topics, with their topic, as its bus has them."""
        command = [sys.executable, "-m", "deltastream", "bus", "tail", pattern, "-n", str(count), "--json"]
        done = subprocess.run(
            [*command, "--data-dir", str(self._data_dir)], stdout=subprocess.PIPE, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def running(settings: Mapping[str, str], *, core: int | None) -> Iterator[Server]:
    """`deltastream run` in a directory of its own, ready to answer, with its log in a file."""
    port = free_port()
    variables = os.environ | {
        "DELTASTREAM_GATEWAY__PORT": str(port),
        "DELTASTREAM_SOCKETS__PORT": "0",
        **{f"DELTASTREAM_{name}": value for name, value in settings.items()},
    }
    with tempfile.TemporaryDirectory(prefix="deltastream-bench-") as name:
        directory = Path(name)
        command = [sys.executable, "-m", "deltastream", "run", "--data-dir", str(directory / "data")]
        with (
            (directory / "log").open("wb") as output,
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables) as process,
        ):
            try:
                if core is not None:
                    os.sched_setaffinity(process.pid, {core})
                wait_until_ready(port, "/ready", process)
                server = Server(process, port, directory / "data")
                for path in (CHAIN, *ANALYTICS):
                    wait_for(server, path)
                yield server
            finally:
                process.send_signal(signal.SIGINT)


def wait_for(server: Server, path: str, patience_s: float = 30.0) -> None:
    """Wait until there is something to answer."""
    deadline = time.monotonic() + patience_s
    while asked(server.port, "GET", path, headers=server.bearer)[0] != 200:
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} has nothing to answer")
        time.sleep(0.1)


UNLIMITED = {
    "GATEWAY__LIMITS__REQUESTS_PER_MINUTE": ANYTHING,
    "GATEWAY__LIMITS__BURST": ANYTHING,
    "GATEWAY__LIMITS__STRANGERS_PER_MINUTE": ANYTHING,
    "GATEWAY__LIMITS__STRANGERS_BURST": ANYTHING,
}


def measure_chain(seconds: float, chains: Path) -> list[tuple[str, Load, str]]:
    """Loads of our gateway; the chain that was asked for is left in a file, in the tutorial's fields."""
    with running({**UNLIMITED, "SYNTHETIC__STRIKES": "21"}, core=SERVER_CORE) as server:
        answer = server.get(CHAIN)
        quotes = sum(len(answer["chains"][0][side]) for side in ("calls", "puts"))
        if quotes != 42:
            raise SystemExit(f"the chain has {quotes} quotes, not 42")
        chains.write_text(json.dumps([in_tutorial_fields(chain) for chain in answer["chains"]]))

        def under_load(path: str, headers: Mapping[str, str]) -> Load:
            return load(
                server.port,
                path,
                headers,
                connections=CONNECTIONS,
                seconds=seconds,
                core=CLIENT_CORE,
                servers=[server.process.pid],
            )

        asked_for = f"≥ {ASKED_CHAIN_PER_S:,.0f}/s, p99 ≤ {ASKED_P99_MS:g} ms"
        return [
            ("latest chain, access token", under_load(CHAIN, server.bearer), asked_for),
            ("latest chain, API key", under_load(CHAIN, {"X-API-Key": server.key}), asked_for),
            ("latest chain, columns", under_load(f"{CHAIN}?layout=columns", server.bearer), ""),
            ("/health", under_load("/health", {}), f"≥ {ASKED_HEALTH_PER_S:,.0f}/s"),
            ("put-call ratios", under_load("/api/analytics/pcr/NIFTY?limit=1", server.bearer), ""),
            ("Greeks and exposure", under_load("/api/analytics/greeks/NIFTY", server.bearer), ""),
        ]


def in_tutorial_fields(chain: Mapping[str, Any]) -> dict[str, Any]:
    """The chain as the tutorial stores it."""
    kept = {name: chain[name] for name in TUTORIAL_FIELDS}
    for side in ("calls", "puts"):
        kept[side] = [{name: quote[name] for name in TUTORIAL_QUOTE} for quote in chain[side]]
    return kept


def measure_tutorial(seconds: float, chains: Path) -> Load:
    """The load that the tutorial's two services bear, both on the core that ours had."""
    python = environment("tutorial", TUTORIAL / "requirements.lock")
    storage_port, port = free_port(), free_port()
    with (
        service([python, TUTORIAL / "storage_service.py", storage_port, chains], storage_port) as storage,
        service([python, TUTORIAL / "gateway_service.py", port, storage_port], port) as gateway,
    ):
        return load(
            port,
            CHAIN,
            {},
            connections=CONNECTIONS,
            seconds=seconds,
            core=CLIENT_CORE,
            servers=[storage, gateway],
        )


@contextmanager
def service(command: Sequence[object], port: int) -> Iterator[int]:
    """A process that answers `/health`; its id."""
    words = [str(word) for word in command]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            wait_until_ready(port, "/health", process)
            yield process.pid
        finally:
            process.terminate()


def measure_storm(pairs: int, seconds: float) -> list[dict[str, float]]:
    """What `_storm.py` found, a pair of quiet and stormy p99 each."""
    command = [sys.executable, str(HERE / "_storm.py"), str(pairs), f"{seconds:g}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def measure_memory(seconds: float) -> tuple[list[tuple[str, ...]], float, float]:
    """Resident memory over time, its most, and the longest hold of the event loop in milliseconds.

    Nobody asks during the first half, so that what the gateway adds can be told from the rest.
    """
    rows: list[tuple[str, ...]] = []
    most = held = 0.0
    with running({}, core=None) as server:
        for part in range(1, 7):
            asks = part > 3
            until = time.monotonic() + seconds / 6
            while time.monotonic() < until:
                for path in (CHAIN, *ANALYTICS) if asks else ():
                    server.get(path)
                time.sleep(0.2)
            lag = server.loop_lag()
            most, held = max(most, server.resident_mib()), 1e3 * (lag["maximum"] or 0.0)
            rows.append(
                (
                    f"after {seconds * part / 6:.0f} s, {'somebody asks' if asks else 'nobody asks'}",
                    f"{server.resident_mib():.0f} MiB",
                    f"{1e3 * (lag['p99'] or 0.0):.2f} ms",
                    f"{held:.2f} ms",
                )
            )
    return rows, most, held


def load_row(name: str, found: Load, asked_for: str) -> tuple[object, ...]:
    return (
        name,
        f"{found.requests_per_s:,.0f}",
        f"{found.p50_ms:.1f}",
        f"{found.p99_ms:.1f}",
        f"{found.cpu_us:.0f}",
        found.failed,
        found.tool,
        asked_for,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="which, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load lasts")
    parser.add_argument("--pairs", type=int, default=10, help="of the login storm")
    parser.add_argument("--storm-seconds", type=float, default=30.0, help="each half of a pair")
    parser.add_argument("--memory-seconds", type=float, default=360.0, help="how long memory is watched")
    options = parser.parse_args()
    parts = options.parts.split(",")
    print(machine(), flush=True)
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load")
    with tempfile.TemporaryDirectory() as directory:
        chains = Path(directory) / "chains.json"
        if "chain" in parts or "tutorial" in parts:
            print_loads(options.seconds, chains, tutorial="tutorial" in parts)
    if "storm" in parts:
        print_storm(measure_storm(options.pairs, options.storm_seconds))
    if "memory" in parts:
        rows, most, held = measure_memory(options.memory_seconds)
        print(table(("a host on defaults", "resident", "loop lag p99", "most"), rows))
        print(f"most resident {most:.0f} MiB (asked: ≤ {ASKED_MIB:g})")
        print(f"longest hold lately {held:.2f} ms (asked: ≤ {ASKED_HOLD_MS:g})", flush=True)


def print_loads(seconds: float, chains: Path, *, tutorial: bool) -> None:
    ours = measure_chain(seconds, chains)
    rows = [load_row(*each) for each in ours]
    if tutorial:
        peer = measure_tutorial(seconds, chains)
        rows.append(load_row("the tutorial's design, no authentication", peer, ""))
    head = (
        "on one core, 32 connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs",
        "failed",
        "with",
        "asked",
    )
    print(table(head, rows))
    if tutorial:
        ratio = ours[0][1].requests_per_s / peer.requests_per_s
        print(f"latest chain against the tutorial's design: {ratio:.1f} × (asked: ≥ {ASKED_RATIO:g} ×)")
        print(f"processor time per request: {peer.cpu_us / ours[0][1].cpu_us:.1f} × less")
    sys.stdout.flush()


def print_storm(found: Sequence[Mapping[str, float]]) -> None:
    ratios = [pair["storm_p99_ms"] / pair["quiet_p99_ms"] for pair in found]
    rows = [
        (
            f"pair {number}",
            pair["quiet_p50_ms"],
            pair["quiet_p99_ms"],
            pair["storm_p50_ms"],
            pair["storm_p99_ms"],
            f"{pair['logins_per_s']:.1f}",
            f"{ratio:.2f}",
        )
        for number, (pair, ratio) in enumerate(zip(found, ratios, strict=True), 1)
    ]
    head = ("publish → enriched, ms", "quiet p50", "p99", "storm p50", "p99", "logins/s", "p99 ratio")
    print(table(head, rows))
    print(f"median ratio of p99 {statistics.median(ratios):.2f} (asked: ≤ 1.3)", flush=True)


if __name__ == "__main__":
    main()
