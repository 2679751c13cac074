"""What everybody's credentials must be good for, told by what was answered alone.

Pure: it is told when something was asked, when it was answered, and how. It shares nothing with the
accounts that it judges. A step has taken effect at some instant between its beginning and its
answer; one that was never answered may have taken effect or not, which leaves both open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["EVERYWHERE_S", "GRACE_S", "Family", "Guesses", "Judge", "Level", "Right", "Span"]

GRACE_S: Final = 10.0
"""For so long a refresh token that was used gives the same successor."""

EVERYWHERE_S: Final = 1.0
"""Within so long a revocation is known at every gateway."""

_CACHE_S: Final = 31.0
_NEVER: Final = math.inf


@dataclass(frozen=True, slots=True)
class Span:
    """When something was asked and when it was answered, virtual seconds."""

    begun: float
    done: float


@dataclass(slots=True, eq=False)
class Right:
    """Something that lets somebody in.

    Attributes:
        text: the credential.
        who: a name for reports.
        expires: wall-clock time at which it is over, nanoseconds UTC.
        ending, ended: since when it may be of no use any more, and since when it must be of none.
        barring, barred: the same of one that may be given back.
        restored: when it was given back.
    """

    text: str
    who: str
    expires: float = _NEVER
    ending: float = _NEVER
    ended: float = _NEVER
    barring: float = _NEVER
    barred: float = _NEVER
    restored: float = -_NEVER

    def begin_end(self, at: float) -> None:
        """A step that would end it has begun."""
        self.ending = min(self.ending, at)

    def end(self, span: Span) -> None:
        """It was ended."""
        self.begin_end(span.begun)
        self.ended = min(self.ended, span.done)

    def bar(self, begun: float, done: float = _NEVER) -> None:
        """A step that takes it away for a while has begun, and was done."""
        self.barring = min(self.barring, begun)
        self.barred = min(self.barred, done)

    def begin_restore(self) -> None:
        """A step that gives it back has begun."""
        self.barred = _NEVER

    def restore(self, done: float) -> None:
        """It was given back."""
        self.barring, self.restored = _NEVER, done

    @property
    def of_no_use_since(self) -> float:
        """Since when it must be refused."""
        return min(self.ended, self.barred)

    def is_sound(self, span: Span) -> bool:
        """Whether it must be accepted: nothing against it had begun, or is remembered by a gateway."""
        return min(self.ending, self.barring) > span.done and span.begun > self.restored + _CACHE_S


@dataclass(slots=True, eq=False)
class Family:
    """A session: its newest refresh token, those before, and the access tokens it gave.

    Attributes:
        user: a name for reports.
        current: the newest refresh token that is known.
        rights: the access tokens.
        used: those that were exchanged, with when, and for which; oldest first.
        unsure: whether an exchange may have been made that nobody knows the result of.
        ending, ended: as of a `Right`.
    """

    user: str
    current: str
    rights: list[Right] = field(default_factory=list)
    used: list[tuple[str, Span, str]] = field(default_factory=list)
    unsure: bool = False
    ending: float = _NEVER
    ended: float = _NEVER

    def give(self, right: Right) -> None:
        """An access token of the session."""
        right.ending, right.ended = self.ending, self.ended
        self.rights.append(right)

    def begin_end(self, at: float) -> None:
        """A step that would end the session has begun."""
        self.ending = min(self.ending, at)
        for right in self.rights:
            right.begin_end(at)

    def end(self, span: Span) -> None:
        """The session was ended."""
        self.begin_end(span.begun)
        self.ended = min(self.ended, span.done)
        for right in self.rights:
            right.end(span)


class Judge:
    """Compares what credentials were good for with what they must be good for.

    Args:
        complain: told of what should not be, by the code of an invariant.
        delayed: gives how much longer than usual everything may have taken between two instants.
    """

    def __init__(
        self, complain: Callable[[str, str], object], delayed: Callable[[float, float], float]
    ) -> None:
        self._complain = complain
        self._delayed = delayed
        self.clock_was_set = False

    def let_in(self, right: Right, span: Span, wall_ns: int) -> None:
        """A credential was accepted at the wall-clock time `wall_ns` or later."""
        since = right.of_no_use_since
        late = span.begun - since
        if late > EVERYWHERE_S and late > EVERYWHERE_S + self._delayed(since, span.begun):
            self._complain("revoked_accepted", f"{right.who} was let in {late:.3f} s after it was ended")
        if wall_ns > right.expires and not self.clock_was_set:
            self._complain("expired_accepted", f"{right.who} was let in after it had expired")

    def kept_out(self, right: Right, span: Span, wall_ns: int, why: str) -> None:
        """A credential was refused at the wall-clock time `wall_ns` or earlier."""
        if right.is_sound(span) and wall_ns < right.expires and not self.clock_was_set:
            self._complain("refused_wrongly", f"{right.who} was kept out: {why}")

    def refreshed(self, family: Family, shown: str, given: str, span: Span) -> None:
        """A refresh token was exchanged for another; the family has no part in it yet."""
        late = span.begun - family.ended
        if late > 0:  # the store itself decides: nothing has to be told to anybody
            self._complain(
                "revoked_accepted", f"{family.user}: refreshed {late:.3f} s after the session ended"
            )
        before = next((entry for entry in family.used if entry[0] == shown), None)
        if before is not None:
            self._repeated(family, before, given, span)
            return
        family.used.append((shown, span, given))
        family.current, family.unsure = given, False

    def _repeated(self, family: Family, before: tuple[str, Span, str], given: str, span: Span) -> None:
        shown, first, _ = before
        newest = shown
        for used, _, successor in family.used:
            newest = successor if used == newest else newest
        if given != newest and not family.unsure:
            self._complain("successor_differs", f"{family.user}: a used refresh token gave not the newest")
        if span.begun - first.done > GRACE_S and not self.clock_was_set:
            late = span.begun - first.done
            self._complain(
                "reuse_unnoticed", f"{family.user}: a refresh token was taken {late:.3f} s after its use"
            )

    def not_refreshed(self, family: Family, shown: str, span: Span, why: str) -> None:
        """A refresh token was refused: the session has ended, one way or another."""
        before = next((entry for entry in family.used if entry[0] == shown), None)
        in_time = before is None or span.done - before[1].begun < GRACE_S
        if family.ending > span.done and not family.unsure and in_time and not self.clock_was_set:
            self._complain("refused_wrongly", f"{family.user}: a refresh token was refused: {why}")
        family.end(span)


@dataclass(slots=True)
class Guesses:
    """How fast somebody may guess: a lower bound on the time between attempts that were looked at.

    Attributes:
        free, first, longest: as `deltastream.accounts.lockout.Delays`, written out on its own.
    """

    free: int
    first: float
    longest: float
    count: int = 0
    begun: float = -_NEVER

    def looked_at(self, span: Span) -> float:
        """A wrong guess was answered as such: by how many seconds too early, not positive if not."""
        early = self.begun + self._delay() - span.done
        self.count += 1
        self.begun = max(self.begun, span.begun)
        return early

    def _delay(self) -> float:
        over = self.count - self.free
        return 0.0 if over <= 0 else min(self.longest, self.first * 2.0 ** min(over - 1, 32))


@dataclass(slots=True)
class Level:
    """A bucket that fills from empty: what was granted may never exceed burst + rate × time.

    Attributes:
        rate: tokens a second.
    """

    burst: float
    rate: float
    spent: float = 0.0
    since: float | None = None

    def take(self, now: float, cost: float) -> float:
        """So much was granted: by how much too much, not positive if not."""
        if self.since is None:
            self.since = now
        self.spent = max(self.spent - (now - self.since) * self.rate, 0.0) + cost
        self.since = now
        return self.spent - self.burst
