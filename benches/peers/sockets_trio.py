"""A broadcast by trio-websocket, as its documentation has it: one send after another.

    python sockets_trio.py TEMPLATE

Prints both ports. On the control port a line with a number publishes up to that seq, and a line
``?`` is answered with the last.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket


class Broadcast:
    def __init__(self, template: str) -> None:
        self._template = template
        self._clients: dict[WebSocketConnection, None] = {}
        self._seq = 1

    async def serve(self, request: WebSocketRequest) -> None:
        client = await request.accept()
        self._clients[client] = None
        try:
            while True:
                await client.get_message()
        except ConnectionClosed:
            del self._clients[client]

    async def obey(self, stream: trio.SocketStream) -> None:
        rest = b""
        async for some in stream:
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                if line == b"?":
                    await stream.send_all(json.dumps({"seq": self._seq}).encode() + b"\n")
                else:
                    await self._publish(int(line))

    async def _publish(self, upto: int) -> None:
        while self._seq < upto:
            self._seq += 1
            text = self._template % {"seq": self._seq, "ts": time.time_ns() // 1000}
            for client in list(self._clients):
                try:  # noqa: SIM105  a context manager for each message would count against it
                    await client.send_message(text)
                except ConnectionClosed:
                    pass


async def main() -> None:
    broadcast = Broadcast(sys.argv[1])
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, broadcast.serve, "127.0.0.1", 0, ssl_context=None)
        server = await nursery.start(serve)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, broadcast.obey, listeners)
        control = listeners[0].socket.getsockname()[1]
        print(json.dumps({"port": server.port, "control": control}), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    trio.run(main)
