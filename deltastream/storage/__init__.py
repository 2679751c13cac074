"""The store: history behind one repository protocol."""

from deltastream.storage.protocol import (
    METRICS,
    BadCursor,
    MetricRow,
    Page,
    Repository,
    StoredExpiry,
    StoredProduct,
    StoreStatistics,
)
from deltastream.storage.settings import StoreSettings
from deltastream.storage.sqlite import SqliteRepository

__all__ = [
    "METRICS",
    "BadCursor",
    "MetricRow",
    "Page",
    "Repository",
    "SqliteRepository",
    "StoreSettings",
    "StoreStatistics",
    "StoredExpiry",
    "StoredProduct",
]
