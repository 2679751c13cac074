"""A broadcast by Quart's websocket under Hypercorn, as its documentation has it: a queue per client.

    python sockets_quart.py TEMPLATE

Prints both ports. On the control port a line with a number publishes up to that seq, and a line
``?`` is answered with the last.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, websocket

app = Quart(__name__)
queues: set[asyncio.Queue[str]] = set()
published = 1


@app.websocket("/ws")
async def broadcast() -> None:
    await websocket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            await websocket.send(await queue.get())
    finally:
        queues.discard(queue)


async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global published
    while line := await reader.readline():
        if line == b"?\n":
            writer.write(json.dumps({"seq": published}).encode() + b"\n")
            continue
        while published < int(line):
            published += 1
            text = sys.argv[1] % {"seq": published, "ts": time.time_ns() // 1000}
            for queue in queues:
                queue.put_nowait(text)


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.websocket_ping_interval = None
    control = await asyncio.start_server(obey, "127.0.0.1", 0)
    print(json.dumps({"port": port, "control": control.sockets[0].getsockname()[1]}), flush=True)
    await serve(app, config)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main())
