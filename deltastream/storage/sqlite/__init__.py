"""The embedded store, on SQLite; and what every SQLite file of the house is handled with."""

from deltastream.storage.sqlite._errors import translated
from deltastream.storage.sqlite._schema import transaction
from deltastream.storage.sqlite.repository import SqliteRepository

__all__ = ["SqliteRepository", "transaction", "translated"]
