"""The host in numbers, as Prometheus reads them.

Nothing is counted twice: every number is one that the tree, the bus, the store, the gateway or the
event loop keeps anyway, read when somebody scrapes. Base units; names as Prometheus's conventions
want them. Labels are actors, groups, kinds of topics and routes, never products, users or addresses:
however many of them there are, there are no more series. What is known of each product stands in
``/api/system/tree``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Final, TypeVar

import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from deltastream.bus import BusStatistics
from deltastream.errors import DeltaStreamError
from deltastream.gateway.counters import BOUNDS_S, GatewayStatistics
from deltastream.host.operations import HostView
from deltastream.latency import LatencyStatistics
from deltastream.sockets.statistics import SocketStatistics
from deltastream.storage.protocol import StoreStatistics
from supervisors import ChildState, LagStatistics, SupervisorStatistics

__all__ = ["CONTENT_TYPE", "Reading", "exposition", "read"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T")

_PART_S: Final = 2.0
_SECOND: Final = 1e9
_UP: Final = (ChildState.RUNNING, ChildState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Reading:
    """A host at one instant; None for a part that did not answer."""

    tree: SupervisorStatistics | None
    lag: LagStatistics | None
    latency: LatencyStatistics | None
    bus: BusStatistics | None
    store: StoreStatistics | None
    gateway: GatewayStatistics
    sockets: SocketStatistics | None


async def read(host: HostView, gateway: GatewayStatistics) -> Reading:
    """Read the statistics of every part.

    Cancellation: no effect.
    """
    return Reading(
        tree=None if host.tree is None else host.tree.statistics(),
        lag=host.loop_lag(),
        latency=host.chain_latency(),
        bus=await _soon(host.bus.statistics),
        store=await _soon(host.store.statistics),
        gateway=gateway,
        sockets=host.socket_statistics(),
    )


def exposition(reading: Reading) -> bytes:
    """A reading, and this process, in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Host(reading))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


async def _soon(statistics: Callable[[], Awaitable[T]]) -> T | None:
    try:
        with trio.fail_after(_PART_S):
            return await statistics()
    except (trio.TooSlowError, DeltaStreamError):
        return None


class _Host(Collector):
    """What a reading says."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        """Everything, part by part."""
        reading = self._reading
        build = GaugeMetricFamily("deltastream_build", "Always 1.", labels=["version"])
        build.add_metric([_version()], 1)
        yield build
        if reading.tree is not None:
            yield from _tree(reading.tree)
        if reading.lag is not None:
            yield from _lag(reading.lag)
        if reading.latency is not None:
            yield from _latency(reading.latency)
        yield from _bus(reading.bus)
        yield from _store(reading.store)
        yield from _gateway(reading.gateway)
        if reading.sockets is not None:
            yield from _sockets(reading.sockets)


@cache
def _version() -> str:
    return version("deltastream")


def _tree(tree: SupervisorStatistics) -> Iterator[Metric]:
    up = _gauge("actor_up", "Whether the actor runs.", "actor")
    degraded = _gauge("actor_degraded", "Whether something that the actor needs is away.", "actor")
    restarts = _counter("actor_restarts", "How often the actor was started again.", "actor")
    depth = _gauge("mailbox_depth_messages", "Messages in the mailbox.", "actor", "mailbox")
    capacity = _gauge("mailbox_capacity_messages", "Messages that fit into it.", "actor", "mailbox")
    dropped = _counter("mailbox_dropped_messages", "Messages lost to its policy.", "actor", "mailbox")
    conflated = _counter("mailbox_conflated_messages", "Messages replaced by later ones.", "actor", "mailbox")
    for child in tree.walk():
        up.add_metric([child.path], child.state in _UP)
        degraded.add_metric([child.path], child.state is ChildState.DEGRADED)
        restarts.add_metric([child.path], child.restarts)
        for mailbox in child.mailboxes:
            labels = [child.path, mailbox.name]
            depth.add_metric(labels, mailbox.depth)
            capacity.add_metric(labels, mailbox.capacity)
            dropped.add_metric(labels, mailbox.dropped)
            conflated.add_metric(labels, mailbox.conflated)
    yield from (up, degraded, restarts, depth, capacity, dropped, conflated)


def _lag(lag: LagStatistics) -> Iterator[Metric]:
    window = f"over the last {lag.window:g} s"
    if lag.p99 is not None and lag.maximum is not None:
        yield _one(
            "event_loop_lag_p99_seconds", f"Lateness of the event loop, 99th percentile {window}.", lag.p99
        )
        yield _one(
            "event_loop_lag_max_seconds", f"Lateness of the event loop, the most {window}.", lag.maximum
        )
    holds = _counter("event_loop_holds", f"How often the event loop was held over {lag.threshold:g} s.")
    holds.add_metric([], lag.holds_total)
    yield holds


def _latency(latency: LatencyStatistics) -> Iterator[Metric]:
    what = f"From receipt of a chain until it is on the bus, enriched, over the last {latency.window:g} s"
    for name, words, value in (
        ("p50", "median", latency.p50),
        ("p99", "99th percentile", latency.p99),
        ("max", "the most", latency.maximum),
    ):
        if value is not None:
            yield _one(f"chain_latency_{name}_seconds", f"{what}, {words}.", value)


def _bus(bus: BusStatistics | None) -> Iterator[Metric]:
    yield _one("bus_up", "Whether the bus takes messages.", bus is not None and bus.state == "running")
    if bus is None:
        return
    yield _one("bus_pending_messages", "Messages accepted and not yet committed.", bus.pending)
    yield _one("bus_pending_bytes", "Their size.", bus.pending_bytes)
    yield _one("journal_size_bytes", "The journal on disk, with its log.", bus.bytes_on_disk)
    yield _one("journal_log_size_bytes", "The journal's log.", bus.log_bytes)
    yield _total("bus_commits", "Transactions of the journal.", bus.commits)
    yield _total("bus_appended_messages", "Messages appended.", bus.appended)
    yield _total("bus_duplicate_messages", "Messages that had been appended before.", bus.duplicates)
    yield from _topics(bus)
    yield from _groups(bus)


def _topics(bus: BusStatistics) -> Iterator[Metric]:
    size: dict[str, int] = defaultdict(int)
    newest: dict[str, int] = {}
    for topic in bus.topics:
        kind = _kind(topic.topic)
        size[kind] += topic.bytes
        if topic.last_ts is not None:
            newest[kind] = max(newest.get(kind, 0), topic.last_ts)
    sizes = _gauge("topic_size_bytes", "What is kept of the topics of a kind.", "kind")
    for kind, bytes_kept in size.items():
        sizes.add_metric([kind], bytes_kept)
    yield sizes
    last = _gauge("topic_last_message_timestamp_seconds", "When the newest message came, Unix time.", "kind")
    for kind, ts in newest.items():
        last.add_metric([kind], ts / _SECOND)
    yield last


def _groups(bus: BusStatistics) -> Iterator[Metric]:
    sums: dict[tuple[str, str], list[int]] = {}
    for group in bus.groups:
        owed = (group.lag, group.in_flight, group.retrying, group.dead, group.lost)
        before = sums.setdefault((group.group, _kind(group.topic)), [0] * len(owed))
        before[:] = (a + b for a, b in zip(before, owed, strict=True))
    families: tuple[GaugeMetricFamily | CounterMetricFamily, ...] = (
        _gauge("group_lag_messages", "Messages that the group has not seen.", "group", "kind"),
        _gauge("group_in_flight_messages", "Messages it works on.", "group", "kind"),
        _gauge("group_retrying_messages", "Messages that failed and wait.", "group", "kind"),
        _gauge("group_dead_messages", "Its dead letters.", "group", "kind"),
        _counter("group_lost_messages", "Messages that were trimmed before it saw them.", "group", "kind"),
    )
    for labels, values in sums.items():
        for family, value in zip(families, values, strict=True):
            family.add_metric(labels, value)
    yield from families


def _store(store: StoreStatistics | None) -> Iterator[Metric]:
    yield _one("store_up", "Whether the store answers.", store is not None and store.state == "running")
    if store is None:
        return
    yield _one("store_size_bytes", "The store on disk.", store.bytes_on_disk)
    yield _total("store_applied_messages", "Messages that took effect.", store.applied)
    yield _total("store_duplicate_messages", "Messages that had taken effect before.", store.duplicates)
    pruned = _counter("store_pruned_rows", "Rows that retention has removed.", "kind")
    for kind, rows in store.pruned.items():
        pruned.add_metric([kind], rows)
    yield pruned


def _gateway(gateway: GatewayStatistics) -> Iterator[Metric]:
    requests = _counter("http_requests", "Requests answered.", "method", "route", "status")
    for (method, path, status), count in gateway.requests.items():
        requests.add_metric([method, path, str(status)], count)
    yield requests
    durations = HistogramMetricFamily(
        "deltastream_http_request_duration_seconds", "From the request to its answer.", labels=["route"]
    )
    for path, taken in gateway.durations.items():
        buckets, sum_so_far = [], 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), taken.counts, strict=True):
            sum_so_far += count
            buckets.append((bound, sum_so_far))
        durations.add_metric([path], buckets, taken.total_s)
    yield durations
    yield _one("http_requests_active", "Requests on their way.", gateway.active)
    yield _total("http_sent_bytes", "Bytes of bodies sent.", gateway.sent_bytes)


def _sockets(sockets: SocketStatistics) -> Iterator[Metric]:
    yield _one("socket_connections", "Sockets open, on both ports.", sockets.connections)
    yield _one("socket_rooms", "Rooms that somebody is in.", sockets.rooms)
    yield _total("socket_sent_frames", "Frames that clients have taken.", sockets.frames)
    yield _total("socket_writes", "Writes in which they left.", sockets.writes)
    yield _total("socket_passed_batches", "Batches that slow clients did not get.", sockets.passed)
    closed = _counter("socket_closes", "Connections that we closed.", "code")
    for code, count in sorted(sockets.closed.items()):
        closed.add_metric([str(code)], count)
    yield closed


def _kind(topic: str) -> str:
    """A topic without its product."""
    return ".".join(topic.split(".", 2)[:2])


def _gauge(name: str, help_: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"deltastream_{name}", help_, labels=labels)


def _counter(name: str, help_: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"deltastream_{name}", help_, labels=labels)


def _one(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"deltastream_{name}", help_, value=value)


def _total(name: str, help_: str, value: float) -> Metric:
    return CounterMetricFamily(f"deltastream_{name}", help_, value=value)
