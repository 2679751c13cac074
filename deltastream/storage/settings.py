"""Settings of the embedded store."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

__all__ = ["StoreSettings"]

_MIB: Final = 1024 * 1024


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the store keeps its data.

    Attributes:
        max_bytes: size on disk that retention keeps the store under; oldest detail goes first.
            Default 10 GiB, at least 16 MiB.
        durability: "process" survives the death of the process, "power" also that of the machine,
            for one sync per transaction. Default "process".
        compression_level: of zstandard for chains and surfaces; higher is smaller and slower.
            Default -1: on chains no larger than level 3 and twice as fast.
        readers: connections, and so reads, that run at the same time. Default 3.
        cache_bytes: page cache of the writer; each reader has a quarter of it. Default 8 MiB.
        busy_s: seconds to wait for a lock that another process holds. Default 1.
        maintenance_s: seconds between looks at the size of the store. Default 5.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=16 * _MIB)] = 10 * 1024 * _MIB
    durability: Literal["process", "power"] = "process"
    compression_level: Annotated[int, msgspec.Meta(ge=-7, le=19)] = -1
    readers: Annotated[int, msgspec.Meta(ge=1, le=32)] = 3
    cache_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024)] = 8 * _MIB
    busy_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    maintenance_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
