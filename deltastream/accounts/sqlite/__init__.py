"""The accounts of one host, on SQLite."""

from deltastream.accounts.sqlite.store import SqliteAccountStore

__all__ = ["SqliteAccountStore"]
