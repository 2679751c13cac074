"""The injectors: each family of faults takes hold of a world, and tells it when it strikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastream.sim.faults.crash import Crashes
from deltastream.sim.faults.disk import DiskFaults
from deltastream.sim.faults.process import ProcessFaults
from deltastream.sim.faults.provider import FeedFaults
from deltastream.sim.faults.readers import ReaderFaults
from deltastream.sim.plan import Plan

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["ReaderFaults", "inject"]


def inject(world: World, plan: Plan) -> ReaderFaults | None:
    """Have everything that a plan says happen to a world that has not run yet.

    Returns:
        What the readers of the world obey; None where nothing is asked of them.
    """
    faults = plan.faults
    feed = FeedFaults(world, faults)
    if feed.any:
        world.wrap_provider.append(feed.wrap)
        world.on_accept.append(feed.accepted)
    crashes = Crashes(world, faults)
    if crashes.any:
        world.wrap_child.append(crashes.wrap)
    disk = DiskFaults(world, faults)
    if disk.slows:
        world.on_thread.append(disk)
    if disk.fails:
        world.around.append(disk.in_force)
    process = ProcessFaults(world, faults, disk.synced)
    if process.any:
        world.around.append(process.in_force)
    readers = ReaderFaults(world, faults)
    return readers if readers.any else None
