"""The control socket: how the command line reaches a running host.

A Unix socket for the owner only. One JSON object per line each way; requests of a connection are
answered in order::

    → {"id":1,"op":"status"}
    ← {"id":1,"ok":true,"result":{…}}
    → {"id":2,"op":"bus.tail","params":{"follow":true}}
    ← {"id":2,"item":{…}}                             for each item; then, if it ends,
    ← {"id":2,"ok":true,"result":null}
    ← {"id":3,"ok":false,"error":{"code":"not_found","message":"…"}}

A client ends a stream by closing the connection, or by sending anything.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import trio

from deltastream.errors import DataDirectoryError, DeltaStreamError
from deltastream.host.operations import CALLS, STREAMS, HostView, OperationError, checked

__all__ = ["Limits", "Lines", "serve_control", "socket_address"]

log = structlog.get_logger("deltastream.control")

_LONGEST_ADDRESS: Final = 107
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all together, may cost.

    Attributes:
        connections: at once; further ones are told to come later.
        line_bytes: longest request.
        idle_s: a connection that asks nothing for so long is closed.
        call_s: longest work on one call.
        write_s: a client that takes nothing for so long is cut off.
    """

    connections: int = 16
    line_bytes: int = 64 * 1024
    idle_s: float = 60.0
    call_s: float = 30.0
    write_s: float = 10.0


class BadLine(OperationError):
    """What came in cannot be a request; the connection ends."""


class _ClientGone(Exception):
    """The client does not take answers any more."""


async def serve_control(
    host: HostView,
    ctx: object = None,
    *,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. Needs the data directory's lock: a socket found there is a dead host's.

    Cancellation: cuts all clients off and removes the socket.

    Args:
        host: what is asked.
        ctx: the supervisor's context; not needed.
        limits: what clients may cost.

    Raises:
        DataDirectoryError: the socket cannot be made.
    """
    path = host.data_dir.control_socket
    connections = _Connections(host, limits or Limits())
    async with _listening(path) as listener:
        task_status.started()
        await trio.serve_listeners(connections.serve, [listener])


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for `path` within a socket's 107 bytes: itself, or its name in an open directory."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


@asynccontextmanager
async def _listening(path: Path) -> AsyncIterator[trio.SocketListener]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            unready = path.with_name(f"{path.name}.new")
            _remove(unready)
            os.fchmod(sock.fileno(), 0o600)  # the socket file inherits it: never open to others
            with socket_address(unready) as address:
                sock.bind(address)  # Trio's own bind would use a thread for it
            sock.listen(64)
            unready.replace(path)  # whoever finds it can connect
        except OSError as error:
            raise DataDirectoryError(
                f"The control socket {path} cannot be made: {error.strerror}."
            ) from error
        try:
            yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        finally:
            _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class Lines:
    """Reads lines of bounded length from a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._buffer = bytearray()
        self._seen = 0

    async def next(self) -> bytes | None:
        """The next line without its line feed, None at the end.

        Cancellation: nothing read is lost.

        Raises:
            BadLine: the line is too long.
            trio.BrokenResourceError: the connection broke.
        """
        while (end := self._buffer.find(b"\n", self._seen)) < 0:
            self._seen = len(self._buffer)
            if self._seen > self._longest:
                raise BadLine("bad_request", f"The request is longer than {self._longest} bytes.")
            data = await self._stream.receive_some(min(65536, self._longest + 1))
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._seen = 0
        if len(line) > self._longest:
            raise BadLine("bad_request", f"The request is longer than {self._longest} bytes.")
        return line


class _Connections:
    def __init__(self, host: HostView, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one client; nothing it does gets out of here."""
        connection = _Connection(self._host, self._limits, stream)
        self._open += 1
        try:
            if not _same_user(stream):
                await connection.refuse("forbidden", "This socket is for its owner only.")
            elif self._open > self._limits.connections:
                await connection.refuse("busy", "Too many clients; try again later.")
            else:
                await connection.converse()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, _ClientGone):
            log.debug("client gone")
        except Exception:
            log.exception("control connection failed")
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)


class _Connection:
    def __init__(self, host: HostView, limits: Limits, stream: trio.SocketStream) -> None:
        self._host = host
        self._limits = limits
        self._stream = stream

    async def converse(self) -> None:
        lines = Lines(self._stream, self._limits.line_bytes)
        while True:
            try:
                with trio.fail_after(self._limits.idle_s):
                    line = await lines.next()
                if line is None:
                    break
                if line.strip():
                    await self._answer(*_parsed(line))
            except BadLine as error:
                await self.refuse(error.code, str(error))
                break

    async def refuse(self, code: str, message: str) -> None:
        """Say why, and be done with it."""
        await self._send({"id": None, "ok": False, "error": _problem(code, message)})

    async def _answer(self, number: Any, operation: str, params: dict[str, Any]) -> None:
        try:
            request = checked(operation, params)
            result = None
            if stream := STREAMS.get(operation):
                await self._stream_of(stream.run, request, number)
            else:
                with trio.fail_after(self._limits.call_s):
                    result = await CALLS[operation].run(self._host, request)
        except OperationError as error:
            problem = _problem(error.code, str(error))
        except DeltaStreamError as error:
            problem = _problem("failed", str(error))
        except trio.TooSlowError:
            problem = _problem("timeout", f"{operation} took longer than {self._limits.call_s:g} s.")
        except (trio.BrokenResourceError, _ClientGone):
            raise
        except Exception as error:  # a defect of ours: the client is told, the host goes on
            log.exception("control operation failed", op=operation)
            problem = _problem("failed", f"{operation} failed: {type(error).__name__}: {error}")
        else:
            problem = None
        if problem is None:
            await self._send({"id": number, "ok": True, "result": result})
        else:
            await self._send({"id": number, "ok": False, "error": problem})

    async def _stream_of(self, run: Any, request: Any, number: Any) -> None:
        """Send items while watching for the client's end of it."""
        left = False

        async def watch() -> None:
            nonlocal left
            with suppress(trio.BrokenResourceError):
                await self._stream.receive_some(1)
            left = True
            nursery.cancel_scope.cancel(reason="the client ended the stream")

        async def send(item: dict[str, Any]) -> None:
            await self._send({"id": number, "item": item})

        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                await run(self._host, request, send)
            except Exception as error:  # raised again below, outside of the nursery's group
                failure = error
            nursery.cancel_scope.cancel(reason="the stream has ended")
        if left:
            raise _ClientGone
        if failure is not None:
            raise failure

    async def _send(self, answer: dict[str, Any]) -> None:
        with trio.move_on_after(self._limits.write_s) as scope:
            await self._stream.send_all(msgspec.json.encode(answer) + b"\n")
        if scope.cancelled_caught:
            raise _ClientGone


def _problem(code: str, message: str) -> dict[str, str] | None:
    return {"code": code, "message": message}


def _parsed(line: bytes) -> tuple[Any, str, dict[str, Any]]:
    try:
        request = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine("bad_request", f"Not JSON: {error}") from None
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        raise BadLine("bad_request", 'A request is a JSON object with an "op".')
    params = request.get("params", {})
    if not isinstance(params, dict) or not isinstance(request.get("id"), int | str | None):
        raise BadLine("bad_request", '"params" is an object, "id" a number or a text.')
    return request.get("id"), request["op"], params


def _same_user(stream: trio.SocketStream) -> bool:
    data = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return user in (0, os.geteuid())
