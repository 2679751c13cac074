"""Load over HTTP/1.1: wrk where it is installed, else connections of our own in a process of its own.

    python benches/_http.py PORT PATH CONNECTIONS SECONDS [HEADER …]

prints one JSON object. Connections are kept alive, each asks again as soon as it is answered.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _machine import percentiles

__all__ = ["Load", "asked", "free_port", "load", "wait_until_ready"]

HOST = "127.0.0.1"
WARM_UP_S = 2.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """What a server has borne; latencies in milliseconds.

    Attributes:
        cpu_us: processor time of the server per request, without what it takes when nobody asks; what can
            be compared on a busy machine.
    """

    tool: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float = math.nan


def load(
    port: int,
    path: str,
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds: float,
    core: int,
    servers: Sequence[int],
) -> Load:
    """Ask for a path as fast as it is answered, after a warm-up, from a process bound to a core.

    Args:
        servers: ids of the processes that answer.
    """
    run = _wrk if shutil.which("wrk") else _own
    run(port, path, headers, connections, WARM_UP_S, core)
    idle = -processor_s(servers)
    time.sleep(WARM_UP_S)
    idle = (idle + processor_s(servers)) / WARM_UP_S
    spent = -processor_s(servers)
    found = run(port, path, headers, connections, seconds, core)
    spent += processor_s(servers) - idle * seconds
    return replace(found, cpu_us=1e6 * spent / (found.requests_per_s * seconds))


def processor_s(processes: Sequence[int]) -> float:
    """Processor time that the processes have had."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def asked(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of one request."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        content = None if body is None else json.dumps(body)
        given = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers or {}
        connection.request(method, path, content, given)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_ready(
    port: int, path: str, process: subprocess.Popen[bytes], patience_s: float = 30.0
) -> None:
    """Wait until the path is answered with 200.

    Raises:
        SystemExit: the process has ended, or it takes too long.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if asked(port, "GET", path)[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the server at port {port} does not answer {path} (exit code {process.poll()})")
        time.sleep(0.05)


def _wrk(
    port: int, path: str, headers: Mapping[str, str], connections: int, seconds: float, core: int
) -> Load:
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:g}s"]
    command += ["--latency", "--timeout", "10s"]
    command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    text = _bound([*command, f"http://{HOST}:{port}{path}"], core)
    points = {
        point: float(number) * _UNITS[unit]
        for point, number, unit in re.findall(r"^ +(50|99)% +([\d.]+)(us|ms|s|m) *$", text, re.MULTILINE)
    }
    rate = re.search(r"^Requests/sec: +([\d.]+)$", text, re.MULTILINE)
    if rate is None or len(points) != 2:
        raise SystemExit(f"wrk printed\n{text}")
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed += sum(map(int, errors.groups())) if errors else 0
    return Load("wrk", connections, float(rate[1]), points["50"], points["99"], failed)


def _own(
    port: int, path: str, headers: Mapping[str, str], connections: int, seconds: float, core: int
) -> Load:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    command = [sys.executable, __file__, str(port), path, str(connections), f"{seconds:g}", *lines]
    return Load(**json.loads(_bound(command, core)))


def _bound(command: Sequence[str], core: int) -> str:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {core})
        text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    return text


class _Connection:
    """One kept-alive connection: sends the same request again and again, one at a time."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self._whole = -1
        self.sent_at = 0.0

    def send(self) -> None:
        self._received, self._whole = b"", -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> int | None:
        """Take what has come; the status once the answer is whole, 0 where the server has closed."""
        data = self.socket.recv(1 << 18)
        if not data:
            return 0
        self._received += data
        if self._whole < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end + 2)
            self._whole = end + 4 + (int(length[1]) if length else 0)
        return int(self._received[9:12]) if 0 <= self._whole <= len(self._received) else None


def main() -> None:
    port, path, connections, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    head = [f"GET {path} HTTP/1.1", f"Host: {HOST}:{port}", *sys.argv[5:], "", ""]
    request = "\r\n".join(head).encode()
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = _Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    latencies: list[float] = []
    failed = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for key, _ in selector.select(1.0):
            status = key.data.receive()
            if status is None:
                continue
            if status == 0:
                selector.unregister(key.data.socket)
                failed += 1
                continue
            failed += status >= 400
            latencies.append(time.perf_counter() - key.data.sent_at)
            key.data.send()
    spent = time.perf_counter() - began
    points = percentiles(latencies, (50, 99))
    found = Load(
        "own client", connections, len(latencies) / spent, points[50] * 1e3, points[99] * 1e3, failed
    )
    print(json.dumps(found.__dict__))


if __name__ == "__main__":
    main()
