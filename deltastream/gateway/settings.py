"""What can be set on the gateway."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["GatewaySettings", "LimitSettings"]


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one client may ask of the gateway.

    Attributes:
        requests_per_minute: by one user or API key; a chain or a page of history costs more than one.
        burst: what may come at once.
        strangers_per_minute: by one address without a credential.
        strangers_burst: what may come at once.
        body_bytes: longest body.
        header_bytes: of all headers together.
        target_bytes: longest path and query.
        body_s: a body that has not arrived whole by then is refused, in seconds.
        answer_s: a request that is not answered by then is given up, in seconds.
        connections: at once.
    """

    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 6000
    burst: Annotated[int, msgspec.Meta(ge=1)] = 600
    strangers_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 600
    strangers_burst: Annotated[int, msgspec.Meta(ge=1)] = 120
    body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=64 << 20)] = 1 << 20
    header_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 20)] = 16 << 10
    target_bytes: Annotated[int, msgspec.Meta(ge=256, le=1 << 16)] = 4096
    body_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    answer_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 30.0
    connections: Annotated[int, msgspec.Meta(ge=1)] = 1000


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens, for whom, and how much of it one client may have.

    Attributes:
        host: address it binds; anything but loopback needs `allowed_hosts`, `allowed_origins` and
            `signing_key_file` to be given.
        port: 0 takes any free one.
        allowed_hosts: names and addresses, with or without port, by which it may be called; on
            loopback its own names unless given.
        allowed_origins: of pages that may call it beside its own, as ``https://desk.example.org``.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` and ``-Proto`` are believed.
        path_prefix: what a proxy puts before every path, such as ``/deltastream``.
        certificate, certificate_key: PEM files; both or none.
        signing_key_file: of the keys that sign access tokens, owned by the user and readable by nobody
            else, as `deltastream key make-signing` makes one; on loopback one in the data directory is
            made and used unless given.
        registration: whether strangers may register; "auto": where only this machine can call.
        limits: what one client may ask.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    path_prefix: str = ""
    certificate: str | None = None
    certificate_key: str | None = None
    signing_key_file: str | None = None
    registration: Literal["auto", "open", "closed"] = "auto"
    limits: LimitSettings = LimitSettings()
