"""A client of the sockets of a host, for asyncio and Trio, that reconnects, resumes and finds gaps.

async with connect("ws://127.0.0.1:8002/ws", token=key) as client:
    await client.subscribe("product:NIFTY", "chain:NIFTY")
    async for event in client:
        match event:
            case ChainUpdate(chain=chain):
                print(chain.atm_iv, chain["call_iv"])
"""

from deltastream.client.client import Client, Entered, connect
from deltastream.client.errors import (
    ClientError,
    Closed,
    CommandError,
    Refused,
    Unauthenticated,
    Untrusted,
)
from deltastream.client.events import (
    Chain,
    ChainSummary,
    ChainUpdate,
    Disconnected,
    Event,
    Interrupted,
    MarketStatus,
    Product,
    Reconnected,
    RoomRefused,
    SurfaceUpdate,
    UnderlyingUpdate,
)

__all__ = [
    "Chain",
    "ChainSummary",
    "ChainUpdate",
    "Client",
    "ClientError",
    "Closed",
    "CommandError",
    "Disconnected",
    "Entered",
    "Event",
    "Interrupted",
    "MarketStatus",
    "Product",
    "Reconnected",
    "Refused",
    "RoomRefused",
    "SurfaceUpdate",
    "Unauthenticated",
    "UnderlyingUpdate",
    "Untrusted",
    "connect",
]
