"""The embedded store, on SQLite."""

from deltastream.storage.sqlite.repository import SqliteRepository

__all__ = ["SqliteRepository"]
