"""Somebody with an account: logs in and out, refreshes, replays what a thief would, uses and revokes keys.

Every answer is told to the judge. Whatever nobody knows the outcome of leaves open what it may have
done, until somebody asks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from deltastream.accounts import (
    AccountError,
    AccountService,
    EmailTaken,
    InvalidCredentials,
    InvalidToken,
    NotFound,
    SignedIn,
    TooManyAttempts,
)
from deltastream.sim.people.gateways import Gateway, Lost
from deltastream.sim.people.judge import EVERYWHERE_S, Family, Judge, Right, Span

if TYPE_CHECKING:
    from deltastream.sim.world import World

__all__ = ["Person", "both"]

MOST_KEYS: Final = 3
_KEPT: Final = 12
_LATER_S: Final = 11.0


class Person:
    """One user and everything they hold.

    Attributes:
        name, email, address: whose guesses count for nobody else.
        exists: whether there is an account; None: nobody knows.
        passwords: those it may have now.
        families: sessions; those that have ended are tried for a while.
        keys: API keys.
        storms: from when to when somebody else took away what they have.

    Args:
        gateways: where to go.
        judge: told of every answer.
    """

    def __init__(self, number: int, world: World, gateways: list[Gateway], judge: Judge) -> None:
        self.name = f"person{number}"
        self.email = f"{self.name}@example.org"
        self.address = f"192.0.2.{number + 1}"
        self.exists: bool | None = False
        self.passwords = ["first password"]
        self.families: list[Family] = []
        self.keys: list[tuple[str, Right]] = []
        self.storms: list[list[float]] = []
        self._world = world
        self._gateways = gateways
        self._judge = judge
        self._rng = world.rng(f"people/{number}")
        self._versions = 0

    async def step(self) -> None:
        """Do something.

        Cancellation: what was under way may have taken effect or not.
        """
        if not self.exists:
            await self._register()
            return
        if not self._living:
            await self._login()
            return
        deeds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self._show_something),
            (8, self._refresh),
            (6, self._replay),
            (4, self._two_tabs),
            (5, self._login),
            (3, self._logout),
            (5, self._make_key),
            (2, self._revoke_key),
            (1, self._logout_everywhere),
            (1, self._change_password),
            (1, self._delete),
        ]
        weights = [weight for weight, _ in deeds]
        await self._rng.choices([deed for _, deed in deeds], weights)[0]()

    @property
    def _living(self) -> list[Family]:
        return [family for family in self.families if family.ending == float("inf")]

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Within the block somebody else takes away what they have."""
        storm = [trio.current_time(), float("inf")]
        self.storms.append(storm)
        for family in self.families:
            family.begin_end(storm[0])
        try:
            yield
        finally:
            storm[1] = trio.current_time()

    def _was_disturbed(self, span: Span) -> bool:
        """Whether somebody has taken away what they have since then: until now, others may have waited."""
        return any(span.begun <= done for _, done in self.storms[-8:])

    async def _ask(self, question: Callable[[AccountService], Awaitable[Any]]) -> tuple[Any, Span]:
        return await self._rng.choice(self._gateways).ask(question)

    def _wall(self) -> int:
        return self._world.clock.now_ns()

    # Coming and going

    async def _register(self) -> None:
        """At every gateway at once: one email, one account."""
        self.exists = None

        async def register(service: AccountService) -> SignedIn:
            return await service.register(self.email, "first password", self.name, address=self.address)

        made, taken = await both([partial(gateway.ask, register) for gateway in self._gateways], EmailTaken)
        if len(made) > 1:
            self._world.violate("email_taken_twice", f"{self.email} was registered {len(made)} times")
        if made:
            self.passwords = ["first password"]
        else:
            self.passwords = list(dict.fromkeys([*self.passwords, "first password"]))
        for signed_in, span in made:
            self._enter(signed_in, span)
        self.exists = True if made or taken else None

    async def _login(self) -> None:
        password = self._rng.choice(self.passwords)
        try:
            signed_in, span = await self._ask(
                lambda service: service.login(self.email, password, address=self.address)
            )
        except InvalidCredentials as error:
            self._refused_password(password, _span(error))
        except (TooManyAttempts, InvalidToken):
            pass  # somebody guesses; or the account changed at the same moment
        else:
            self.passwords = [password]
            self._enter(signed_in, span)

    def _refused_password(self, password: str, span: Span) -> None:
        if self._was_disturbed(span):
            return
        if len(self.passwords) > 1:
            self.passwords.remove(password)
        else:
            self._world.violate("refused_wrongly", f"{self.name}: the right password was refused")

    def _enter(self, signed_in: SignedIn, span: Span) -> None:
        family = Family(self.name, signed_in.refresh)
        if self._was_disturbed(span):
            family.begin_end(span.begun)
        family.give(self._right(signed_in))
        self.families = [*self.families, family][-_KEPT:]

    def _right(self, signed_in: SignedIn) -> Right:
        return Right(signed_in.access, f"{self.name}'s token", expires=signed_in.access_expires)

    async def _logout(self) -> None:
        family = self._rng.choice(self._living)
        await self._show_everywhere(family.rights[-1])
        family.begin_end(trio.current_time())
        _, span = await self._ask(lambda service: service.logout_with_refresh(family.current))
        family.end(span)
        await self.haunt(family.rights[-1])

    async def _logout_everywhere(self) -> None:
        await self._end_all(lambda service, identity: service.logout_everywhere(identity))

    async def _change_password(self) -> None:
        self._versions += 1
        old, new = self.passwords, f"password {self._versions}"
        current = self._rng.choice(old)
        self.passwords = [*old, new]

        async def change(service: AccountService, identity: Any) -> SignedIn:
            return await service.change_password(identity, new, current=current, address=self.address)

        try:
            signed_in, span = await self._end_all(change)
        except TooManyAttempts:
            self.passwords = old
        except InvalidCredentials as error:
            self.passwords = old
            self._refused_password(current, _span(error))
        else:
            self.passwords = [new]
            self._enter(signed_in, span)

    async def _delete(self) -> None:
        current = self._rng.choice(self.passwords)
        begun = trio.current_time()
        for _, key in self.keys:
            key.begin_end(begun)
        self.exists = None
        _, span = await self._end_all(
            lambda service, identity: service.delete(identity, current=current, address=self.address)
        )
        for _, key in self.keys:
            key.end(span)
        self.exists = False

    async def _end_all(self, deed: Callable[[AccountService, Any], Awaitable[Any]]) -> tuple[Any, Span]:
        """Do what ends every session there is."""
        families = list(self.families)
        right = self._rng.choice(self._rng.choice(self._living).rights)

        async def identified(service: AccountService) -> Any:
            identity = await service.authenticate(right.text)
            for family in families:
                family.begin_end(trio.current_time())
            return await deed(service, identity)

        answer, span = await self._ask(identified)
        for family in families:
            family.end(span)
        return answer, span

    # Showing what one holds

    async def _show_something(self) -> None:
        """Any credential, at any gateway; those that have ended, too."""
        families = self._living if self._rng.random() < 0.6 else self.families
        rights = [right for family in families for right in family.rights[-3:]]
        rights += [right for _, right in self.keys]
        await self._show(self._rng.choice(rights), self._rng.choice(self._gateways))

    async def haunt(self, right: Right) -> None:
        """Come back with what was ended, at once and when everybody must know.

        Cancellation: no effect.
        """
        await self._show_everywhere(right)
        await trio.sleep(EVERYWHERE_S + 0.01)
        await self._show_everywhere(right)

    async def _show_everywhere(self, right: Right) -> None:
        """So that every gateway remembers it."""
        for gateway in self._gateways:
            await self._show(right, gateway)

    async def _show(self, right: Right, gateway: Gateway) -> None:
        before = self._wall()
        try:
            _, span = await gateway.ask(lambda service: service.authenticate(right.text))
        except InvalidToken as error:
            self._judge.kept_out(right, _span(error), self._wall(), error.reason)
        else:
            self._judge.let_in(right, span, before)

    async def _refresh(self) -> None:
        family = self._rng.choice(self._living)
        await self._exchange(family, family.current)

    async def _replay(self) -> None:
        """As whoever has stolen a token that was used; rather later than sooner."""
        used = [(family, entry) for family in self._living for entry in family.used]
        if not used:
            await self._refresh()
            return
        family, (text, _, _) = self._rng.choice(used)
        if self._rng.random() < 0.3:
            await trio.sleep(_LATER_S)
        await self._exchange(family, text)

    async def _exchange(self, family: Family, shown: str) -> None:
        unsure, family.unsure = family.unsure, True
        begun, again = trio.current_time(), unsure or any(shown == used for used, _, _ in family.used)
        try:
            signed_in, span = await self._ask(lambda service: service.refresh(shown))
        except Lost:
            if again:  # a token that had been used may have ended the session, and nobody heard of it
                family.begin_end(begun)
            raise
        except InvalidToken as error:
            family.unsure = unsure
            self._judge.not_refreshed(family, shown, _span(error), error.reason)
            return
        family.unsure = unsure
        self._judge.refreshed(family, shown, signed_in.refresh, span)
        family.give(self._right(signed_in))

    async def _two_tabs(self) -> None:
        """Both show the same refresh token at once, each at a gateway of its own."""
        family = self._rng.choice(self._living)
        shown, unsure, family.unsure = family.current, family.unsure, True

        async def refresh(service: AccountService) -> SignedIn:
            return await service.refresh(shown)

        given, refused = await both(
            [partial(gateway.ask, refresh) for gateway in self._gateways], InvalidToken
        )
        if len(given) + len(refused) == len(self._gateways):
            family.unsure = unsure
        for signed_in, span in given:
            self._judge.refreshed(family, shown, signed_in.refresh, span)
            family.give(self._right(signed_in))
        for error in refused:
            self._judge.not_refreshed(family, shown, _span(error), str(error))

    # API keys

    async def _make_key(self) -> None:
        if len(self.keys) >= MOST_KEYS:
            await self._show_something()
            return
        right = self._rng.choice(self._rng.choice(self._living).rights)

        async def make(service: AccountService) -> Any:
            identity = await service.authenticate(right.text)
            return await service.create_key(identity, "bot", ["read:market"], days=7)

        made, span = await self._ask(make)
        key = Right(made.text, f"{self.name}'s key", expires=made.key.expires)
        if self._was_disturbed(span):
            key.begin_end(span.begun)
        self.keys.append((made.key.id, key))

    async def _revoke_key(self) -> None:
        if not self.keys:
            return
        number, key = self._rng.choice(self.keys)
        await self._show_everywhere(key)
        if not self._living:
            return  # somebody has ended every session meanwhile
        right = self._rng.choice(self._rng.choice(self._living).rights)

        async def revoke(service: AccountService) -> None:
            identity = await service.authenticate(right.text)
            key.begin_end(trio.current_time())
            await service.revoke_key(identity, number)

        try:
            _, span = await self._ask(revoke)
        except NotFound:
            pass  # it went with an account that was deleted, and another one has its email
        else:
            key.end(span)
            await self.haunt(key)
        if len(self.keys) >= MOST_KEYS:
            self.keys.remove((number, key))


async def both(
    questions: list[Callable[[], Awaitable[tuple[Any, Span]]]], expected: type[AccountError]
) -> tuple[list[tuple[Any, Span]], list[Any]]:
    """Ask all at once: the answers, and the refusals of the expected kind; others are left out.

    Cancellation: what was asked may have taken effect or not.
    """
    answers: list[tuple[Any, Span]] = []
    refusals: list[Any] = []

    async def ask(question: Callable[[], Awaitable[tuple[Any, Span]]]) -> None:
        try:
            answers.append(await question())
        except expected as error:
            refusals.append(error)
        except (AccountError, Lost):
            pass

    async with trio.open_nursery() as nursery:
        for question in questions:
            nursery.start_soon(ask, question)
    return answers, refusals


def _span(error: Any) -> Span:
    span: Span = error.span
    return span
