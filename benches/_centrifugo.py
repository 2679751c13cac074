"""Centrifugo as it comes, with a channel that anybody may read; `benches/fanout.py` runs it.

    python benches/_centrifugo.py PROGRAM TEMPLATE

Messages are published through its HTTP API, those that are due together in one request, as programs
do that have much to publish. Prints both ports and how clients begin; the control port is that of the
peers. Centrifugo keeps the core that this process was bound to, which then moves to another.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _http import HOST, free_port, wait_until_ready

CHANNEL = "surface"
MOST_AT_ONCE = 64
SETTINGS = {
    "client_insecure": True,  # nobody shows a token
    "api_insecure": True,
    "health": True,
    "log_level": "error",
    "ping_interval": "1h",  # the crowd answers WebSocket's pings, not those of Centrifugo's own
}


class Publisher:
    """Publishes through the API of a server.

    Attributes:
        seq: of the last.
    """

    def __init__(self, port: int, template: str) -> None:
        self.seq = 1
        self._template = template
        self._api = http.client.HTTPConnection(HOST, port)

    def publish(self, upto: int) -> None:
        """Publish all up to a seq."""
        while self.seq < upto:
            seqs = range(self.seq + 1, min(upto, self.seq + MOST_AT_ONCE) + 1)
            data = [self._template % {"seq": seq, "ts": time.time_ns() // 1000} for seq in seqs]
            commands = [f'{{"publish": {{"channel": "{CHANNEL}", "data": {one}}}}}' for one in data]
            self._api.request("POST", "/api/batch", f'{{"commands": [{", ".join(commands)}]}}')
            answer = self._api.getresponse()
            said = answer.read()
            if answer.status != 200 or b'"error"' in said:
                raise SystemExit(f"Centrifugo publishes nothing: {answer.status} {said!r}")
            self.seq = seqs[-1]


def obey(control: socket.socket, publisher: Publisher) -> None:
    """Serve the control port until it closes."""
    rest = b""
    while some := control.recv(4096):
        *lines, rest = (rest + some).split(b"\n")
        due = [int(line) for line in lines if line != b"?"]
        if due:
            publisher.publish(due[-1])
        if b"?" in lines:
            control.sendall(json.dumps({"seq": publisher.seq}).encode() + b"\n")


def main() -> None:
    program, template = sys.argv[1:]
    port = free_port()
    controls = socket.create_server((HOST, 0))
    with tempfile.TemporaryDirectory() as directory:
        settings = Path(directory, "config.json")
        settings.write_text(json.dumps({**SETTINGS, "address": HOST, "port": port}))
        with subprocess.Popen([program, "--config", settings], stdout=sys.stderr) as server:
            try:
                os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0))
                wait_until_ready(port, "/health", server)
                begin = [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": CHANNEL}}]
                said = {
                    "port": port,
                    "control": controls.getsockname()[1],
                    "process": server.pid,
                    "path": "/connection/websocket",
                    "hello": list(map(json.dumps, begin)),
                }
                print(json.dumps(said), flush=True)
                publisher = Publisher(port, template)
                while True:
                    obey(controls.accept()[0], publisher)
            except KeyboardInterrupt:
                pass
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
