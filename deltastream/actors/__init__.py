"""The actors of a host's pipeline: feed, enricher, analytics and storage."""

from deltastream.actors.analytics import Analytics
from deltastream.actors.enricher import Enricher
from deltastream.actors.feed import Feed
from deltastream.actors.storage import Storage

__all__ = ["Analytics", "Enricher", "Feed", "Storage"]
