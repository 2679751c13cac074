"""The bus: a durable, sequenced log of messages with consumer groups."""

from deltastream.bus._salvage import SalvageReport
from deltastream.bus.embedded import EmbeddedBus, open_bus
from deltastream.bus.protocol import (
    Bus,
    BusStatistics,
    Consumer,
    Delivery,
    Entry,
    Follower,
    Gap,
    GroupStatistics,
    Record,
    TopicStatistics,
    matches,
)
from deltastream.bus.settings import BusSettings, RetrySettings

__all__ = [
    "Bus",
    "BusSettings",
    "BusStatistics",
    "Consumer",
    "Delivery",
    "EmbeddedBus",
    "Entry",
    "Follower",
    "Gap",
    "GroupStatistics",
    "Record",
    "RetrySettings",
    "SalvageReport",
    "TopicStatistics",
    "matches",
    "open_bus",
]
