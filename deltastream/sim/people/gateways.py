"""Gateways over one data directory and one bus, each with accounts of its own, as processes would have.

A gateway comes up with its host and dies with it; its service crashes where a fault says so and is
started again with fresh memory, as a supervisor would. What it answered when its host was dead counts
for nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from deltastream.accounts import (
    AccountService,
    Administration,
    KeyRing,
    SqliteAccountStore,
)
from deltastream.errors import DeltaStreamError, StoreError
from deltastream.gateway.limits import LocalBuckets
from deltastream.sim._kinds import AUTH
from deltastream.sim.faults._strike import InjectedCrash
from deltastream.sim.host import ACCOUNTS
from deltastream.sim.machine import process
from deltastream.sim.people.judge import Span
from deltastream.sim.seams import SimSecrets
from supervisors import Context, Service

if TYPE_CHECKING:
    from deltastream.sim.host import SimHost
    from deltastream.sim.world import World

__all__ = ["Gateway", "Lost"]

T = TypeVar("T")

_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 30.0


class Lost(Exception):
    """Nobody knows whether it has taken effect: the store was away, or the process died meanwhile."""


class Gateway:
    """One gateway through all incarnations of the host: the first is the host's own, others are beside it.

    Attributes:
        number: from 0.
        life: of how many services this is the latest: each has forgotten what the last one counted.
        buckets: of its rate limits.
    """

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.life = 0
        self.buckets = LocalBuckets()
        self._starts = 0
        self._world = world
        self._own: AccountService | None = None
        self._latest: AccountService | None = None

    async def run(self, host: SimHost) -> None:
        """Serve while this incarnation of the host lives. Cancellation: as the end of its process."""
        token = process.set(host)
        try:
            while self.number:
                try:
                    await self._live(host)
                except* (DeltaStreamError, InjectedCrash):
                    pass
                await trio.sleep(_AGAIN_S)
        finally:
            process.reset(token)

    async def _live(self, host: SimHost) -> None:
        self._starts += 1
        secrets = SimSecrets(self._world.rng(f"secrets/gateway/{self.number}/{self._starts}"))
        seams = replace(host.seams, secrets=secrets)
        files = host.data_dir
        ring = KeyRing(files.signing_keys, token_s=ACCOUNTS.access_s, seams=seams)
        await ring.open()
        async with SqliteAccountStore(files.accounts, seams) as store:
            service = AccountService(store, ring, ACCOUNTS, seams, open_registration=True)
            try:
                async with trio.open_nursery() as nursery:
                    run: Any = self._crashing(partial(_serve, service, host))
                    await nursery.start(run, None)  # it has no use for a context
                    self._own = service
            finally:
                self._own = None

    def _present(self) -> tuple[AccountService, SimHost]:
        """The service and the process that it runs in.

        Raises:
            Lost: there is none.
        """
        host = self._world.host
        service = self._own if self.number else _service_of(host)
        if host is None or service is None:
            raise Lost
        if service is not self._latest:
            self._latest, self.buckets = service, LocalBuckets()
            self.life += 1
        return service, host

    def _crashing(self, service: Service) -> Service:
        for wrap in self._world.wrap_child:
            service = wrap(AUTH, service)
        return service

    async def ask(self, question: Callable[[AccountService], Awaitable[T]]) -> tuple[T, Span]:
        """What the service answers, and when.

        Cancellation: may have taken effect or not.

        Raises:
            AccountError: what it refuses; `span` tells when.
            Lost: it gave no answer that counts.
        """
        service, host = self._present()
        return await self._asked(host, partial(question, service))

    async def command(self, do: Callable[[Administration], Awaitable[T]]) -> tuple[T, Span]:
        """The same of what an operator does on the command line beside it; cancellation as well."""
        service, host = self._present()
        return await self._asked(host, partial(do, Administration(service._store, service._seams)))

    async def _asked(self, host: SimHost, question: Callable[[], Awaitable[T]]) -> tuple[T, Span]:
        begun = trio.current_time()
        token = process.set(host)
        try:
            with trio.fail_after(_PATIENCE_S):
                answer = await question()
        except (StoreError, trio.TooSlowError):
            raise Lost from None
        except Exception as error:
            if not host.alive:
                raise Lost from None
            error.span = Span(begun, trio.current_time())  # type: ignore[attr-defined]  # ours to tell when
            raise
        finally:
            process.reset(token)
        if not host.alive:
            raise Lost
        return answer, Span(begun, trio.current_time())

    def remembered(self) -> dict[str, int]:
        """How much the accounts keep in memory."""
        service = self._latest
        if service is None:
            return {}
        return {
            "sessions": len(service._who._sessions._entries),
            "keys": len(service._who._keys._entries),
            "failures": len(service._attempts._failures),
            "addresses": len(service._attempts._known),
        }

    async def waiting(self) -> str | None:
        """What is still to be done, in words. Cancellation: no effect."""
        try:
            service, _ = self._present()
            waiting = await service._store.revocations()
        except (Lost, StoreError):
            return f"gateway {self.number} cannot reach its accounts"
        return f"{len(waiting)} revocations are not on the bus" if waiting else None


def _service_of(host: SimHost | None) -> AccountService | None:
    return None if host is None or host.edge is None else host.edge.auth._service


async def _serve(
    service: AccountService, host: SimHost, ctx: Context, /, *, task_status: trio.TaskStatus[None]
) -> None:
    await service.run(host.bus, task_status=task_status)
