"""A client of the sockets of a host, for asyncio and Trio, that reconnects, resumes and finds gaps.

async with connect("ws://127.0.0.1:8002/ws", token=key) as client:
    await client.subscribe("product:NIFTY", "chain:NIFTY")
    async for event in client:
        match event:
            case ChainUpdate(chain=chain):
                print(chain.atm_iv, chain["call_iv"])
"""

from deltastream.client.client import Client, Entered, connect
from deltastream.client.errors import ClientError, Closed, Refused, Unauthenticated
from deltastream.client.events import (
    Chain,
    ChainSummary,
    ChainUpdate,
    Disconnected,
    Event,
    Interrupted,
    MarketStatus,
    Reconnected,
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
    "Disconnected",
    "Entered",
    "Event",
    "Interrupted",
    "MarketStatus",
    "Reconnected",
    "Refused",
    "SurfaceUpdate",
    "Unauthenticated",
    "UnderlyingUpdate",
    "connect",
]
