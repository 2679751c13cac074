"""Who else comes to a gateway: an operator, somebody who guesses, and somebody who asks too often."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from deltastream.accounts import InvalidCredentials, InvalidToken, NotFound, TooManyAttempts
from deltastream.gateway.limits import Policy
from deltastream.sim.people.gateways import Gateway, Lost
from deltastream.sim.people.judge import Guesses, Level
from deltastream.sim.people.person import Person, both

if TYPE_CHECKING:
    from deltastream.accounts import AccountService, Administration
    from deltastream.sim.world import World

__all__ = ["Customer", "Guesser", "Operator"]

_POLICY: Final = Policy("user", 600, 30)
_EPSILON: Final = 1e-3


class Operator:
    """Works on the command line beside a gateway: logs people out, disables and enables them, makes links."""

    def __init__(self, world: World, gateways: list[Gateway], people: list[Person]) -> None:
        self._world = world
        self._gateways = gateways
        self._people = people
        self._rng = world.rng("people/operator")

    async def step(self) -> None:
        """Do something to somebody.

        Cancellation: may have taken effect or not.
        """
        person = self._rng.choice(self._people)
        deed = self._rng.choices([self._log_out, self._disable, self._link], [3, 2, 4])[0]
        with suppress(NotFound):  # has deleted the account, or has none yet
            await deed(person, self._rng.choice(self._gateways))

    async def _log_out(self, person: Person, gateway: Gateway) -> None:
        families = list(person.families)
        with person.disturbed():
            _, span = await gateway.command(lambda operator: operator.logout(person.email))
        for family in families:
            family.end(span)

    async def _disable(self, person: Person, gateway: Gateway) -> None:
        """For a while: sessions end for good, keys until the user is enabled again."""
        families, keys = list(person.families), [key for _, key in person.keys]
        with person.disturbed():
            for key in keys:
                key.bar(trio.current_time())
            try:
                with suppress(Lost):
                    _, span = await gateway.command(
                        lambda operator: operator.set_disabled(person.email, True)
                    )
                    for family in families:
                        family.end(span)
                    for key in keys:
                        key.bar(span.begun, span.done)
                        await person.haunt(key)
                await trio.sleep(self._rng.uniform(0.5, 4.0))
                for key in keys:
                    key.begin_restore()
                await self._enable(person)
            finally:
                for key in keys:
                    key.restore(trio.current_time())

    async def _enable(self, person: Person) -> None:
        """Try until it is done."""
        while True:
            gateway = self._rng.choice(self._gateways)
            try:
                await gateway.command(lambda operator: operator.set_disabled(person.email, False))
            except Lost:
                await trio.sleep(0.5)
            else:
                return

    async def _link(self, person: Person, gateway: Gateway) -> None:
        """A link, which two people have seen and use at once."""

        async def make(operator: Administration) -> str:
            return (await operator.link(person.email)).token

        token, _ = await gateway.command(make)

        async def use(service: AccountService) -> str:
            return (await service.login_with_link(token)).session

        let_in, _ = await both([partial(each.ask, use) for each in (*self._gateways, gateway)], InvalidToken)
        if len(let_in) > 1:
            self._world.violate("link_used_twice", f"a link of {person.name} let in {len(let_in)} times")


class Guesser:
    """Guesses passwords: of one email from ever new addresses, and from one address of many emails."""

    def __init__(self, world: World, gateways: list[Gateway]) -> None:
        self._world = world
        self._gateways = gateways
        self._rng = world.rng("people/guesser")
        self._addresses = 0
        self._counts: dict[tuple[int, int, str], Guesses] = {}

    async def step(self) -> None:
        """A few guesses at once.

        Cancellation: they may count or not.
        """
        gateway = self._rng.choice(self._gateways)
        async with trio.open_nursery() as nursery:
            for _ in range(self._rng.randint(1, 5)):
                if self._rng.random() < 0.7:
                    self._addresses += 1
                    address = f"198.51.100.{self._addresses % 250}"
                    nursery.start_soon(self._guess, gateway, "account", "guessed@example.org", address)
                else:
                    email = f"somebody{self._rng.randrange(1000)}@example.org"
                    nursery.start_soon(self._guess, gateway, "address", email, "203.0.113.7")

    async def _guess(self, gateway: Gateway, of: str, email: str, address: str) -> None:
        life = gateway.life

        async def login(service: AccountService) -> None:
            await service.login(email, "guess", address=address)

        try:
            await gateway.ask(login)
        except InvalidCredentials as error:
            if gateway.life == life:
                free, longest = (5, 60.0) if of == "account" else (20, 900.0)
                counted = self._counts.setdefault((gateway.number, life, of), Guesses(free, 1.0, longest))
                early = counted.looked_at(error.span)  # type: ignore[attr-defined]  # see Gateway.ask
                if early > _EPSILON:
                    self._world.violate("lockout_bypassed", f"a guess by {of} came {early:.3f} s too early")
        except (TooManyAttempts, Lost):
            pass


class Customer:
    """Asks a gateway for more than it may have."""

    def __init__(self, world: World, gateways: list[Gateway]) -> None:
        self._world = world
        self._gateways = gateways
        self._rng = world.rng("people/customer")
        self._levels: dict[tuple[int, int, str], Level] = {}

    async def step(self) -> None:
        """A burst of requests of various cost.

        Cancellation: no effect.
        """
        gateway, owner = self._rng.choice(self._gateways), self._rng.choice(("a", "b"))
        for _ in range(self._rng.randint(1, 60)):
            life, cost = gateway.life, self._rng.choice((1, 1, 1, 2, 5))
            taken = await gateway.buckets.take(_POLICY, owner, cost)
            if taken.granted:
                level = self._levels.setdefault(
                    (gateway.number, life, owner), Level(_POLICY.burst, _POLICY.per_minute / 60.0)
                )
                over = level.take(trio.current_time(), cost)
                if over > _EPSILON:
                    self._world.violate("limit_exceeded", f"{over:.3f} tokens too much were granted")
            elif self._rng.random() < 0.3:
                await trio.sleep(taken.retry_s)
