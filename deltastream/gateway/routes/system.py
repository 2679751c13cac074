"""How the host is: ``/health``, ``/ready``, ``/metrics`` and ``/api/system``.

The same functions answer the control socket, see `deltastream.host.operations`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
import trio

from deltastream.bus import BusStatistics
from deltastream.gateway import metrics as numbers
from deltastream.gateway.counters import GatewayStatistics
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes._accounts import instant
from deltastream.gateway.routing import Answer, Call, NoParameters, Route, route
from deltastream.host import operations
from deltastream.host.operations import HostView, OperationError
from deltastream.latency import LatencyStatistics
from deltastream.sockets.statistics import SocketStatistics
from deltastream.storage.protocol import StoreStatistics
from supervisors import ChildState, ErrorRecord, ExitReason, LagStatistics, MailboxStatistics

__all__ = ["ROUTES"]

T = TypeVar("T")

_SERVING: Final = (ChildState.RUNNING, ChildState.DEGRADED)
_READY_SOON_S: Final = 2.0


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers.

    Attributes:
        status: always ``ok``.
    """

    status: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Every part does its work.

    Attributes:
        status: ``ready``, or ``degraded`` where something outside is away and the host goes on without.
        degraded: the parts that have to do without something.
    """

    status: str
    degraded: tuple[str, ...]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """An actor, or a supervisor with all below it.

    Attributes:
        name: unique among its siblings.
        path: names from the root down.
        state: where it stands.
        reason: why it is degraded.
        incarnation: of the present one, from 1.
        restarts: how often it was started again.
        failures: in a row.
        uptime_s: since when it runs.
        restart_in_s: until it is started again.
        last_exit: how the previous incarnation ended.
        last_error: the last of any incarnation.
        mailboxes: its own.
        strategy: of a supervisor.
        restarts_in_window: that count towards a supervisor giving up.
        max_restarts: so many are borne within the window.
        period_s: its length.
        children: in the order of their start.
    """

    name: str
    path: str
    state: ChildState
    reason: str | None
    incarnation: int
    restarts: int
    failures: int
    uptime_s: float | None
    restart_in_s: float | None
    last_exit: ExitReason | None
    last_error: ErrorRecord | None
    mailboxes: tuple[MailboxStatistics, ...]
    strategy: str | None = None
    restarts_in_window: int | None = None
    max_restarts: int | None = None
    period_s: float | None = None
    children: tuple[Actor, ...] = ()


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway has done since it began.

    Attributes:
        active: on their way.
        answered: so many.
        seconds: that all of them took together.
        sent_bytes: of bodies.
        limited: refused by a rate limit.
        defects: answered 500.
    """

    active: int
    answered: int
    seconds: float
    sent_bytes: int
    limited: int
    defects: int


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The host at one instant.

    Counts are since something began, and rates are the difference of two of them over that of
    `tree.uptime_s`, which no change of the clock disturbs.

    Attributes:
        version: of DeltaStream.
        time: the host's.
        feed: where its market comes from.
        tree: its actors.
        loop_lag: how late the event loop was lately.
        chain_latency: how long chains took lately from the feed's receipt until they were on the bus,
            enriched; null where this host enriches none.
        bus: topics, groups and how far each is; null where it did not answer.
        store: its size; null where it did not answer.
        sockets: clients and what they were sent; null where this host serves none.
        requests: what this gateway has answered.
        errors: why a part did not answer.
        bytes_on_disk: by file or directory.
    """

    version: str
    time: datetime
    feed: str
    tree: Actor | None
    loop_lag: LagStatistics | None
    chain_latency: LatencyStatistics | None
    bus: BusStatistics | None
    store: StoreStatistics | None
    sockets: SocketStatistics | None
    requests: Requests
    errors: dict[str, str]
    bytes_on_disk: dict[str, int]


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a group could not process.

    Attributes:
        id: names it here.
        group: could not process it.
        topic, epoch, seq: where it stands.
        time: when it was given up.
        attempts: how often it was tried.
        error: of the last attempt.
        bytes: its size.
    """

    id: str
    group: str
    topic: str
    epoch: str
    seq: int
    time: datetime
    attempts: int
    error: str
    bytes: int


class DeadLetterViews(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters.

    Attributes:
        dead_letters: oldest first, at most the newest thousand.
    """

    dead_letters: tuple[DeadLetterView, ...]


class WholeDeadLetter(DeadLetterView, frozen=True, kw_only=True):
    """A dead letter with its message.

    Attributes:
        trace: of the last attempt.
        message: as far as it can be read.
        message_error: why it cannot.
    """

    trace: str
    message: dict[str, Any] | None
    message_error: str | None


class OfGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose dead letters.

    Attributes:
        group: left out: everybody's.
    """

    group: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class LetterId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letter.

    Attributes:
        id: as listed.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]{1,64}$")]


@route("GET", "/health", scope="anyone", tag="system", answers=Alive)
async def health(call: Call[NoParameters, None]) -> Answer:
    """Tell that the process lives: its event loop turns. Nothing else is looked at."""
    return _ALIVE


@route("GET", "/ready", scope="anyone", tag="system", answers=Ready, problems=("not_ready",))
async def ready(call: Call[NoParameters, None]) -> Answer:
    """Tell whether the host does its work.

    It does not while an actor is down or being restarted, or the bus takes no messages. What goes on
    without something from outside, such as a feed that is down, is named and does not make the host
    unready, because its answers are still worth having.
    """
    host = call.services.host
    down, degraded = await _parts(host)
    if down:
        raise Problem("not_ready", f"Not ready: {', '.join(down)}.", retry_after_s=1.0)
    return Answer(Ready(status="degraded" if degraded else "ready", degraded=tuple(degraded)))


@route(
    "GET",
    "/metrics",
    scope="read:system",
    tag="system",
    answers=str,
    media=("text/plain",),
)
async def metrics(call: Call[NoParameters, None]) -> Answer:
    """The host in numbers, in Prometheus's text format."""
    reading = await numbers.read(call.services.host, call.services.counters.statistics())
    return Answer(numbers.exposition(reading), headers=(("content-type", numbers.CONTENT_TYPE),))


@route("GET", "/api/system/tree", scope="read:system", tag="system", answers=HostStatus)
async def tree(call: Call[NoParameters, None]) -> Answer:
    """Show the actors with their restarts and lags, the bus and the store."""
    plain = await operations.status(call.services.host, operations.Nothing())
    plain["time"] = instant(plain.pop("time_ns"))
    plain["requests"] = msgspec.to_builtins(_requests(call.services.counters.statistics()))
    return Answer(msgspec.convert(plain, HostStatus, builtin_types=(datetime,), str_keys=True))


@route(
    "GET",
    "/api/system/dead-letters",
    scope="admin",
    tag="system",
    parameters=OfGroup,
    answers=DeadLetterViews,
)
async def list_dead_letters(call: Call[OfGroup, None]) -> Answer:
    """List the messages that could not be processed."""
    letters = await operations.dlq_list(call.services.host, operations.Group(group=call.parameters.group))
    return Answer(DeadLetterViews(dead_letters=tuple(_typed(each, DeadLetterView) for each in letters)))


@route(
    "GET",
    "/api/system/dead-letters/{id}",
    scope="admin",
    tag="system",
    parameters=LetterId,
    answers=WholeDeadLetter,
    problems=("not_found",),
)
async def show_dead_letter(call: Call[LetterId, None]) -> Answer:
    """Show a dead letter with its traceback and its message."""
    letter = operations.Letter(letter=call.parameters.id)
    plain = await _found(operations.dlq_show(call.services.host, letter))
    return Answer(_typed(plain, WholeDeadLetter))


@route(
    "POST",
    "/api/system/dead-letters/{id}/replay",
    scope="admin",
    tag="system",
    parameters=LetterId,
    status=204,
    problems=("not_found",),
)
async def replay_dead_letter(call: Call[LetterId, None]) -> Answer:
    """Hand a dead letter to its group once more."""
    await _found(operations.dlq_replay(call.services.host, operations.Letter(letter=call.parameters.id)))
    return Answer(None, status=204)


@route(
    "DELETE",
    "/api/system/dead-letters/{id}",
    scope="admin",
    tag="system",
    parameters=LetterId,
    status=204,
    problems=("not_found",),
)
async def drop_dead_letter(call: Call[LetterId, None]) -> Answer:
    """Forget a dead letter."""
    await _found(operations.dlq_drop(call.services.host, operations.Letter(letter=call.parameters.id)))
    return Answer(None, status=204)


async def _parts(host: HostView) -> tuple[list[str], list[str]]:
    """The parts that do not work, and those that have to do without something."""
    if host.tree is None:
        return ["host"], []
    children = list(host.tree.statistics().walk())
    down = [
        child.path
        for child in children
        if child.state not in _SERVING
        and not (child.state is ChildState.STOPPED and child.last_exit is ExitReason.NORMAL)
    ]
    degraded = [child.path for child in children if child.state is ChildState.DEGRADED]
    with trio.move_on_after(_READY_SOON_S) as soon:
        if (await host.bus.statistics()).state != "running":
            down.append("bus")
        if (state := (await host.store.statistics()).state) != "running":
            (degraded if state == "degraded" else down).append("store")
    if soon.cancelled_caught:
        down.append("statistics")
    return down, degraded


async def _found(operation: Awaitable[T]) -> T:
    try:
        return await operation
    except OperationError as error:
        raise Problem("not_found", str(error)) from None


def _requests(gateway: GatewayStatistics) -> Requests:
    return Requests(
        active=gateway.active,
        answered=sum(gateway.requests.values()),
        seconds=math.fsum(taken.total_s for taken in gateway.durations.values()),
        sent_bytes=gateway.sent_bytes,
        limited=gateway.limited,
        defects=gateway.defects,
    )


def _typed(plain: dict[str, Any], kind: type[T]) -> T:
    return msgspec.convert({**plain, "time": instant(plain["ts"])}, kind)


_ALIVE: Final = Answer(Alive(status="ok"))

ROUTES: Final[tuple[Route, ...]] = (
    health,
    ready,
    metrics,
    tree,
    list_dead_letters,
    show_dead_letter,
    replay_dead_letter,
    drop_dead_letter,
)
