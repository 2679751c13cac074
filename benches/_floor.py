"""What any server must do at least: write the frames that there are to each socket, and nothing else.

    python benches/_floor.py TEMPLATE

It reads no frames, checks nobody and remembers nothing; `benches/fanout.py` shows by it what the
kernel and the crowd take. Prints both ports; the control port is that of the peers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import select
import socket
import struct
import sys
import time

from _http import HOST

KEY = b"Sec-WebSocket-Key: "
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def switched(client: socket.socket) -> None:
    """Answer a handshake."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)
    key = request.partition(KEY)[2].partition(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def framed(template: str, seq: int) -> bytes:
    payload = (template % {"seq": seq, "ts": time.time_ns() // 1000}).encode()
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = socket.create_server((HOST, 0), backlog=4096)
    controls = socket.create_server((HOST, 0))
    ports = {"port": listener.getsockname()[1], "control": controls.getsockname()[1]}
    print(json.dumps(ports), flush=True)
    control, _ = controls.accept()
    clients: list[socket.socket] = []
    seq, rest = 1, b""
    while True:
        ready, _, _ = select.select([listener, control], [], [])
        if listener in ready:
            client, _ = listener.accept()
            switched(client)
            clients.append(client)
            continue
        some = control.recv(4096)
        if not some:
            return
        *lines, rest = (rest + some).split(b"\n")
        frames = []
        for line in lines:
            if line == b"?":
                control.sendall(json.dumps({"seq": seq}).encode() + b"\n")
                continue
            while seq < int(line):
                seq += 1
                frames.append(framed(sys.argv[1], seq))
        if frames:
            joined = b"".join(frames)
            for client in clients:
                client.sendall(joined)


if __name__ == "__main__":
    main()
