"""Structured-concurrency supervision on Trio."""

from supervisors._backoff import NO_BACKOFF, Backoff
from supervisors._context import Context
from supervisors._errors import (
    ChildRunning,
    DuplicateChild,
    InvalidSpec,
    RestartIntensityExceeded,
    StartFailed,
    StartTimeout,
    StuckChild,
    SupervisionError,
    SupervisorStopped,
    UnknownChild,
    UnknownMailbox,
)
from supervisors._events import Event, EventKind
from supervisors._host import run_tree, stop_on_signals
from supervisors._intensity import Intensity
from supervisors._lag import LoopLag
from supervisors._mailbox import Address, Mailbox, Overflow, Policy, block, conflate, drop_newest, drop_oldest
from supervisors._spec import AutoShutdown, ChildSpec, Restart, Service, Strategy, SupervisorSpec
from supervisors._statistics import (
    ChildState,
    ChildStatistics,
    ErrorRecord,
    ExitReason,
    LagStatistics,
    MailboxStatistics,
    SinkStatistics,
    SupervisorStatistics,
)
from supervisors._supervisor import Supervisor
from supervisors._tree import Outcome, Tree, TreeExit, open_tree

__all__ = [
    "NO_BACKOFF",
    "Address",
    "AutoShutdown",
    "Backoff",
    "ChildRunning",
    "ChildSpec",
    "ChildState",
    "ChildStatistics",
    "Context",
    "DuplicateChild",
    "ErrorRecord",
    "Event",
    "EventKind",
    "ExitReason",
    "Intensity",
    "InvalidSpec",
    "LagStatistics",
    "LoopLag",
    "Mailbox",
    "MailboxStatistics",
    "Outcome",
    "Overflow",
    "Policy",
    "Restart",
    "RestartIntensityExceeded",
    "Service",
    "SinkStatistics",
    "StartFailed",
    "StartTimeout",
    "Strategy",
    "StuckChild",
    "SupervisionError",
    "Supervisor",
    "SupervisorSpec",
    "SupervisorStatistics",
    "SupervisorStopped",
    "Tree",
    "TreeExit",
    "UnknownChild",
    "UnknownMailbox",
    "block",
    "conflate",
    "drop_newest",
    "drop_oldest",
    "open_tree",
    "run_tree",
    "stop_on_signals",
]
