"""One client in every room of a host, which times each update; `benches/fanout.py` runs it.

    python benches/_path.py PORT TOKEN SECONDS

It begins once every product of the default settings has chains, and with them rooms. Prints a JSON
object: by kind of update a list of product, time that the update carries (microseconds UTC) and its
arrival (nanoseconds UTC). Snapshots are not counted.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any

from _crowd import masked, switched
from _http import HOST

from deltastream.feeds.synthetic.settings import SyntheticSettings

READ_BYTES = 1 << 18
SETTLE_S = 2.0
SPEAK_S = 5.0
AGAIN_S = 0.2


class Client:
    """A client of the socket gateway that reads whole messages, one after another."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = [f"Authorization: Bearer {token}", "Sec-WebSocket-Protocol: deltastream.v1"]
        switched(self._socket, port, "/ws", headers)
        self._rest = b""

    def send(self, command: dict[str, Any]) -> None:
        self._socket.sendall(masked(json.dumps(command).encode()))

    def messages(self) -> list[bytes]:
        """The text of every message that has come, after waiting for one."""
        found: list[bytes] = []
        while not found:
            some = self._socket.recv(READ_BYTES)
            if not some:
                raise SystemExit("the server has closed")
            self._rest += some
            while (end := _end(self._rest)) is not None and end[1] <= len(self._rest):
                if self._rest[0] == 0x81:
                    found.append(self._rest[end[0] : end[1]])
                self._rest = self._rest[end[1] :]
        return found

    def has_chains_of(self, products: Iterable[str]) -> bool:
        """Whether there are any, of each."""
        self.send({"id": 1, "op": "products"})
        known = None
        while known is None:
            for text in self.messages():
                known = json.loads(text).get("products", known)
        return all(known.get(product) for product in products)


def _end(data: bytes) -> tuple[int, int] | None:
    """Where the payload of the first frame begins and ends; None where its length has not come."""
    if len(data) < 2 or (data[1] >= 126 and len(data) < 10):
        return None
    if data[1] < 126:
        return 2, 2 + data[1]
    head = 4 if data[1] == 126 else 10
    return head, head + int.from_bytes(data[2:head], "big")


def main() -> None:
    client = Client(int(sys.argv[1]), sys.argv[2])
    products = SyntheticSettings().products
    while not client.has_chains_of(products):
        time.sleep(AGAIN_S)
    rooms = [f"{kind}:{product}" for product in products for kind in ("product", "chain", "surface")]
    client.send({"id": 2, "op": "subscribe", "rooms": rooms})
    found: dict[str, list[tuple[str, int, int]]] = {}
    since = time.monotonic() + SETTLE_S
    until = since + float(sys.argv[3])
    spoke = since
    while (now := time.monotonic()) < until:
        if now > spoke + SPEAK_S:  # who says nothing for three heartbeats is taken for gone
            client.send({"op": "ping"})
            spoke = now
        texts = client.messages()
        arrived = time.time_ns()
        for text in texts:
            event = json.loads(text)
            if "seq" in event and event.get("kind") != "snapshot" and now >= since:
                product = event["room"].partition(":")[2]
                found.setdefault(event["event"], []).append((product, event["ts"], arrived))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
