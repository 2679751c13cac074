"""A crowd of WebSocket clients in one process, which checks and times every message.

    python benches/_crowd.py CONFIGURATION

The configuration is a JSON object of `Crowd`'s attributes. Connects, then has the server publish as
each phase says, and prints one JSON list with what came of each.

Every message carries ``"seq":N,"ts":T`` with N counting from 1 and T, microseconds UTC, when it was
published. A client takes what its socket holds, looks for the first and the last seq in it and counts
those between: so a message that is lost, repeated or out of order is seen, at the price of three
searches in C per read, however many messages that brought. What is left of a message at the end of
one read is looked at with the next. Every client sends a pong now and then, for who is silent is
taken for dead.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import re
import resource
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _http import HOST, processor_s
from numpy.typing import NDArray

__all__ = ["Crowd", "Phase", "masked", "switched"]

MARK = b'"seq":'
NUMBER = re.compile(rb'"seq":(\d+)')
STAMPED = re.compile(rb'"seq":(\d+),"ts":(\d+)')
FRAME = 0x81
"""Begins every text frame, and occurs in no text of ASCII."""
MANY_BYTES = 4096
READ_BYTES = 64 << 10
AT_ONCE = 100
QUIET_S = 0.5
WARM_UP_S = 1.0
PATIENCE_S = 30.0
PONG = bytes((0x8A, 0x80, 0, 0, 0, 0))
PONG_EVERY_S = 8.0
"""Often enough for a server that takes who is silent for half a minute for dead."""
SMALL_BUFFER = 4096
"""What the kernel keeps for a client that reads nothing."""


@dataclass(frozen=True)
class Phase:
    """What is published and for how long.

    Attributes:
        rate: messages per second; 0: as `window` says.
        window: messages that are on their way to the average client: as that gets one, the next is
            published. What the server can bear, then.
        seconds: measured, after a second of warm-up.
    """

    seconds: float
    rate: float = 0.0
    window: int = 0


@dataclass
class Crowd:
    """The clients.

    Attributes:
        port: of the server.
        control: port where lines with a seq make the server publish up to it.
        clients: how many.
        servers: ids of its processes.
        headers: of the handshake.
        hello: text messages that each client sends first.
        stalled: how many besides read nothing after their hello.
        idle_s: how long they are idle before memory is read.
    """

    port: int
    control: int
    clients: int
    servers: list[int]
    path: str = "/ws"
    headers: list[str] = field(default_factory=list)
    hello: list[str] = field(default_factory=list)
    stalled: int = 0
    idle_s: float = 1.0

    def __post_init__(self) -> None:
        self._poll = select.epoll()
        self._sockets: list[socket.socket] = []
        self._numbers: dict[int, int] = {}
        self._control = socket.create_connection((HOST, self.control))
        self._published = 0
        self._tails: list[bytes] = []
        self._last = np.zeros(0, dtype=np.int64)
        self._stamps: dict[int, int] = {}
        self._reads: list[tuple[int, int, int]] = []
        self._faults = 0
        self._pongs_due, self._ponged_at, self._next_pong = 0.0, time.monotonic(), 0
        self._closed = 0
        self._bytes = 0

    def connect(self) -> dict[str, float]:
        """Open all connections; what they cost the server's memory.

        Raises:
            SystemExit: the server turned one away.
        """
        before, kernel = resident_bytes(self.servers), kernel_bytes()
        began = time.monotonic()
        for start in range(0, self.clients + self.stalled, AT_ONCE):
            some = [self._open(start + n) for n in range(min(AT_ONCE, self.clients + self.stalled - start))]
            for one in some:
                _expect_switch(one)
                for text in self.hello:
                    one.sendall(masked(text.encode()))
            self._sockets += some
            self._pong()
        connected = time.monotonic() - began
        for number, one in enumerate(self._sockets[: self.clients]):
            one.setblocking(False)
            self._numbers[one.fileno()] = number
            self._poll.register(one.fileno(), select.EPOLLIN)
        self._drain()
        time.sleep(self.idle_s)
        self._drain()
        count = self.clients + self.stalled
        self._published = int(self._asked("?")["seq"])
        self._last = np.full(self.clients, self._published, dtype=np.int64)
        self._tails = [b""] * self.clients
        return {
            "connected_s": connected,
            "bytes_per_client": (resident_bytes(self.servers) - before) / count,
            "kernel_bytes_per_client": (kernel_bytes() - kernel) / count,
        }

    def run(self, phase: Phase) -> dict[str, float]:
        """One phase, from its first message to the last client's last."""
        started = time.monotonic()
        measuring = started + WARM_UP_S
        stop = measuring + phase.seconds
        first = spent = own = 0.0
        base = self._published
        self._reads, self._stamps, self._bytes = [], {}, 0
        while (now := time.monotonic()) < stop:
            if not first and now >= measuring:
                self._reads, self._bytes, first = [], 0, now
                spent, own = -processor_s(self.servers), -time.process_time()
            if phase.rate:
                due = base + int((now - started) * phase.rate)
                self._until(due)
                pause = started + (due - base + 1) / phase.rate - now
            else:
                self._until(int(self._last.sum()) // self.clients + phase.window)
                pause = 0.05
            self._take(max(0.0, min(pause, stop - now)))
        seconds = time.monotonic() - first
        spent, own = spent + processor_s(self.servers), own + time.process_time()
        reads = self._reads
        delivered, took, size = sum(last - before for _, before, last in reads), len(reads), self._bytes
        self._arrive(only_wait=PATIENCE_S)
        waits = self._latencies(reads)
        statistics = self._asked("?")
        p50, p99, most = (
            np.percentile(waits, (50, 99, 100), method="inverted_cdf") if waits.size else [np.nan] * 3
        )
        return {
            "published": self._published - base,
            "messages_per_s": delivered / seconds,
            "per_read": delivered / max(1, took),
            "bytes_per_message": size / max(1, delivered),
            "p50_ms": p50 / 1e3,
            "p99_ms": p99 / 1e3,
            "most_ms": most / 1e3,
            "faults": self._faults,
            "missing": int((self._published - self._last).sum()),
            "closed": self._closed,
            "server": spent / seconds,
            "own": own / seconds,
            **{f"server_{name}": value for name, value in statistics.items()},
        }

    def _open(self, number: int) -> socket.socket:
        one = socket.socket()
        if number >= self.clients:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        one.connect((HOST, self.port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _ask_to_switch(one, self.port, self.path, self.headers)
        return one

    def _asked(self, line: str) -> dict[str, Any]:
        self._control.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._control.recv(4096)
        found: dict[str, Any] = json.loads(answer)
        return found

    def _until(self, seq: int) -> None:
        if seq > self._published:
            self._published = seq
            self._control.sendall(b"%d\n" % seq)

    def _drain(self) -> None:
        """Read everything, and look at none of it."""
        self._pong()
        before: dict[int, bytes] = {}
        while events := self._poll.poll(QUIET_S):
            for descriptor, _ in events:
                some = os.read(descriptor, READ_BYTES)
                if not some:
                    raise SystemExit(
                        f"the server has closed a connection after {before.get(descriptor, b'')!r}"
                    )
                before[descriptor] = some[-200:]

    def _arrive(self, *, only_wait: float) -> None:
        until = time.monotonic() + only_wait
        while self._last.min() < self._published and time.monotonic() < until:
            self._take(0.05)

    def _take(self, patience: float) -> None:
        """Take what has come, after waiting for something."""
        self._pong()
        tails, last, reads, numbers = self._tails, self._last, self._reads, self._numbers
        clock = time.time_ns
        for descriptor, _ in self._poll.poll(patience):
            try:
                data = os.read(descriptor, READ_BYTES)
            except OSError:
                data = b""
            now = clock()
            number = numbers[descriptor]
            if not data:
                self._poll.unregister(descriptor)
                self._closed += 1
                continue
            self._bytes += len(data)
            data = tails[number] + data
            at = data.rfind(MARK)
            end = data.find(b",", at) if at >= 0 else -1
            if end < 0 <= at:  # the last number is cut off
                at = data.rfind(MARK, 0, at)
                end = data.find(b",", at) if at >= 0 else -1
            tails[number] = data[max(end, 0) :]
            if end < 0:
                continue
            newest, before = int(data[at + len(MARK) : end]), int(last[number])
            start = data.find(MARK) + len(MARK)
            if (
                newest - before != frames(data, end)
                or int(data[start : data.find(b",", start)]) != before + 1
            ):
                self._check(data[:end], before)
            last[number] = newest
            reads.append((now, before, newest))
            if newest not in self._stamps:
                self._stamps.update((int(seq), int(ts)) for seq, ts in STAMPED.findall(data))

    def _pong(self) -> None:
        """Have all clients that read be heard of, in turn."""
        known = min(self.clients, len(self._sockets))
        now = time.monotonic()
        self._pongs_due += (now - self._ponged_at) / PONG_EVERY_S * known
        self._ponged_at = now
        for _ in range(min(int(self._pongs_due), known)):
            self._pongs_due -= 1
            self._next_pong = (self._next_pong + 1) % known
            with suppress(OSError):
                self._sockets[self._next_pong].send(PONG)

    def _check(self, data: bytes, before: int) -> None:
        """Look at every seq, where something else came between, such as a heartbeat."""
        seqs = [int(seq) for seq in NUMBER.findall(data)]
        if seqs != list(range(before + 1, before + 1 + len(seqs))):
            self._faults += 1

    def _latencies(self, reads: list[tuple[int, int, int]]) -> NDArray[np.int64]:
        """Microseconds from publication to read, of every message."""
        if not reads:
            return np.zeros(0, dtype=np.int64)
        taken = np.array(reads, dtype=np.int64)
        counts = taken[:, 2] - taken[:, 1]
        ends = np.cumsum(counts)
        seqs = np.arange(ends[-1]) - np.repeat(ends - counts, counts) + np.repeat(taken[:, 1] + 1, counts)
        low = int(seqs.min())
        stamps = np.zeros(int(seqs.max()) - low + 1, dtype=np.int64)
        for seq, ts in self._stamps.items():
            if 0 <= seq - low < stamps.size:
                stamps[seq - low] = ts
        published = stamps[seqs - low]
        waits = np.repeat(taken[:, 0] // 1000, counts) - published
        known: NDArray[np.int64] = waits[published > 0]
        return known


def frames(data: bytes, end: int) -> int:
    """How many frames begin before `end`."""
    if end < MANY_BYTES:
        return data.count(FRAME, 0, end)
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, end) == FRAME))


def masked(payload: bytes) -> bytes:
    """A text frame as clients send it; the mask is zero, which masks nothing and is one."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + bytes(4) + payload
    return bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + payload


def resident_bytes(processes: list[int]) -> int:
    pages = 0
    for process in processes:
        with open(f"/proc/{process}/statm") as statm:
            pages += int(statm.read().split()[1])
    return pages * resource.getpagesize()


def kernel_bytes() -> int:
    """What the kernel has for buffers of TCP, of the whole machine."""
    with open("/proc/net/sockstat") as sockstat:
        line = next(line for line in sockstat if line.startswith("TCP:"))
    return int(line.split()[-1]) * resource.getpagesize()


def switched(one: socket.socket, port: int, path: str, headers: list[str]) -> None:
    """Open a WebSocket on a connected socket.

    Raises:
        SystemExit: the server does not want to.
    """
    _ask_to_switch(one, port, path, headers)
    _expect_switch(one)


def _ask_to_switch(one: socket.socket, port: int, path: str, headers: list[str]) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        *(f"GET {path} HTTP/1.1", f"Host: {HOST}:{port}", "Upgrade: websocket"),
        *("Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"),
        *(*headers, "", ""),
    ]
    one.sendall("\r\n".join(lines).encode())


def _expect_switch(one: socket.socket) -> None:
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = one.recv(1)
        if not more:
            raise SystemExit(f"the server closed: {answer!r}")
        answer += more
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"the server answered {answer!r}")


def main() -> None:
    given = json.loads(sys.argv[1])
    phases = [Phase(**phase) for phase in given.pop("phases")]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.disable()
    crowd = Crowd(**given)
    connected = crowd.connect()
    print(json.dumps([connected, *(crowd.run(phase) for phase in phases)]))


if __name__ == "__main__":
    main()
