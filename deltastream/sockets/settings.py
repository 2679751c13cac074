"""What can be set on sockets."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["SocketSettings"]


class SocketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the socket gateway listens, and how much of it one client may have.

    Who may call (`allowed_hosts`, `allowed_origins`, `trusted_proxies`) and the certificate are the
    gateway's.

    Attributes:
        host: address it binds, under the same conditions as the gateway's.
        port: 0 takes any free one.
        heartbeat_s: interval of heartbeats; whoever is silent for three of them is closed.
        auth_s: a connection that has not said who it is by then is closed, in seconds.
        rooms: most of one connection.
        commands_per_s: lasting rate of one connection.
        burst: commands that may come at once.
        message_bytes: longest message of a client.
        outbox_bytes: the most that waits for a socket that does not take it.
        slow: what happens to who falls behind: "conflate" sends the newest state of each room once the
            socket takes it again, "disconnect" closes with 4009.
        connections: at once, of both ports together.
        connections_per_user: at once.
        strangers_per_address: connections at once that have not said who they are.
        drain_s: how long clients have to go when the host stops.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8002
    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 10.0
    auth_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    rooms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    commands_per_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    burst: Annotated[int, msgspec.Meta(ge=1)] = 40
    message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] = 64 << 10
    outbox_bytes: Annotated[int, msgspec.Meta(ge=64 << 10, le=16 << 20)] = 1 << 20
    slow: Literal["conflate", "disconnect"] = "conflate"
    connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 15_000
    connections_per_user: Annotated[int, msgspec.Meta(ge=1)] = 15_000
    strangers_per_address: Annotated[int, msgspec.Meta(ge=1)] = 256
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=3)] = 1.0
