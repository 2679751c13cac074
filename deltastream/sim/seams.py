"""The doors to the outside world, as a simulated process has them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

import bcrypt
import msgspec
import trio

__all__ = ["SimClock", "SimIds", "SimSecrets", "SimThreads", "ThreadHook", "Work"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SHORTEST_S: Final = 2e-6
_LONGEST_S: Final = 4e-3


class SimClock:
    """The time of day of one machine: virtual time since the start, and how far somebody has set it.

    Attributes:
        ahead_ns: by how much it has been set forward (or back, where negative) since the start.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self.ahead_ns = 0

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return self._start + self.ahead_ns + round(trio.current_time() * 1e9)

    def set_ahead(self, seconds: float) -> None:
        """Set the clock forward, or back where negative; elapsed time is not touched."""
        self.ahead_ns += round(seconds * 1e9)


class SimIds:
    """Identifiers drawn from a generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def new(self) -> str:
        """See `Ids.new`."""
        return f"{self._rng.getrandbits(64):016x}"


class SimSecrets:
    """Secrets that are none: drawn from a generator, so that a run has the same ones again."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def draw(self, count: int) -> bytes:
        """See `Secrets.draw`."""
        return self._rng.randbytes(count)


@lru_cache(maxsize=1024)
def _hashed(password: bytes, salt: bytes) -> bytes:
    return bcrypt.hashpw(password, salt)


def _checked(password: bytes, hashed: bytes) -> bool:
    return _hashed(password, hashed) == hashed


_REMEMBERED: Final[dict[Callable[..., Any], Callable[..., Any]]] = {
    bcrypt.hashpw: _hashed,
    bcrypt.checkpw: _checked,
}
"""What takes long on purpose, and is the same each time: guessers guess the same few passwords."""


class Work(msgspec.Struct, frozen=True):
    """One piece of work that a process gives to a thread.

    Attributes:
        name: qualified name of the function, such as "Journal.commit".
        area: "journal", "store", or the last part of the module it is from.
        incarnation: of the host whose work it is.
        fn: the function itself; args: its arguments.
    """

    name: str
    area: str
    incarnation: int
    fn: Callable[..., Any]
    args: tuple[Any, ...]

    @classmethod
    def of(cls, fn: Callable[..., Any], args: tuple[Any, ...], incarnation: int) -> Work:
        """The work of calling ``fn(*args)``."""
        inner = fn
        while isinstance(inner, partial):
            inner = inner.func
        own = getattr(inner, "__self__", None)
        module = getattr(inner, "__module__", None) or type(own).__module__
        area = (
            "journal"
            if ".bus." in module
            else "store"
            if ".storage." in module
            else module.rsplit(".", 1)[-1]
        )
        return cls(getattr(inner, "__qualname__", type(inner).__qualname__), area, incarnation, fn, args)


class ThreadHook(Protocol):
    """What may go wrong around work in a thread. Only living processes are asked."""

    async def before(self, work: Work) -> None:
        """Called at the instant before the work; may sleep (a slow disk), kill, or raise in its place.

        Cancellation: does not reach it.
        """
        ...

    async def after(self, work: Work) -> None:
        """Called at the instant after the work has taken effect, before anybody knows of it; alike.

        Cancellation: does not reach it.
        """
        ...


class SimThreads:
    """Does the work in the calling task, but lets virtual time pass before or after it, as a thread would.

    So there are instants at which a commit is under way, and others at which it is done and nobody
    knows. As with a real thread a cancellation does not reach it while it works, and work for which
    a limiter has no room waits.

    Args:
        rng: draws how long everything takes.
        incarnation: for hooks to know.
        alive: whether the process is; a dead one only cleans up, at once.
        doze: sleeps so many seconds, cancelled or not.
        hooks: see `ThreadHook`; called in order.
        on_sql: see `Hooks`; called within the journal's work (the store calls them itself).
    """

    def __init__(
        self,
        rng: random.Random,
        incarnation: int,
        alive: Callable[[], bool],
        doze: Callable[[float], Awaitable[None]],
        hooks: list[ThreadHook],
        on_sql: list[Callable[[Work], object]],
    ) -> None:
        self._rng = rng
        self._incarnation = incarnation
        self._alive = alive
        self._doze = doze
        self._hooks = hooks
        self._on_sql = on_sql

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter | None = None) -> T:
        """See `Threads.run`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if limiter is None:
            return await self._run(fn, *args)
        worker = object()
        try:
            limiter.acquire_on_behalf_of_nowait(worker)
        except trio.WouldBlock:
            await limiter.acquire_on_behalf_of(worker)
        try:
            return await self._run(fn, *args)
        finally:
            limiter.release_on_behalf_of(worker)

    async def _run(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        do: Callable[..., T] = _REMEMBERED.get(fn, fn)
        if not self._alive():
            return do(*args)
        draw = self._rng.random()
        if draw < 0.5:
            await self._doze(_time(2 * draw))
        if self._hooks or self._on_sql:
            result = await self._watched(Work.of(fn, args, self._incarnation), do)
        else:
            result = do(*args)
        if draw >= 0.5:
            await self._doze(_time(2 * draw - 1))
        return result

    async def _watched(self, work: Work, do: Callable[..., T]) -> T:
        with trio.CancelScope(shield=True):
            for hook in self._hooks:
                await hook.before(work)
            if work.area == "journal":
                for look in self._on_sql:
                    look(work)
            result = do(*work.args)
            for hook in self._hooks:
                await hook.after(work)
        return result


def _time(draw: float) -> float:
    """How long work takes: mostly little."""
    draw *= draw
    return _SHORTEST_S + (_LONGEST_S - _SHORTEST_S) * draw * draw
