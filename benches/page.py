"""The page in Chromium: from the address to the first row of the chain, and what it costs while it is live.

    python benches/page.py                 both
    python benches/page.py --seconds 60    watch each view for so long

load  a browser without a cache opens the chain: until its first row stands there
live  what an open view takes, as a share of one core: its main thread, by the clock, which other work
      on the machine lengthens; processor time of its process, and of all of the browser, which draws; on
      default rates, and with five chains a second of the product looked at
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from _browser import browser, logged_in, running
from _machine import machine, table

LOADS = 10
ASKED_LOAD_MS, ASKED_SHARE = 1500.0, 25.0
RATES = {
    "defaults": {},
    "5 chains/s": {
        "DELTASTREAM_SYNTHETIC__CHAIN_INTERVAL_S": "0.8",
        "DELTASTREAM_SYNTHETIC__PRODUCTS": '["NIFTY"]',
    },
}
VIEWS = ("chain/NIFTY", "charts/NIFTY", "system")
SETTLED_MS = 5000
FIRST_ROW = """
globalThis.firstRow = new Promise((resolve) => {
  new MutationObserver((_, observer) => {
    if (document.querySelector("#chain-table tbody tr td") === null) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  }).observe(document, { childList: true, subtree: true });
});
"""


def load_ms(launched: Any, link: str) -> list[float]:
    """Milliseconds from the navigation to the first row that is painted, once by browser."""
    context = logged_in(launched, link)
    taken = []
    for _ in range(LOADS):
        state = context.storage_state()
        context.close()
        context = launched.new_context(base_url=link.partition("login#")[0], storage_state=state)
        context.add_init_script(FIRST_ROW)
        page = context.new_page()
        page.goto("/#/chain/NIFTY", wait_until="commit")
        taken.append(page.evaluate("() => firstRow"))
        page.wait_for_timeout(300)
    context.close()
    return taken


def live_share(launched: Any, context: Any, view: str, seconds: float) -> tuple[float, float, float]:
    """Per cent of one core that a view takes: in its main thread by the clock, in its process, in all."""
    page = context.new_page()
    page.goto(f"/#/{view}")
    page.wait_for_timeout(SETTLED_MS)
    session, whole = context.new_cdp_session(page), launched.new_browser_cdp_session()
    session.send("Performance.enable")

    def spent() -> tuple[float, float, float]:
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        processes = whole.send("SystemInfo.getProcessInfo")["processInfo"]
        times = [(each["type"], each["cpuTime"]) for each in processes]
        return (
            metrics["TaskDuration"],
            sum(cpu for kind, cpu in times if kind == "renderer"),
            sum(cpu for _, cpu in times),
        )

    before = spent()
    page.wait_for_timeout(1000 * seconds)
    after = spent()
    page.close()
    main_thread, process, everything = (
        100 * (late - early) / seconds for early, late in zip(before, after, strict=True)
    )
    return main_thread, process, everything


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each view is watched")
    options = parser.parse_args()
    print(machine())
    rows = []
    for rate, settings in RATES.items():
        with running(settings) as link, browser() as launched:
            print(f"chromium: {launched.version}, {rate}")
            context = logged_in(launched, link)
            rows += [(f"{v}, {rate}", *live_share(launched, context, v, options.seconds)) for v in VIEWS]
            context.close()
    with running({}) as link, browser() as launched:
        taken = load_ms(launched, link)
    head = ("navigation to first row", "ms", "asked")
    print(
        table(
            head, [("median", statistics.median(taken), ASKED_LOAD_MS), ("most", max(taken), ASKED_LOAD_MS)]
        )
    )
    asked = [(*row, ASKED_SHARE) for row in rows]
    print(table(("live", "main thread %", "page %", "browser %", "asked %"), asked))


if __name__ == "__main__":
    main()
