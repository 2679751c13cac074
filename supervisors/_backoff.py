"""How long to wait before a failed child is started again."""

import math
import random
from dataclasses import dataclass

from supervisors._errors import InvalidSpec

__all__ = ["NO_BACKOFF", "Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delay with jitter between a failure and the restart that follows it.

    The delay changes only *when* a restart happens, never whether it is counted: the intensity window holds
    the moments of failure. Mind the two together: delays that outgrow ``period / max_restarts`` mean that the
    supervisor tries for ever at the pace of ``maximum`` instead of giving up.

    Attributes:
        initial: Delay after the first failure, in seconds; 0 restarts at once, always.
        factor: Growth from one failure to the next, at least 1.
        maximum: The longest delay, in seconds.
        jitter: The share of the delay that is random, from 0 (none) to 1 (all of it).
        reset_after: An incarnation that has run this many seconds was healthy: its failure is a first one.
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 10.0
    jitter: float = 0.25
    reset_after: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.maximum < math.inf:
            raise InvalidSpec(f"need 0 <= initial <= maximum < inf, not {self.initial} and {self.maximum}")
        if not 1 <= self.factor < math.inf:
            raise InvalidSpec(f"factor must be at least 1 and finite, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise InvalidSpec(f"jitter must lie between 0 and 1, not {self.jitter}")
        if not self.reset_after >= 0:
            raise InvalidSpec(f"reset_after must not be negative, not {self.reset_after}")

    def delay(self, failures: int, rng: random.Random) -> float:
        """Return the delay in seconds after that many failures in a row (1 for the first).

        It lies in ``[(1 - jitter) * d, d]`` with ``d = min(initial * factor ** (failures - 1), maximum)``.
        """
        try:
            longest = min(self.initial * self.factor ** (failures - 1), self.maximum)
        except OverflowError:
            longest = self.maximum if self.initial else 0.0
        return longest * (1 - self.jitter * rng.random())


NO_BACKOFF = Backoff(initial=0.0, maximum=0.0, jitter=0.0)
"""Restart at once, as OTP does: a dead dependency then burns the whole intensity in milliseconds."""
