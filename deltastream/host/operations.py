"""What can be asked of a host: plain functions over it, served by the control socket and by REST.

A call takes the host and its typed request and returns plain data; a stream also takes `send`, and
hands it plain items until there are no more. The command line runs the same functions over the
files of a data directory that no host uses.
"""

from __future__ import annotations

import base64
import heapq
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

import msgspec
import trio

from deltastream.bus.protocol import Bus, Gap, Record, matches
from deltastream.errors import DeltaStreamError, MessageDecodeError
from deltastream.host.config import Settings
from deltastream.host.data_dir import DataDirectory
from deltastream.latency import LatencyStatistics
from deltastream.messages import DeadLetter, Message, Position, decode, encode, to_builtins
from deltastream.seams import Seams
from deltastream.sockets.statistics import SocketStatistics
from deltastream.storage.protocol import Page, Repository, StoredExpiry
from supervisors import ChildStatistics, LagStatistics, SupervisorStatistics

__all__ = ["CALLS", "STREAMS", "HostView", "OperationError", "Send", "TreeView", "checked", "item_of"]

T = TypeVar("T")
Send = Callable[[dict[str, Any]], Awaitable[None]]

_PART_S: Final = 2.0
_CHAINS_A_PAGE: Final = 5
_ROWS_A_PAGE: Final = 500
_ORDER: Final = itemgetter(0, 1, 2)


class OperationError(DeltaStreamError):
    """What was asked cannot be done.

    Attributes:
        code: "bad_request", "not_found", "timeout", "not_running" or "failed".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TreeView(Protocol):
    """A running supervisor tree, to look at."""

    def statistics(self) -> SupervisorStatistics:
        """Every actor of it as it is now."""
        ...


class HostView(Protocol):
    """What the operations need of a host. Without a tree and a lag it is only its files."""

    @property
    def settings(self) -> Settings: ...
    @property
    def seams(self) -> Seams: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def store(self) -> Repository: ...
    @property
    def data_dir(self) -> DataDirectory: ...
    @property
    def tree(self) -> TreeView | None: ...
    @property
    def gateway_url(self) -> str | None:
        """By what a browser reaches its gateway; None where none listens."""
        ...

    def loop_lag(self) -> LagStatistics | None:
        """How late the event loop was lately."""
        ...

    def chain_latency(self) -> LatencyStatistics | None:
        """How long chains took lately from the feed to the bus, enriched; None where none are here."""
        ...

    def socket_statistics(self) -> SocketStatistics | None:
        """What the sockets have done; None where there are none."""
        ...

    def request_stop(self, reason: str) -> None:
        """Begin the ordered stop; returns at once."""
        ...


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what operations are given."""


class Nothing(Request, frozen=True, kw_only=True):
    """The operation needs nothing."""


class Tail(Request, frozen=True, kw_only=True):
    """Messages of the bus.

    Attributes:
        patterns: topics and prefixes ending in ``*``.
        last: begin with the newest so many over all topics.
        follow: go on with what is appended from now on, until cancelled.
    """

    patterns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)] = ("*",)
    last: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    follow: bool = False


class Group(Request, frozen=True, kw_only=True):
    """Dead letters of one group, or of all."""

    group: str | None = None


class Letter(Request, frozen=True, kw_only=True):
    """One dead letter."""

    letter: str


class Series(Request, frozen=True, kw_only=True):
    """A stored series over ``start <= ts_event < end``, nanoseconds UTC.

    Attributes:
        expiry, root: for chains and metrics; None: all of the product's.
        interval_s: for bars.
    """

    kind: Literal["ticks", "bars", "metrics", "chains", "surfaces", "status"]
    product: str
    start: int
    end: int
    expiry: str | None = None
    root: str | None = None
    interval_s: Literal[60, 300, 900] = 60


async def status(host: HostView, request: Nothing) -> dict[str, Any]:
    """The host at one instant: versions, tree, loop lag, bus, store, sizes on disk.

    A part that does not answer soon is None, and `errors` says why: the rest matters all the more.
    """
    running = host.tree is not None
    errors: dict[str, str] = {}
    bus = await _part("bus", host.bus.statistics, errors)
    store = await _part("store", host.store.statistics, errors)
    return {
        "running": running,
        "version": version("deltastream"),
        "pid": os.getpid() if running else None,
        "time_ns": host.seams.clock.now_ns(),
        "data_dir": str(host.data_dir.path),
        "feed": host.settings.feed,
        "gateway": host.gateway_url,
        "tree": plain_tree(host.tree.statistics(), trio.current_time()) if host.tree is not None else None,
        "loop_lag": msgspec.to_builtins(host.loop_lag()),
        "chain_latency": msgspec.to_builtins(host.chain_latency()),
        "bus": bus,
        "store": store,
        "sockets": msgspec.to_builtins(host.socket_statistics(), str_keys=True),
        "errors": errors,
        "bytes_on_disk": host.data_dir.sizes(),
    }


async def _part(name: str, statistics: Callable[[], Awaitable[Any]], errors: dict[str, str]) -> Any:
    try:
        with trio.fail_after(_PART_S):
            return msgspec.to_builtins(await statistics())
    except trio.TooSlowError:
        errors[name] = f"does not answer within {_PART_S:g} s"
    except DeltaStreamError as error:
        errors[name] = str(error)
    return None


def plain_tree(child: ChildStatistics, now: float) -> dict[str, Any]:
    """Statistics of a child and all below it as plain data; instants as seconds from `now`."""
    plain: dict[str, Any] = {
        "name": child.name,
        "path": child.path,
        "state": child.state.value,
        "reason": child.reason,
        "incarnation": child.incarnation,
        "restarts": child.restarts,
        "failures": child.failures,
        "uptime_s": None if child.started_at is None else now - child.started_at,
        "restart_in_s": None if child.restart_at is None else child.restart_at - now,
        "last_exit": child.last_exit.value if child.last_exit else None,
        "last_error": msgspec.to_builtins(child.last_error),
        "mailboxes": msgspec.to_builtins(child.mailboxes),
    }
    if isinstance(child, SupervisorStatistics):
        plain["strategy"] = child.strategy
        plain["restarts_in_window"] = child.restarts_in_window
        plain["max_restarts"] = child.max_restarts
        plain["period_s"] = child.period
        plain["children"] = [plain_tree(below, now) for below in child.children]
    return plain


async def bus_stats(host: HostView, request: Nothing) -> dict[str, Any]:
    """Topics, groups and counters of the bus."""
    plain: dict[str, Any] = msgspec.to_builtins(await host.bus.statistics())
    return plain


async def bus_tail(host: HostView, request: Tail, send: Send) -> None:
    """Send messages of the bus as `item_of` reads them back.

    Cancellation: ends the stream; nothing is held.
    """
    after: dict[str, Position] = {}
    if request.last:
        for record in await _newest(host.bus, request):
            await send(_record(record))
            after[record.topic] = record.position
    if request.follow:
        async with host.bus.follow(request.patterns, after=after, live=True) as follower:
            while True:
                for item in await follower.batch():
                    await send(_record(item) if isinstance(item, Record) else _gap(item))


async def _newest(bus: Bus, request: Tail) -> list[Record]:
    """The newest messages over all topics by time of receipt; each topic's own in its order."""
    newest: list[tuple[int, str, int, Record]] = []
    for topic in (await bus.statistics()).topics:
        if any(matches(pattern, topic.topic) for pattern in request.patterns):
            age = 0
            for record in await bus.last(topic.topic, limit=request.last):
                age = max(age, _received(record.message))
                newest.append((age, record.topic, record.position.seq, record))
            newest = heapq.nlargest(request.last, newest, key=_ORDER)
    return [record for *_, record in sorted(newest, key=_ORDER)]


def _received(message: Message) -> int:
    stamps = (getattr(message, name, None) for name in ("ts_recv", "ts", "start"))
    return next((stamp for stamp in stamps if stamp is not None), 0)


def _record(record: Record) -> dict[str, Any]:
    position = record.position
    return {
        "topic": record.topic,
        "epoch": position.epoch,
        "seq": position.seq,
        "frame": _frame(record.message),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    lost = {"first": gap.first, "last": gap.last, "reason": gap.reason, "new_epoch": gap.new_epoch}
    return {"topic": gap.topic, "epoch": gap.epoch, "gap": lost}


def item_of(item: Mapping[str, Any]) -> Record | Gap:
    """The record or gap in an item of `bus_tail`.

    Raises:
        MessageDecodeError: the host is of a version that knows more kinds of messages.
    """
    if gap := item.get("gap"):
        return Gap(item["topic"], item["epoch"], **gap)
    message = decode(base64.b64decode(item["frame"]))
    return Record(item["topic"], Position(item["epoch"], item["seq"]), message)


async def dlq_list(host: HostView, request: Group) -> list[dict[str, Any]]:
    """Dead letters, oldest first, without their messages."""
    return [_heading(letter) for letter in await host.bus.dead_letters(request.group)]


async def dlq_show(host: HostView, request: Letter) -> dict[str, Any]:
    """One dead letter with its traceback and its message, as far as it can be read."""
    try:
        letter = await host.bus.dead_letter(request.letter)
    except KeyError:
        raise _no_letter(request.letter) from None
    plain = _heading(letter) | {"trace": letter.trace, "message": None, "message_error": None}
    try:
        plain["message"] = to_builtins(decode(letter.frame))
    except MessageDecodeError as error:
        plain["message_error"] = str(error)
    return plain


async def dlq_replay(host: HostView, request: Letter) -> dict[str, Any]:
    """Hand a dead letter to its group once more."""
    try:
        await host.bus.replay_dead_letter(request.letter)
    except KeyError:
        raise _no_letter(request.letter) from None
    return {"replayed": request.letter}


async def dlq_drop(host: HostView, request: Letter) -> dict[str, Any]:
    """Forget a dead letter."""
    try:
        await host.bus.drop_dead_letter(request.letter)
    except KeyError:
        raise _no_letter(request.letter) from None
    return {"dropped": request.letter}


def _heading(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "group": letter.group,
        "topic": letter.topic,
        "epoch": letter.position.epoch,
        "seq": letter.position.seq,
        "ts": letter.ts,
        "attempts": letter.attempts,
        "error": letter.error,
        "bytes": len(letter.frame),
    }


def _no_letter(letter: str) -> OperationError:
    return OperationError("not_found", f"There is no dead letter {letter!r}.")


async def products(host: HostView, request: Nothing) -> list[dict[str, Any]]:
    """What the store holds: every product with its span and its expiries."""
    found = []
    for product in await host.store.products():
        expiries = await host.store.expiries(product.product)
        found.append({**msgspec.to_builtins(product), "expiries": msgspec.to_builtins(expiries)})
    return found


async def series(host: HostView, request: Series, send: Send) -> None:
    """Send a stored series page by page: messages as ``frames``, metrics as ``metrics``.

    Cancellation: ends the stream; nothing is held.
    """
    store, r = host.store, request
    product, start, end, rows = r.product, r.start, r.end, _ROWS_A_PAGE
    match r.kind:
        case "ticks":
            await _pages(
                lambda c: store.ticks(product, start=start, end=end, limit=rows, cursor=c), _frames, send
            )
        case "bars":
            bars = partial(store.bars, product, interval_s=r.interval_s)
            await _pages(lambda c: bars(start=start, end=end, limit=rows, cursor=c), _frames, send)
        case "surfaces":
            surfaces = partial(store.surfaces, product, start=start, end=end, limit=_CHAINS_A_PAGE)
            await _pages(lambda c: surfaces(cursor=c), _frames, send)
        case "status":
            statuses = partial(store.statuses, product, start=start, end=end, limit=rows)
            await _pages(lambda c: statuses(cursor=c), _frames, send)
        case "chains" | "metrics":
            for e in await store.expiries(product):
                if r.expiry in (None, e.expiry) and r.root in (None, e.root):
                    await _of_expiry(store, request, e, send)


async def _of_expiry(store: Repository, request: Series, stored: StoredExpiry, send: Send) -> None:
    product, start, end = request.product, request.start, request.end
    if request.kind == "chains":
        chains = partial(store.chains, product, expiry=stored.expiry, root=stored.root)
        await _pages(lambda c: chains(start=start, end=end, limit=_CHAINS_A_PAGE, cursor=c), _frames, send)
    else:
        metrics = partial(store.metrics, product, expiry=stored.expiry, root=stored.root)
        await _pages(lambda c: metrics(start=start, end=end, limit=_ROWS_A_PAGE, cursor=c), _metrics, send)


async def _pages(
    read: Callable[[str | None], Awaitable[Page[T]]], item: Callable[[list[T]], dict[str, Any]], send: Send
) -> None:
    cursor: str | None = None
    while True:
        page = await read(cursor)
        if page.items:
            await send(item(page.items))
        if (cursor := page.cursor) is None:
            return


def _frames(messages: list[Any]) -> dict[str, Any]:
    return {"frames": [_frame(message) for message in messages]}


def _metrics(rows: list[Any]) -> dict[str, Any]:
    return {"metrics": msgspec.to_builtins(rows)}


def _frame(message: Message) -> str:
    return base64.b64encode(encode(message)).decode()


async def stop(host: HostView, request: Nothing) -> dict[str, Any]:
    """Begin the ordered stop of the host."""
    if host.tree is None:
        raise OperationError("not_running", "No host is running.")
    host.request_stop("asked for by command")
    return {"stopping": True}


@dataclass(frozen=True, slots=True)
class _Operation:
    request: type[Request]
    run: Callable[..., Awaitable[Any]]


CALLS: Final[Mapping[str, _Operation]] = {
    "status": _Operation(Nothing, status),
    "bus.stats": _Operation(Nothing, bus_stats),
    "dlq.list": _Operation(Group, dlq_list),
    "dlq.show": _Operation(Letter, dlq_show),
    "dlq.replay": _Operation(Letter, dlq_replay),
    "dlq.drop": _Operation(Letter, dlq_drop),
    "products": _Operation(Nothing, products),
    "stop": _Operation(Nothing, stop),
}
"""Operations with one answer, by name."""

STREAMS: Final[Mapping[str, _Operation]] = {
    "bus.tail": _Operation(Tail, bus_tail),
    "series": _Operation(Series, series),
}
"""Operations that send items, by name."""


def checked(operation: str, params: Mapping[str, Any]) -> Request:
    """The typed request of an operation.

    Raises:
        OperationError: no such operation, or not its parameters.
    """
    known = CALLS.get(operation) or STREAMS.get(operation)
    if known is None:
        raise OperationError("bad_request", f"There is no operation {operation!r}.")
    try:
        return msgspec.convert(params, known.request)
    except msgspec.ValidationError as error:
        raise OperationError("bad_request", f"{operation}: {error}") from None
