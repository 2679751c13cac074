"""A page that is left open: after ten minutes at five chains a second it holds no more than after two."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.soak

MINUTES, SETTLED, COUNTS = 10, 2, 5


@pytest.mark.parametrize("view", ["chain", "charts", "system"])
def test_what_a_page_holds_does_not_grow(own_host, visit, view):
    host = own_host(chain_interval_s=0.8)  # of each of four expiries
    host.start()
    visitor = visit(host)
    visitor.log_in()
    page = visitor.open(f"{view}/NIFTY")
    session = visitor.context.new_cdp_session(page)
    session.send("Performance.enable")
    held = [_held(page, session) for _ in range(MINUTES)]
    print("\n".join(str(each) for each in held))
    settled, end = held[SETTLED - 1], held[-1]
    assert end["JSHeapUsedSize"] <= 1.1 * settled["JSHeapUsedSize"] + 2_000_000, held
    assert end["Nodes"] <= 1.05 * settled["Nodes"] + 50, held
    assert end["JSEventListeners"] <= settled["JSEventListeners"] + 10, held


def _held(page: Any, session: Any) -> dict[str, float]:
    """What a page holds after a minute, without what it no longer needs.

    A chart that is drawn after the collection and before the count leaves what it was drawn with before. What
    is held is in every count, so the least of several has it all.
    """
    page.wait_for_timeout(60_000)
    counts = [_counted(session) for _ in range(COUNTS)]
    return {name: min(count[name] for count in counts) for name in counts[0]}


def _counted(session: Any) -> dict[str, float]:
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return {name: metrics[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners", "Documents")}
