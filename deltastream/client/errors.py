"""What a client raises."""

from __future__ import annotations

from deltastream.errors import DeltaStreamError

__all__ = ["ClientError", "Closed", "CommandError", "Refused", "Unauthenticated", "Untrusted"]


class ClientError(DeltaStreamError):
    """Base of what a client raises."""


class Refused(ClientError):
    """The server did not open the connection.

    Attributes:
        status: of HTTP; 0 where it did not answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"refused with status {status}: {reason}")
        self.status = status


class Closed(ClientError):
    """The connection has ended.

    Attributes:
        code: of the close; 1006 where there was none.
        reason: as the server told it.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}: {reason}")
        self.code = code
        self.reason = reason


class CommandError(ClientError):
    """The server refused a command as a whole.

    Attributes:
        code: says why; `docs/websocket.md` lists them.
        retryable: whether the same may succeed later.
    """

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retryable = retryable


class Unauthenticated(ClientError):
    """The credential is not valid, or does not give the right; to try again is of no use."""


class Untrusted(ClientError):
    """The server's certificate is not one that we trust; nothing has been told to it."""
