"""The errors that DeltaStream raises on purpose. Each says in one sentence what is wrong."""

from __future__ import annotations

__all__ = [
    "BusClosed",
    "ConfigurationError",
    "DataDirectoryError",
    "DeltaStreamError",
    "FileRefused",
    "JournalError",
    "MessageDecodeError",
    "NewerSchema",
    "StoreDamaged",
    "StoreError",
    "StoreUnavailable",
]


class DeltaStreamError(Exception):
    """Base of every error that is a sentence to the operator, not a defect of the program."""


class ConfigurationError(DeltaStreamError):
    """The configuration is not valid.

    Attributes:
        problems: one sentence per problem, each beginning with the path of its key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataDirectoryError(DeltaStreamError):
    """The data directory cannot be used: missing rights, in use, full, or of a newer version."""


class JournalError(DeltaStreamError):
    """The journal cannot be opened or written."""


class BusClosed(DeltaStreamError):
    """The bus is closed: nothing was appended, nothing will be delivered."""


class StoreError(DeltaStreamError):
    """The store refused this write or read; trying the same again will not help."""


class StoreUnavailable(StoreError):
    """The store is away for now (full disk, locked file); the same call may succeed later."""


class MessageDecodeError(DeltaStreamError):
    """Bytes that should be a message are not one."""


class StoreDamaged(StoreError):
    """The store's file is broken: no message is to blame, and none can be stored until it is mended."""


class NewerSchema(MessageDecodeError):
    """The message was written by a newer version than this one understands."""


class FileRefused(DeltaStreamError):
    """A recorded file cannot be used at all; the text names the file and says why.

    Attributes:
        source: the file, as it was named by the caller.
        reason: a code such as "not_json" or "too_large".
        detail: one sentence.
    """

    def __init__(self, source: str, reason: str, detail: str) -> None:
        super().__init__(f"{source}: {detail}")
        self.source = source
        self.reason = reason
        self.detail = detail
