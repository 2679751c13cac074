"""The load generator of the gateway's benchmark counts what it is answered and refuses the unreadable."""

from __future__ import annotations

import importlib
import json
import math
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType

import pytest

BENCHES = Path(__file__).parents[2] / "benches"

WRK = """Running 10s test @ http://127.0.0.1:8000/api/data/chain/NIFTY
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    13.11ms    6.30ms  85.72ms   89.12%
    Req/Sec     2.53k   311.64     3.02k    71.00%
  Latency Distribution
     50%   11.92ms
     75%   14.02ms
     90%   18.66ms
     99%    1.13s {space}
  25216 requests in 10.02s, 391.17MB read
{failures}Requests/sec:   2516.46
Transfer/sec:     39.04MB
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHES)
    return importlib.import_module("_http")


def test_what_wrk_prints_is_read(load, monkeypatch) -> None:
    said = []

    def bound(command, core):
        said.append((command, core))
        return WRK.format(space=" ", failures=failures)

    monkeypatch.setattr(load, "_bound", bound)
    failures = ""
    found = load._wrk(8000, "/x", {"X-API-Key": "k"}, 32, 10.0, 1)
    assert (found.tool, found.connections, found.requests_per_s) == ("wrk", 32, 2516.46)
    assert (found.p50_ms, found.p99_ms, found.failed) == (11.92, 1130.0, 0)
    ((command, core),) = said
    assert core == 1
    assert command[-3:] == ["--header", "X-API-Key: k", "http://127.0.0.1:8000/x"]
    failures = "  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 7\n"
    assert load._wrk(8000, "/x", {}, 32, 10.0, 1).failed == 10


def test_what_wrk_does_not_print_is_no_number(load, monkeypatch) -> None:
    monkeypatch.setattr(load, "_bound", lambda command, core: "unable to connect\n")
    with pytest.raises(SystemExit, match="unable to connect"):
        load._wrk(8000, "/x", {}, 32, 10.0, 1)


def test_processor_time_is_that_of_the_processes(load) -> None:
    work = "sum(i * i for i in range(1_500_000)); input()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE) as process:
        used = 0.0
        while used < 0.02:
            used = load.processor_s([process.pid])
        assert load.processor_s([process.pid, process.pid]) >= 2 * used
        process.communicate(b"\n")


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        status = 200 if self.headers["X-Key"] == "k" else 401
        body = b"x" * 20_000
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 16


@pytest.mark.slow
@pytest.mark.parametrize(("header", "refused"), [("X-Key: k", False), ("X-Key: other", True)])
def test_the_own_client_counts_every_answer(header: str, refused: bool) -> None:
    _Answers.count = 0
    with _Server(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        command = [sys.executable, str(BENCHES / "_http.py"), str(server.server_address[1]), "/x", "4", "0.5"]
        done = subprocess.run([*command, header], capture_output=True, check=True, text=True)
        server.shutdown()
        thread.join()
    found = json.loads(done.stdout)
    answered = found["requests_per_s"] * 0.5
    assert found["connections"] == 4
    assert _Answers.count - 4 - 0.1 * answered <= answered <= _Answers.count
    assert found["failed"] == (pytest.approx(answered, rel=0.1) if refused else 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] < 1000
    assert not math.isnan(found["p99_ms"])
