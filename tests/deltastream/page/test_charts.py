"""The charts: each is drawn, says what it shows, and gives its picture and its numbers."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ADMIN = "admin@localhost"
NAMES = ["price", "interest", "ratios", "straddle", "smile", "term", "surface"]
DRAWN = """(name) => {
  const plot = document.querySelector(`[data-chart=${name}] .chart-plot`);
  return plot !== null && !plot.hidden && plot.querySelector(".main-svg") !== null
    && document.querySelector(`[data-chart=${name}] .chart-controls button[disabled]`) === null;
}"""


@pytest.fixture
def opened(host, visit):
    """Opens one chart of a product, and waits until it is drawn."""

    def come(name: str, product: str = "NIFTY", **options: Any) -> Any:
        visitor = visit(host, **options)
        visitor.context.add_init_script(
            f'if (!localStorage.deltastream) localStorage.deltastream = \'{{"charts":["{name}"]}}\''
        )
        visitor.log_in()
        visitor.open(f"charts/{product}")
        visitor.eventually(lambda: visitor.page.evaluate(DRAWN, name), 45)
        return visitor

    return come


def saved(page: Any, name: str, kind: str, folder: Path) -> Path:
    button = page.locator(f"[data-chart={name}]").get_by_role("button", name=kind, exact=False)
    with page.expect_download(timeout=30_000) as downloading:
        button.last.click()
    file = folder / downloading.value.suggested_filename
    downloading.value.save_as(file)
    assert file.suffix == f".{kind.lower()}"
    return file


@pytest.mark.parametrize("name", NAMES)
def test_it_is_drawn_and_given_away(opened, tmp_path: Path, name):
    visitor = opened(name)
    page = visitor.page
    assert page.locator(f"[data-chart={name}] h2").inner_text()
    assert len(page.locator(f"[data-chart={name}] figcaption").inner_text()) > 20
    picture = saved(page, name, "PNG", tmp_path).read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 300
    assert height > 150
    rows = list(csv.reader(saved(page, name, "CSV", tmp_path).read_text().splitlines()))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_numbers_of_open_interest_are_those_of_the_api(host, opened, tmp_path: Path):
    visitor = opened("interest")
    before = host.get("/api/data/chain/NIFTY?layout=columns", ADMIN)["chains"][0]
    text = saved(visitor.page, "interest", "CSV", tmp_path).read_text()
    rows = list(csv.reader(text.splitlines()))
    strikes = [float(row[rows[0].index("strike")]) for row in rows[1:]]
    assert strikes
    assert set(strikes) <= set(before["calls"]["strike"])


def test_an_axis_has_few_round_places_however_near_its_ends(modules):
    ends = [
        *([0.1 + 0.2, 0.3], [1.2, 1.2000000000000002], [26_000, 26_000.000001], [0, 0], [5, 5], [-3, -3]),
        *([1.17, 1.19], [0, 1e12], [-1e-12, 1e-12], [26_000, 26_100], [0, 5e-324]),
    ]
    script = """({scale}, ends) => ends.map(([a, b]) => {
      const { tickvals, range } = scale(Math.min(a, b), Math.max(a, b), String);
      const inside = tickvals.every((value) => value >= range[0] - 1e-9 && value <= range[1] + 1e-9);
      return [tickvals.length, inside, range[0] < range[1]];
    })"""
    for (count, inside, ascends), pair in zip(modules("charts/plotly", script, ends), ends, strict=True):
        assert 1 <= count <= 9, (pair, count)
        assert inside, pair
        assert ascends, pair


def test_a_night_is_left_out_of_the_axis_but_not_the_last_bar_before_it(modules):
    script = """async ({pauses}, {Formats}, {plotly}) => {
      const formats = new Formats("INR", "Asia/Kolkata");
      const minute = 60e6;
      const day = 1000 * Date.parse("2026-11-19T09:58:00Z");
      const starts = [day, day + minute, day + 1067 * minute, day + 1068 * minute];
      const rangebreaks = pauses(starts.map((start) => ({ start })), minute, formats);
      const ones = [1, 2, 3, 4];
      const node = document.createElement("div");
      document.body.append(node);
      await (await plotly()).newPlot(node, [{
        type: "candlestick", x: starts.map((start) => formats.wall(start)), open: ones,
        close: ones.map((one) => one + 1), high: ones.map((one) => one + 2), low: ones.map((one) => one - 1),
      }], { width: 600, height: 400, xaxis: { type: "date", rangebreaks, rangeslider: { visible: false } } });
      const boxes = [...node.querySelectorAll(".boxlayer path.box")];
      return [rangebreaks, boxes.map((box) => box.getAttribute("d").length)];
    }"""
    breaks, boxes = modules("charts/price core/format charts/plotly core/trusted", script)
    assert breaks == [{"bounds": ["2026-11-19 15:30:00", "2026-11-20 09:15:00"]}]
    assert len(boxes) == 4
    assert min(boxes) > 10, "one is not drawn"


THROUGH_DAY = """async ({straddleChart}, {Formats}, {plotly}, _, seconds) => {
  const [begin, step] = [Date.parse("2026-11-20T04:00:00Z"), 20_000];
  const values = (at) => ({ atm_straddle_price: 300 + at % 7, atm_strike: 26_000 + 50 * (at % 3) });
  const points = seconds.map((second) => ({
    ...values(second), spot_price: 26_000 + second % 11,
    timestamp: new Date(begin + 1000 * second).toISOString(),
  }));
  const chain = { key: "X", product: "X", root: "X", expiry: "2026-11-24", columns: null,
    ts: 1000 * (begin + 1000 * seconds.at(-1) + step), head: { ...values(0), spot: 26_000 } };
  const chart = straddleChart({
    product: () => "X", chain: () => chain,
    market: { products: new Map([["X", { formats: new Formats("INR", "Asia/Kolkata") }]]) },
    session: { call: async () => ({ history: { points, cursor: null } }) },
  }, () => {});
  chart.moved();
  while (chart.table().length <= seconds.length) await new Promise((resolve) => setTimeout(resolve, 20));
  const colours = new Proxy({}, { get: () => "rgb(0, 0, 0)" });
  const { data, layout } = chart.figure({ colours, width: 900, height: 400, live: true, seen: {} });
  chart.close();
  const node = document.createElement("div");
  document.body.append(node);
  await (await plotly()).newPlot(node, data, { width: 900, height: 400, ...layout });
  const count = (selector) => node.querySelectorAll(selector).length;
  return [count(".scatterlayer *"), count(".scatterlayer path.js-line"), count(".scatterlayer path.point")];
}"""


def test_a_longer_course_is_no_more_elements_and_a_point_alone_is_seen(modules):
    def drawn(seconds: list[int]) -> Any:
        return modules("charts/straddle core/format charts/plotly core/trusted", THROUGH_DAY, seconds)

    a_few, whole_day = list(range(0, 600, 20)), list(range(0, 28_000, 20))
    elements, lines, dots = drawn(a_few)
    assert (lines, dots) == (3, 0)
    assert drawn(whole_day) == [elements, 3, 0]
    assert drawn([*range(0, 600, 20), 1000, *range(1600, 2200, 20)])[1:] == [9, 3]


def test_as_many_bars_stay_until_earlier_ones_are_asked_for(modules):
    script = """async ({priceChart}, {Formats}, {Signal}) => {
      const minute = 60e6;
      const open = 1000 * Date.parse("2026-11-20T03:45:00Z");
      const updates = new Signal();
      const row = (at) => ({ open: 1, high: 1, low: 1, close: 1, volume: 1, ticks: 1, complete: true,
        timestamp: new Date((open + at * minute) / 1000).toISOString() });
      let stored = [];
      const product = { formats: new Formats("INR", "Asia/Kolkata"), ts: open };
      const chart = priceChart({
        product: () => "X", chain: () => null,
        market: {
          socket: { updates }, products: new Map([["X", product]]), now: () => open, chainsOf: () => [],
        },
        session: { call: async () => ({ bars: stored, cursor: null }) },
      }, () => {});
      const bars = () => chart.table().slice(1).map(([at]) => (1000 * Date.parse(at) - open) / minute);
      const trade = (from, to) => {
        for (let at = from; at < to; at += 1) {
          const data = { product: "X", price: 1, volume: 1 };
          updates.tell({ event: "underlying_update", ts: open + at * minute, data });
        }
      };
      await new Promise((resolve) => setTimeout(resolve, 300)); // what is stored has been told: nothing
      trade(0, 375);
      const day = bars();
      stored = Array.from({ length: 375 }, (_, at) => row(at - 1440));
      chart.controls[1].click();
      while (bars()[0] >= 0) await new Promise((resolve) => setTimeout(resolve, 20));
      const wider = bars();
      trade(375, 400);
      const later = bars();
      chart.close();
      return [day, wider, later].map((all) => [all.length, all[0], all.at(-1)]);
    }"""
    day, wider, later = modules("charts/price core/format core/signal", script)
    assert day == [180, 195, 374]
    assert wider == [555, -1440, 374]
    assert later == [555, -1415, 399]


def test_charts_are_chosen_and_remembered(opened):
    visitor = opened("price")
    page = visitor.page
    page.locator("[data-show=smile]").click()
    page.locator("[data-chart=smile]").wait_for()
    assert page.locator("[data-show=smile]").get_attribute("aria-pressed") == "true"
    page.locator("[data-show=price]").click()
    page.locator("[data-chart=price]").wait_for(state="detached")
    page.reload()
    page.locator("[data-chart=smile]").wait_for()
    assert page.locator("[data-chart]").count() == 1


def test_what_is_under_the_pointer_is_told(opened):
    visitor = opened("smile")
    page = visitor.page
    box = page.locator("[data-chart=smile] .nsewdrag").first.bounding_box()
    shown = page.locator("[data-chart=smile] .hoverlayer .hovertext, [data-chart=smile] .hoverlayer .legend")

    def told() -> bool:
        for share in (0.35, 0.45, 0.5, 0.55, 0.65):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
            page.wait_for_timeout(120)
            if shown.count():
                return True
        return False

    visitor.eventually(told)
