"""The socket gateway under crowds: delivery, memory, saturation beside its peers, stalls, the whole path.

The server has one core and the clients, in a process of their own (`_crowd.py`), another. Every client
checks that it is given every message once and in order; a message is an update of 500 bytes, a surface
of one expiry, and each differs from the one before.

    python benches/fanout.py                        everything
    python benches/fanout.py --parts rate,saturation

rate        1,000 clients, 20 messages/s
many        10,000 clients, 10 messages/s, and what an idle one costs; fewer where open files do not suffice
saturation  as many messages as the server can bear, with 1, 8 and 64 of them on their way at a time:
            ours handed to the hub, ours through the bus, ours at `/ws` of the API, a server that only
            writes, trio-websocket, Quart, and gorilla/websocket in Go
stalled     1,000 clients without and with ten more that read nothing, in pairs of alternating order
path        feed event → client: `deltastream run` on default rates, one client in every room
written     a chain as JSON, beside msgspec with lists of the same numbers
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
from _environment import environment
from _fanned import ROOM, surface
from _http import free_port
from _machine import machine, percentiles, table
from _measure import samples
from _options import chain
from gateway import running

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.messages import ENRICHED_COLUMNS, EnrichedChain, OptionChain
from deltastream.pricing import black76
from deltastream.sockets.events import SurfaceUpdate, encode
from deltastream.sockets.updates import Body, chain_data, summary_data, surface_data

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / "peers"
SERVER_CORE, CROWD_CORE = 0, 1
PARTS = ("rate", "many", "saturation", "stalled", "path", "written")
WINDOWS = (1, 8, 64)
CENTRIFUGO = "Centrifugo"
SPARE_FILES = 300
NEWEST = 1000  # messages read back of each kind, two minutes of ticks; what came before is not counted
ASKED_P99_MS, ASKED_MANY_P99_MS, ASKED_BYTES, ASKED_STALLED = 50.0, 200.0, 15_000, 1.2
ASKED_QUART, ASKED_TRIO = 5.0, 3.0
ASKED_PATH_P50_MS, ASKED_PATH_P99_MS = 2.0, 6.0

Found = dict[str, float]


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        headers, hello: what each client says to it.
    """

    process: int
    port: int
    control: int
    path: str = "/ws"
    headers: list[str] = field(default_factory=list)
    hello: list[str] = field(default_factory=list)


@contextmanager
def serving(command: Sequence[object]) -> Iterator[Server]:
    """A server of ours or a peer's, bound to its core.

    Raises:
        SystemExit: it does not start; its log is printed.
    """
    words = [str(word) for word in command]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{words[:2]} does not start")
            said = json.loads(line)
            headers, hello = [], said.get("hello", [])
            if token := said.get("token"):
                headers = [f"Authorization: Bearer {token}", "Sec-WebSocket-Protocol: deltastream.v1"]
                hello = [json.dumps({"op": "subscribe", "rooms": [ROOM]})]
            measured = said.get("process", process.pid)
            yield Server(measured, said["port"], said["control"], said.get("path", "/ws"), headers, hello)
        except SystemExit as error:
            log.seek(0)
            raise SystemExit(f"{error}\n{log.read().decode(errors='replace')}") from None
        finally:
            process.send_signal(signal.SIGINT)


def ours(through: str = "hub", at: str = "port") -> list[object]:
    return [sys.executable, HERE / "_fanned.py", through, at]


def crowd(server: Server, clients: int, phases: Sequence[Mapping[str, float]], **more: Any) -> list[Found]:
    """What came of the phases, after what it took to connect."""
    configuration = {
        "port": server.port,
        "control": server.control,
        "clients": clients,
        "servers": [server.process],
        "path": server.path,
        "headers": server.headers,
        "hello": server.hello,
        "phases": phases,
        **more,
    }
    command = [sys.executable, str(HERE / "_crowd.py"), json.dumps(configuration)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {CROWD_CORE})
        text, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the crowd failed")
    found: list[Found] = json.loads(text)
    return found


def template() -> str:
    """The text of our message, for the peers to put numbers and times in."""
    seq, now = 7_777_777, 1_795_000_000_000_000
    data = msgspec.Raw(msgspec.json.encode(surface_data(surface(seq, 1000 * now))))
    text = encode(SurfaceUpdate(room=ROOM, first=seq, seq=seq, ts=now, data=data), "json").decode()
    return text.replace(str(seq), "%(seq)d").replace(str(now), "%(ts)d")


def measure_rate(seconds: float) -> list[tuple[object, ...]]:
    rows = []
    for through in ("hub", "bus"):
        with serving(ours(through)) as server:
            found = crowd(server, 1000, [{"rate": 20, "seconds": seconds}])[1]
        rows.append(delivery_row(f"1,000 clients, 20/s, through the {through}", found, ASKED_P99_MS))
    return rows


def measure_many(clients: int, seconds: float) -> tuple[tuple[object, ...], Found, int]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    clients = min(clients, most - SPARE_FILES)
    with serving(ours()) as server:
        connected, found = crowd(server, clients, [{"rate": 10, "seconds": seconds}], idle_s=5.0)
    return delivery_row(f"{clients:,} clients, 10/s", found, ASKED_MANY_P99_MS), connected, most


def contenders() -> list[tuple[str, list[object]]]:
    python, text = environment("peers-sockets", PEERS / "sockets.lock"), template()
    peers = [
        ("ours", ours()),
        ("ours, through the bus", ours("bus")),
        ("ours, at /ws of the API", ours("hub", "api")),
        ("nothing but writes", [sys.executable, HERE / "_floor.py", text]),
        ("trio-websocket", [python, PEERS / "sockets_trio.py", text]),
        ("Quart's websocket", [python, PEERS / "sockets_quart.py", text]),
    ]
    if program := compiled("gorilla"):
        peers.append(("gorilla/websocket, Go", [program, text]))
    if program := compiled("centrifugo", "github.com/centrifugal/centrifugo/v5"):
        peers.append((CENTRIFUGO, [sys.executable, HERE / "_centrifugo.py", program, text]))
    return peers


def compiled(name: str, package: str = ".") -> Path | None:
    """A peer in Go, by the versions and sums that lie beside it; None where it cannot be had."""
    program = ROOT / "target" / name
    build = ["go", "build", "-o", str(program), package]
    try:
        subprocess.run(build, cwd=PEERS / name, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Not measured: {name}: {error}", file=sys.stderr)
        return None
    return program


def measure_saturation(clients: int, seconds: float) -> dict[str, list[Found]]:
    phases = [{"window": window, "seconds": seconds} for window in WINDOWS]
    found = {}
    for name, command in contenders():
        with serving(command) as server:
            found[name] = crowd(server, clients, phases)[1:]
        print(f"measured: {name}", file=sys.stderr)
    return found


def measure_stalled(pairs: int, seconds: float) -> list[Found]:
    """p99 without and with stalled clients, and how many of those were blocked; a pair each."""
    found = []
    phases = [{"window": 64, "seconds": 2.0}, {"rate": 20, "seconds": seconds}]
    with serving(ours()) as server:
        for number in range(pairs):
            pair: Found = {}
            for stalled in (0, 10) if number % 2 == 0 else (10, 0):
                filled, measured = crowd(server, 1000 - stalled, phases, stalled=stalled)[1:]
                if filled["server_blocked"] != stalled or measured["missing"] or measured["faults"]:
                    raise SystemExit(f"{stalled} clients read nothing: {filled}, {measured}")
                pair |= {
                    f"{'stalled' if stalled else 'quiet'}_{p}_ms": measured[f"{p}_ms"] for p in ("p50", "p99")
                }
            found.append(pair)
    return found


def measure_path(seconds: float) -> dict[str, dict[str, list[float]]]:
    """Milliseconds on the way to a client, by kind of update.

    Returns:
        ``received``: since the feed had the event; ``happened``: since the instant that it tells of, at
        which the synthetic market begins to make it.
    """
    port = free_port()
    with running({"SOCKETS__PORT": str(port)}, core=SERVER_CORE) as host:
        command = [sys.executable, str(HERE / "_path.py"), str(port), host.token, f"{seconds:g}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            os.sched_setaffinity(process.pid, {CROWD_CORE})
            text, _ = process.communicate()
        if process.returncode:
            raise SystemExit("the client failed")
        received = {
            kind: {
                (one["message"]["product"], one["message"]["ts_event"] // 1000): one["message"]["ts_recv"]
                for one in host.newest(f"market.{kind}.*", NEWEST)
            }
            for kind in ("tick", "chain")
        }
    found: dict[str, dict[str, list[float]]] = {"received": {}, "happened": {}}
    for name, arrivals in json.loads(text).items():
        events = received["tick" if name == "underlying_update" else "chain"]
        known = [one for one in arrivals if (one[0], one[1]) in events]
        since = [(events[product, ts], ts * 1000, arrived) for product, ts, arrived in known]
        found["received"][name] = [(arrived - had) / 1e6 for had, _, arrived in since]
        found["happened"][name] = [(arrived - at) / 1e6 for _, at, arrived in since]
    return found


def enriched(strikes: int) -> EnrichedChain:
    """A chain of so many strikes, every quote two-sided."""
    columns, market, _ = chain(black76.price, strikes)
    now = int(time.time()) * 10**9
    return enrich(
        OptionChain(
            product="NIFTY",
            root="NIFTY",
            expiry="2026-11-24",
            expiry_ts=now + 14 * 86_400 * 10**9,
            ts_event=now,
            ts_recv=now,
            spot=market["spot"],
            currency="INR",
            multiplier=1.0,
            exercise="european",
            settlement="cash",
            oi_unit="contracts",
            volume_unit="contracts",
            oi_cadence="live",
            columns=columns,
        ),
        AnalyticsSettings(),
        ts_recv=now,
    )


def measure_written(strikes: int) -> tuple[float, float]:
    """Seconds that a whole chain takes to become JSON: ours, and msgspec's."""
    one = enriched(strikes)

    def ours() -> bytes:
        return bytes(Body(lambda: chain_data(one)).raw("json"))

    def lists() -> bytes:
        values = one.columns.tolist()
        plain = [[value if isfinite(value) else None for value in column] for column in values]
        columns = dict(zip(ENRICHED_COLUMNS, plain, strict=True))
        return msgspec.json.encode({**summary_data(one), "columns": columns})

    if msgspec.json.decode(ours()) != msgspec.json.decode(lists()):
        raise SystemExit("the same chain is told in two ways")
    return min(samples(ours)), min(samples(lists))


def print_written() -> None:
    rows = []
    for strikes in (41, 400):
        ours, lists = measure_written(strikes)
        rows.append(
            (f"{strikes} strikes", f"{ours * 1e6:.0f}", f"{lists * 1e6:.0f}", f"{lists / ours:.1f} ×")
        )
    print(table(("a chain as JSON, µs", "ours", "msgspec, from lists", "ratio"), rows), flush=True)


def delivery_row(name: str, found: Found, asked_ms: float) -> tuple[object, ...]:
    return (
        name,
        f"{found['messages_per_s']:,.0f}",
        f"{found['p50_ms']:.1f}",
        f"{found['p99_ms']:.1f}",
        f"{found['most_ms']:.1f}",
        f"{found['missing']:.0f} / {found['faults']:.0f} / {found['closed']:.0f}",
        f"{found['server']:.0%}",
        f"{found['own']:.0%}",
        f"p99 ≤ {asked_ms:g} ms",
    )


DELIVERY = (
    "delivery of 500 bytes, different each time",
    *("messages/s", "p50 ms", "p99 ms", "most ms", "missing / faults / closed", "server", "crowd", "asked"),
)


def print_many(clients: int, seconds: float) -> None:
    row, connected, most = measure_many(clients, seconds)
    print(table(DELIVERY, [row]))
    print(
        f"an idle client: {connected['bytes_per_client']:,.0f} bytes resident (asked: ≤ {ASKED_BYTES:,}), "
        f"{connected['kernel_bytes_per_client']:,.0f} of the kernel's buffers for both its ends; "
        f"one open file of at most {most:,}",
        flush=True,
    )


def print_saturation(clients: int, seconds: float) -> None:
    found = measure_saturation(clients, seconds)
    rows = [
        (
            f"{name}, {window} on the way",
            f"{one['messages_per_s']:,.0f}",
            f"{one['messages_per_s'] / one['server']:,.0f}",
            f"{one['per_read']:.1f}",
            f"{one['p99_ms']:.0f}",
            f"{one['missing']:.0f} / {one['faults']:.0f} / {one['closed']:.0f}",
            f"{one['server']:.0%}",
            f"{one['own']:.0%}",
        )
        for name, each in found.items()
        for window, one in zip(WINDOWS, each, strict=True)
    ]
    head = (
        f"{clients:,} clients, one core",
        *("messages/s", "per core·s", "per read", "p99 ms", "missing / faults / closed", "server", "crowd"),
    )
    print(table(head, rows))
    for peer, asked in (
        ("Quart's websocket", f"asked: ≥ {ASKED_QUART:g} ×"),
        ("trio-websocket", f"asked: ≥ {ASKED_TRIO:g} ×"),
        (CENTRIFUGO, "the aim: to pass it"),
    ):
        for us in ("ours", "ours, at /ws of the API") if peer in found else ():
            ratios = [best(found[us], by) / best(found[peer], by) for by in (rate, per_core)]
            print(
                f"{us} against {peer}, each at its best: {ratios[0]:.1f} × the messages/s, "
                f"{ratios[1]:.1f} × per core·s ({asked})"
            )
    sys.stdout.flush()


def rate(found: Found) -> float:
    return found["messages_per_s"]


def per_core(found: Found) -> float:
    return found["messages_per_s"] / found["server"]


def best(found: Sequence[Found], by: Callable[[Found], float]) -> float:
    return max(map(by, found))


def print_stalled(found: Sequence[Found]) -> None:
    ratios = [pair["stalled_p99_ms"] / pair["quiet_p99_ms"] for pair in found]
    rows = [
        (
            f"pair {number}",
            *(pair[f"{half}_{p}_ms"] for half in ("quiet", "stalled") for p in ("p50", "p99")),
            ratio,
        )
        for number, (pair, ratio) in enumerate(zip(found, ratios, strict=True), 1)
    ]
    print(table(("1 % stalled, ms", "without p50", "p99", "with p50", "p99", "p99 ratio"), rows))
    print(f"median ratio of p99 {statistics.median(ratios):.2f} (asked: ≤ {ASKED_STALLED:g})", flush=True)


def print_path(found: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    for since, kinds in found.items():
        rows = []
        for name, waits in kinds.items():
            points = percentiles(waits, (50, 99, 100))
            rows.append((name, len(waits), points[50], points[99], points[100]))
        print(table((f"feed event → client, ms since {since}", "updates", "p50", "p99", "most"), rows))
    print(f"asked: p50 ≤ {ASKED_PATH_P50_MS:g} ms, p99 ≤ {ASKED_PATH_P99_MS:g} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="which, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load is measured")
    parser.add_argument("--many", type=int, default=10_000, help="clients of that part")
    parser.add_argument("--pairs", type=int, default=10, help="of stalled clients")
    parser.add_argument(
        "--path-seconds", type=float, default=60.0, help="how long the whole path is measured"
    )
    options = parser.parse_args()
    parts = options.parts.split(",")
    print(machine(), flush=True)
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the clients")
    if "rate" in parts:
        print(table(DELIVERY, measure_rate(options.seconds)), flush=True)
    if "many" in parts:
        print_many(options.many, options.seconds)
    if "saturation" in parts:
        print_saturation(1000, options.seconds)
    if "stalled" in parts:
        print_stalled(measure_stalled(options.pairs, options.seconds))
    if "path" in parts:
        print_path(measure_path(options.path_seconds))
    if "written" in parts:
        print_written()


if __name__ == "__main__":
    main()
