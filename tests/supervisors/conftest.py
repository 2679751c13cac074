"""Shared builders: a scripted world whose children log what they do."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio

from supervisors import ChildSpec, Context, Event, Intensity, SupervisorSpec, Tree, open_tree


class World:
    """Children that log their lives and do what a test tells them to."""

    def __init__(self) -> None:
        self.none = Intensity(0, 1)
        self.log: list[str] = []
        self.events: list[Event] = []
        self.error: BaseException
        self.alive: dict[str, int] = {}
        self._orders: dict[str, trio.MemorySendChannel[Callable[[], Any]]] = {}

    def child(self, name: str, *, start: Any = None, **options: Any) -> ChildSpec:
        """Return the spec of a child that logs ``+name`` when started and ``-name`` when it ends."""
        return ChildSpec(name=name, start=start or self._run, **options)

    def supervisor(self, *children: Any, name: str = "root", **options: Any) -> SupervisorSpec:
        return SupervisorSpec(name=name, children=tuple(children), **options)

    def open(self, *children: Any, **options: Any) -> AbstractAsyncContextManager[Tree]:
        """Open a tree of these children under ``root``."""
        return self.open_spec(self.supervisor(*children, **options))

    def open_spec(self, spec: SupervisorSpec) -> AbstractAsyncContextManager[Tree]:
        return open_tree(spec, rng=random.Random(0), on_event=self.events.append)

    @asynccontextmanager
    async def failing(
        self, expected: type[BaseException], *children: Any, **options: Any
    ) -> AsyncIterator[Tree]:
        """Open a tree that is to end with an error, kept as ``error``."""
        with pytest.raises(expected) as caught:
            async with self.open(*children, **options) as tree:
                yield tree
        self.error = caught.value

    async def _run(self, ctx: Context, *, task_status: trio.TaskStatus[str]) -> None:
        send, receive = trio.open_memory_channel[Callable[[], Any]](1)
        self._orders[ctx.name] = send
        self.alive[ctx.path] = self.alive.get(ctx.path, 0) + 1
        assert self.alive[ctx.path] == 1, f"two incarnations of {ctx.path}"
        self.log.append(f"+{ctx.name}")
        try:
            task_status.started(f"{ctx.name}{ctx.incarnation}")
            with send, receive:
                async for order in receive:
                    if order() is not None:
                        return
        finally:
            self.alive[ctx.path] -= 1
            self.log.append(f"-{ctx.name}")

    def tell(self, name: str, order: Callable[[], Any]) -> None:
        """Let the child call ``order``, which may raise; it returns if the result is not ``None``."""
        self._orders[name].send_nowait(order)

    def crash(self, name: str, error: BaseException | None = None) -> None:
        """Let the child raise."""

        def order() -> None:
            raise error or ValueError(f"crash of {name}")

        self.tell(name, order)

    def finish(self, name: str) -> None:
        """Let the child return."""
        self.tell(name, lambda: True)

    def kinds(self, path: str) -> list[str]:
        """Return what happened to one node, in order."""
        return [event.kind.value for event in self.events if event.path == path]

    async def settle(self) -> None:
        """Let everything that is due happen, the first back-offs included."""
        await trio.sleep(0.5)


@pytest.fixture
def world() -> World:
    return World()
