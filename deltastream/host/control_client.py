"""The client's side of the control socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import trio

from deltastream.errors import DeltaStreamError
from deltastream.host.control import Lines, socket_address
from deltastream.host.operations import OperationError

__all__ = ["ControlClient", "HostNotRunning", "connect"]

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 35.0
_LONGEST_ANSWER: Final = 256 * 1024 * 1024


class HostNotRunning(DeltaStreamError):
    """No host listens on the control socket."""


class ControlClient:
    """One connection to a running host; one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = Lines(stream, _LONGEST_ANSWER)
        self._number = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self._stream)

    async def call(self, operation: str, **params: Any) -> Any:
        """Ask and return the answer.

        Cancellation: the operation may or may not take effect; the connection is of no more use.

        Raises:
            OperationError: the host refused, or did not answer in time.
        """
        try:
            with trio.fail_after(_ANSWER_S):
                await self._ask(operation, params)
                return (await self._answer())["result"]
        except trio.TooSlowError:
            raise OperationError("timeout", f"The host did not answer within {_ANSWER_S:g} s.") from None

    async def stream(
        self, operation: str, take: Callable[[dict[str, Any]], Awaitable[None]], **params: Any
    ) -> None:
        """Ask and hand every item to `take`, until the host has no more.

        Cancellation: the connection is of no more use.

        Raises:
            OperationError: the host refused, or has ended.
        """
        await self._ask(operation, params)
        while "item" in (answer := await self._answer()):
            await take(answer["item"])

    async def _ask(self, operation: str, params: dict[str, Any]) -> None:
        self._number += 1
        request = {"id": self._number, "op": operation, "params": params}
        try:
            await self._stream.send_all(msgspec.json.encode(request) + b"\n")
        except trio.BrokenResourceError:
            raise OperationError("failed", "The host has closed the connection.") from None

    async def _answer(self) -> dict[str, Any]:
        try:
            line = await self._lines.next()
        except trio.BrokenResourceError:
            line = None
        if line is None:
            raise OperationError("failed", "The host has closed the connection.")
        try:
            answer: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise OperationError("failed", f"The host's answer cannot be read: {error}") from None
        if answer.get("ok") is False:
            raise OperationError(answer["error"]["code"], answer["error"]["message"])
        return answer


async def connect(path: Path) -> ControlClient:
    """Connect to the host that listens at `path`; the client is to be used as a context manager.

    Cancellation: no connection is left open.

    Raises:
        HostNotRunning: nobody listens there.
        OperationError: the socket is there but may not be used.
    """
    try:
        with trio.fail_after(_CONNECT_S), socket_address(path) as address:
            return ControlClient(await trio.open_unix_socket(address))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise HostNotRunning(f"No host is running on {path.parent}.") from error
    except trio.TooSlowError as error:
        raise OperationError("timeout", f"The host on {path.parent} does not answer.") from error
    except OSError as error:
        raise OperationError("failed", f"{path} cannot be used: {error.strerror}.") from error
