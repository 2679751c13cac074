"""Supervision trees on Trio: Erlang/OTP semantics for structured concurrency.

A tree is described by ``SupervisorSpec`` and ``ChildSpec`` and run by ``open_tree`` (beside other code) or
``run_tree`` (as a whole program, with signals). A child is a *service*::

    async def run(ctx: Context, *, task_status) -> None:
        resource = acquire()            # an exception here is a failed start
        task_status.started(handle)     # the handshake
        while True: ...                 # an exception here is a crash

Example: a child crashes on the second item; its mailbox survives, the next incarnation reads on. ::

    import random

    import trio

    from supervisors import ChildSpec, Context, Mailbox, SupervisorSpec, block, open_tree

    async def divider(ctx: Context, *, task_status: trio.TaskStatus[None]) -> None:
        numbers = ctx.mailbox("numbers")
        task_status.started()
        async for number in numbers:
            print(f"incarnation {ctx.incarnation}: {100 / number:g}")

    async def main() -> None:
        numbers: Mailbox[int] = Mailbox("numbers", block(16))
        root = SupervisorSpec(
            name="app",
            children=(ChildSpec(name="divider", start=divider, mailboxes=(numbers,)),),
        )
        async with open_tree(root, rng=random.Random()) as tree:
            for number in (4, 0, 5):
                await numbers.address.send(number)
            await trio.sleep(1)
            child = tree.find("app/divider")
            print(child.state.value, child.restarts)

    trio.run(main)

Semantics. Every row is a test.

Start
 1. Children start in the order given, one at a time: the next when the one before has called
    ``started()``.
 2. An exception before ``started()``, a return without it, and ``start_timeout`` are failed starts.
 3. If an initial start fails, those already started are stopped in reverse and the supervisor's own start
    fails with ``StartFailed``, the original error at the end of its chain of causes.
 4. What is passed to ``started()`` is the result of ``add_child`` and ``restart_child``.

Stop
 5. Strictly in reverse, one at a time: cancel the child's scope, wait for its end at most ``shutdown``
    seconds.
 6. All of it within a total budget (``SupervisorSpec.shutdown``, by default what the children sum up to);
    once that is spent the remaining children are cancelled together.
 7. A cancellation from outside of the tree becomes an ordered stop; ``Cancelled`` is raised after it. It
    works during starts, restarts and back-off too.
 8. A child that still runs after its grace is *stuck*: recorded, told as an event, and never replaced. If
    it has to make way for a restart its supervisor gives up with ``StuckChild``, the parent waits for
    that one, then gives up too, up to the root, whose host can but end the process.

Exit
 9. An incarnation is one task with its own cancel scope. It ends NORMAL (returned), STOPPED (asked to,
    and did), CRASHED (raised, panics outside of ``Exception`` included) or CANCELLED. No crash reaches a
    sibling.
10. ``KeyboardInterrupt`` and ``SystemExit`` stop the whole tree in order and are then raised.

Restart
11. PERMANENT children are restarted after every exit, a normal one included.
12. TRANSIENT children are restarted after a crash only.
13. TEMPORARY children never are; their specification is forgotten, even if a sibling's crash stopped
    them.
14. ONE_FOR_ONE restarts the failed child alone.
15. ONE_FOR_ALL stops all the others in reverse and restarts all in order.
16. REST_FOR_ONE does so with the failed child and those started after it.
17. The last two start every child in question that is not running, one that had finished or been
    terminated too.
18. Every incarnation starts from nothing; never are there two of one child at once.

Intensity
19. A supervisor gives up at more than ``max_restarts`` failures within ``[now - period, now]``, ends
    included.
20. A failure counts once, whatever it makes restart; siblings stopped by the strategy do not count.
21. A failed restart counts again and is tried again; stops and other events are served in between.
22. Giving up: all children are stopped, then ``RestartIntensityExceeded`` is raised: the parent sees a
    crash.
23. Restarts wait for a jittered exponential back-off, which starts anew after a healthy time. It does not
    change what is counted.

Significant children
24. The own end of any or of the last significant child, not followed by a restart, ends the supervisor
    normally.
25. Not for permanent children, and not by stops that the supervisor made itself.

Dynamic children
26. ``add_child`` appends, ``terminate_child`` stops, ``restart_child`` starts, ``remove_child`` forgets.
    None of it counts as a restart. A child may call them for itself; it is cancelled while it waits.
27. A restarted supervisor begins with the children of its specification; added ones are lost.

Mailboxes, states, events
28. A mailbox belongs to the specification: it outlives incarnations, also of supervisors, and is closed
    with the tree, or with an added child when that is forgotten.
29. An expected outage is a state, not a crash: ``ctx.degraded(reason)``, ``ctx.running()``.
30. ``statistics()`` shows every node at any time, afterwards too.
31. Events reach the callback in order from a bounded queue; it can neither break nor block a supervisor.

Trio rules apply: use everything from the thread of the Trio run, and do not hold the loop (``LoopLag``
shows who does). A supervisor must not be asked to add a child by one that is just starting: each would
wait for the other.
"""

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
