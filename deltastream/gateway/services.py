"""What the handlers of the gateway work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltastream.accounts import AccountService
from deltastream.bus import Bus
from deltastream.gateway.counters import Counters
from deltastream.gateway.live import Live
from deltastream.gateway.settings import GatewaySettings
from deltastream.gateway.sockets import Sockets
from deltastream.seams import Seams
from deltastream.storage.protocol import Repository

if TYPE_CHECKING:
    from deltastream.host.operations import HostView

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a host that the gateway shows.

    Attributes:
        settings: of the gateway.
        seams: time and ids.
        bus: for what is looked at on request; what is live comes from `live`.
        store: history.
        live: the latest state, followed from the bus, readable while the store is away.
        accounts: who may do what.
        host: the tree and what can be asked of it.
        sockets: who serves sockets; None: nobody on this host.
        counters: what the gateway has done.
    """

    settings: GatewaySettings
    seams: Seams
    bus: Bus
    store: Repository
    live: Live
    accounts: AccountService
    host: HostView
    sockets: Sockets | None = None
    counters: Counters = field(default_factory=Counters)
