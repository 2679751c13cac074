"""What the page knows of the market, told by a socket that the test speaks for."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

BEGIN = """async ({Market}, {Signal}, _format, script) => {
  const learned = [];
  const details = ["X", "Y"].map((product) => ({
    product, name: `${product} index`, exchange: "NSE", currency: "INR", time_zone: "Asia/Kolkata",
    roots: [product], price: 100, timestamp: "2026-11-20T10:00:00Z", status: "open", reason: "", since: null,
  }));
  const session = { call: async (path) => { learned.push(path); return { details }; } };
  const socket = {
    updates: new Signal(), breaks: new Signal(), changed: new Signal(), skew: 0, asked: [],
    state: { state: "live", reason: "", since: 0, retry: null }, rooms: new Map(),
    be(rooms) { this.rooms = new Map([...rooms].map((name) => [name, {}])); },
  };
  const market = new Market(socket, session);
  await market.learn();
  market.follow([]);
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  await frame();
  const changes = [];
  market.changed.listen((each) => changes.push({
    products: [...each.products], chains: [...each.chains], surfaces: [...each.surfaces],
    breaks: [...each.breaks], connection: each.connection,
  }));
  const tell = (event, data, more) => socket.updates.tell({ event, room: "general", ts: 1, data, ...more });
  const chain = (expiry, more, root = "X") => ({
    product: "X", root, expiry, expiry_ts: Date.parse(expiry) * 1000, spot: 1, ...more,
  });
  const world = { market, socket, tell, chain, changes, frame, learned };
  return await SCRIPT(world);
}"""


@pytest.fixture
def told(modules):
    """What a script in the page says, given a market and the means to change it."""

    def run(script: str):
        text = BEGIN.replace("SCRIPT", f"({script})")
        return modules("core/market core/signal core/format", text)

    return run


def test_a_frame_brings_all_changes_at_once(told):
    changes = told("""async ({tell, changes, frame, chain}) => {
      for (let ts = 1; ts <= 50; ts += 1) tell("underlying_update", { product: "X", price: ts }, { ts });
      tell("chain_summary", chain("2026-11-24"));
      tell("surface_update", { product: "Y", slices: [] });
      await frame();
      return changes;
    }""")
    assert changes == [
        {"products": ["X"], "chains": ["X 2026-11-24"], "surfaces": ["Y"], "breaks": [], "connection": False}
    ]


def test_prices_are_kept_so_far_and_break_where_some_are_missing(told):
    kept, first, ticks, price = told("""async ({market, socket, tell}) => {
      for (let ts = 1; ts <= 1000; ts += 1) tell("underlying_update", { product: "X", price: ts }, { ts });
      const kept = market.products.get("X").ticks.length;
      const first = market.products.get("X").ticks[0];
      tell("underlying_update", { product: "X", price: 7 }, { ts: 1000 });
      socket.breaks.tell({ room: "general", reason: "missed" });
      socket.breaks.tell({ room: "general", reason: "missed" });
      tell("underlying_update", { product: "X", price: 8 }, { ts: 1001 });
      return [kept, first, market.products.get("X").ticks.slice(-3), market.products.get("X").price];
    }""")
    assert (kept, first) == (240, [761, 761])
    assert ticks == [[1000, 1000], [1000, None], [1001, 8]]
    assert price == 8


def test_a_summary_is_no_newer_than_the_columns_that_are_followed(told):
    script = """async ({market, tell, chain}) => {
      const seen = () => [...market.chains.values()]
        .map(({ key, ts, head, columns }) => [key, ts, head.spot, columns]);
      const full = chain("2026-11-24", { columns: { a: [1] } });
      const all = [];
      tell("chain_summary", chain("2026-11-24"), { ts: 5 });
      all.push(seen());
      market.follow(["chain:X"]);
      tell("chain_update", full, { ts: 6 });
      tell("chain_summary", chain("2026-11-24", { spot: 2 }), { ts: 7 });
      all.push(seen());
      tell("chain_update", { ...full, spot: 9 }, { ts: 4 });
      all.push(seen());
      market.follow([]);
      tell("chain_summary", chain("2026-11-24", { spot: 3 }), { ts: 8 });
      all.push(seen());
      return all;
    }"""
    key = "X 2026-11-24"
    assert told(script) == [
        [[key, 5, 1, None]],
        [[key, 6, 1, {"a": [1]}]],
        [[key, 6, 1, {"a": [1]}]],
        [[key, 8, 3, None]],
    ]


def test_chains_by_expiry_and_a_snapshot_that_starts_over(told):
    script = """async ({market, tell, chain}) => {
      for (const [expiry, root] of [["2026-12-01", "X"], ["2026-11-24", "XW"], ["2026-11-24", "X"]]) {
        tell("chain_summary", chain(expiry, {}, root));
      }
      const before = market.chainsOf("X").map(({ key }) => key);
      const none = market.chainsOf("Y");
      tell("began", null, { of: "chain_summary", stream: "chain:X" });
      return [before, none, market.chainsOf("X").length];
    }"""
    assert told(script) == [["X 2026-11-24", "XW 2026-11-24", "X 2026-12-01"], [], 0]


def test_how_far_numbers_can_be_believed(told):
    levels = told("""async ({market, socket, tell}) => {
      const told = [market.freshness("X").level];
      tell("underlying_update", { product: "X", price: 1 }, { ts: market.now() });
      for (const status of ["open", "closed", "stale", "halted", "degraded"]) {
        const update = { event: "market_status", product: "X", status, reason: "after_hours", since: 1 };
        socket.updates.tell(update);
        told.push(market.freshness("X").level);
      }
      told.push(market.freshness("X").text, market.freshness("NOPE").level);
      for (const state of ["connecting", "lost", "refused"]) {
        socket.state = { state, reason: "Because.", since: 0, retry: null };
        told.push(market.freshness("X").level, market.freshness("X").text);
      }
      return told;
    }""")
    assert levels == [
        *("stale", "live", "closed", "stale", "halted", "degraded", "after hours", "degraded"),
        *("lost", "Because.") * 3,
    ]


def test_numbers_grow_old_beside_prices_that_do_not(told):
    levels = told("""async ({market, tell}) => {
      const now = market.now();
      tell("underlying_update", { product: "X", price: 1 }, { ts: now });
      return [now, now - 899e6, now - 901e6, null, undefined].map((at) => market.freshness("X", at).level);
    }""")
    assert levels == ["live", "live", "stale", "live", "live"]


def test_a_product_nobody_knew_is_learned_once(told):
    script = """async ({market, tell, learned, frame}) => {
      for (let count = 0; count < 100; count += 1) tell("underlying_update", { product: "Z", price: 1 });
      await frame();
      return [learned.length, market.products.has("Z")];
    }"""
    assert told(script) == [2, False]


def test_a_listener_that_fails_harms_no_other(modules):
    modules.visit.expect("no good")
    script = """({Signal}) => {
      const signal = new Signal();
      const told = [];
      const unlisten = signal.listen((value) => told.push(["first", value]));
      signal.listen(() => { throw new Error("no good"); });
      signal.listen((value) => { told.push(["last", value]); unlisten(); });
      signal.tell(1);
      signal.tell(2);
      return told;
    }"""
    assert modules("core/signal", script) == [["first", 1], ["last", 1], ["last", 2]]
