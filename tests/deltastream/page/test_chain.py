"""The option chain as the page shows it: every number that of the API, and what a reader does with it."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ADMIN = "admin@localhost"
COLUMNS = {
    "bid": "bid", "ask": "ask", "last": "last", "volume": "volume", "oi": "open_interest",
    "oi_change": "oi_change", "delta": "delta", "bid_iv": "bid_iv", "iv": "iv", "ask_iv": "ask_iv",
    "gamma": "gamma", "theta": "theta", "vega": "vega", "rho": "rho",
}  # fmt: skip
ALL = ["delta", "gamma", "theta", "vega", "rho", "bid_iv", "ask_iv"]
SHARES = ("iv", "bid_iv", "ask_iv")
READ = """() => [...document.querySelectorAll("#chain-table tbody tr")].map((row) => ({
  strike: Number(row.dataset.strike), atm: row.dataset.atm ?? null, money: row.dataset.itm ?? null,
  cells: Object.fromEntries([...row.querySelectorAll("td")].map((cell) => {
    const [side] = ["call", "put"].filter((name) => cell.classList.contains(name));
    const name = [...cell.classList].find((each) => !["number", "call", "put", "bar"].includes(each));
    return [`${side}_${name}`, [cell.textContent, cell.title]];
  })),
}))"""


@pytest.fixture
def opened(host, visit, wire):
    """Opens the chain of a product; the visit gets a `wire`."""

    def come(product: str = "NIFTY", *, preferences: str = "{}", **options: Any) -> Any:
        visitor = visit(host, **options)
        visitor.context.add_init_script(
            f"if (!localStorage.deltastream) localStorage.deltastream = '{preferences}'"
        )
        visitor.log_in()
        visitor.wire = wire(visitor)
        visitor.open(f"chain/{product}")
        visitor.page.locator("#chain-table tbody tr[data-atm]").wait_for()
        return visitor

    return come


def instant(us: int) -> str:
    return (
        datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{us % 1_000_000:06d}Z"
    )


def shown_chain(host: Any, visitor: Any, product: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The chain that the page shows, from the API, and the rows of the page, of one instant."""
    visitor.eventually(lambda: sum(each["event"] == "chain_update" for each in visitor.wire.frames) > 12)
    visitor.wire.hold()
    visitor.page.wait_for_timeout(400)
    key = visitor.page.locator("[role=tab][aria-selected=true]").get_attribute("data-chain")
    root, expiry = key.split()
    frame = visitor.wire.last("chain_update", root=root, expiry=expiry)
    path = f"/api/data/chain/{product}?expiry={expiry}&at={instant(frame['ts'])}&layout=columns"
    (chain,) = host.get(path, ADMIN)["chains"]
    assert datetime.fromisoformat(chain["timestamp"]).timestamp() == frame["ts"] / 1e6
    return chain, visitor.page.evaluate(READ)


def number(text: str) -> tuple[float, float] | None:
    """A number as it is written, and by how much writing may have changed it."""
    if text == "–":
        return None
    digits = text.replace(",", "").replace("−", "-").replace("+", "")
    decimals = len(digits.partition(".")[2])
    return float(digits), 0.5 * 10**-decimals + 1e-9


def agree(shown: tuple[str, str], told: float | None, factor: float = 1.0) -> bool:
    text, tip = shown
    read = number(tip if re.search(r"[A-Z]", text) else text)
    if read is None or told is None:
        return read is None and told is None
    return abs(read[0] - told * factor) <= read[1]


@pytest.mark.parametrize("product", ["NIFTY", "SPY"])
def test_every_cell_is_what_the_api_tells_of_the_same_instant(host, opened, product):
    visitor = opened(product, preferences=f'{{"strikes":0,"greeks":{ALL}}}'.replace("'", '"'))
    chain, rows = shown_chain(host, visitor, product)
    assert [row["strike"] for row in rows] == chain["calls"]["strike"]
    assert len(rows) == 41
    compared = 0
    for at, row in enumerate(rows):
        for side in ("call", "put"):
            for shown, told in COLUMNS.items():
                value = chain[f"{side}s"][told][at]
                factor = 100.0 if shown in SHARES else 1.0
                cell = row["cells"][f"{side}_{shown}"]
                assert agree(cell, value, factor), (product, row["strike"], side, shown, cell, value)
                compared += value is not None
        assert (row["atm"] is not None) == (row["strike"] == chain["atm_strike"])
        spot = chain["spot_price"]
        assert row["money"] == (None if row["strike"] == spot else "call" if row["strike"] < spot else "put")
    in_its_last_hour = chain["t"] is None or chain["t"] < 1 / (365 * 24)  # much is null then
    assert compared > 41 * 2 * (7 if in_its_last_hour else 10)
    shown = visitor.page.locator("#metrics")
    for metric, told, factor in (
        ("forward", chain["forward"], 1.0), ("atm_iv", chain["atm_iv"], 100.0),
        ("straddle", chain["atm_straddle_price"], 1.0), ("pcr_oi", chain["pcr_oi"], 1.0),
        ("pcr_volume", chain["pcr_volume"], 1.0), ("max_pain", chain["max_pain_strike"], 1.0),
        ("spot", visitor.wire.last("underlying_update", product=product)["data"]["price"], 1.0),
    ):  # fmt: skip
        text = shown.locator(f"[data-metric={metric}] .value").inner_text().removesuffix(" %")
        if metric == "max_pain" and "–" in text.strip("–"):
            low, high = (float(part.replace(",", "")) for part in text.split("–"))
            assert [low, high] == chain["max_pain_interval"]
        else:
            assert agree((text, ""), told, factor), (metric, text, told)


def test_indian_numbers_are_in_lakhs_and_american_are_not(opened):
    """Late in a session counts are too large to be told in full."""
    indian = r"\d\d?,\d\d,\d\d\d|\d(L|Cr)\b"
    visitor = opened("NIFTY", preferences='{"strikes":0}')
    text = visitor.page.locator("#chain-table").inner_text()
    assert re.search(indian, text)
    assert not re.search(r"\d\d\d,\d\d\d", text)
    visitor.page.goto("/#/chain/SPY")
    visitor.page.locator("#chain-table caption", has_text="SPY").wait_for(state="attached")
    text = visitor.page.locator("#chain-table").inner_text()
    assert not re.search(indian, text)
    assert re.search(r"\d\d\d,\d\d\d|\dM\b", text)


def test_expiries_are_tabs(host, opened):
    visitor = opened()
    page = visitor.page
    tabs = page.get_by_role("tab")
    visitor.eventually(lambda: tabs.count() == 4)
    expiries = host.get("/api/data/expiries/NIFTY", ADMIN)["expiries"]
    chains = tabs.evaluate_all("tabs => tabs.map(tab => tab.dataset.chain)")
    assert chains == [f"NIFTY {expiry}" for expiry in expiries]
    assert tabs.evaluate_all("tabs => tabs.map(tab => tab.ariaSelected)") == ["true", *["false"] * 3]
    captions = set()
    for at, expiry in enumerate(expiries):
        tabs.nth(at).click()
        visitor.eventually(lambda expiry=expiry: page.url.endswith(f"#/chain/NIFTY/NIFTY/{expiry}"))
        visitor.eventually(lambda at=at: tabs.nth(at).get_attribute("aria-selected") == "true")
        visitor.eventually(lambda: page.locator("#chain-table tbody tr").count() > 10)
        captions.add(page.locator("#chain-table caption").inner_text())
    assert len(captions) == 4
    tabs.nth(3).focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.dataset.chain") == chains[0]
    page.keyboard.press("End")
    visitor.eventually(lambda: page.url.endswith(expiries[-1]))
    page.go_back()
    visitor.eventually(lambda: page.url.endswith(expiries[0]))


def test_so_many_strikes_around_the_money(host, opened):
    visitor = opened()
    page = visitor.page
    rows = page.locator("#chain-table tbody tr")
    for choice, count in (("5", 11), ("10", 21), ("0", 41), ("15", 31)):
        page.locator("#strikes").select_option(choice)
        visitor.eventually(lambda count=count: rows.count() == count)
    page.locator("#strikes").select_option("5")
    visitor.eventually(lambda: rows.count() == 11)
    page.reload()
    visitor.eventually(lambda: rows.count() == 11)
    assert page.locator("#strikes").input_value() == "5"


def test_cells_flash_when_they_change_and_not_for_whoever_wants_calm(opened):
    watch = """() => new Promise((resolve) => {
      const seen = new Map();
      const began = new Map();
      const lasted = [];
      const observer = new MutationObserver((records) => {
        for (const { target } of records) {
          const way = target.getAttribute("data-flash");
          if (way !== null) { seen.set(way, (seen.get(way) ?? 0) + 1); began.set(target, performance.now()); }
          else lasted.push(performance.now() - began.get(target));
        }
      });
      const table = document.querySelector("#chain-table");
      observer.observe(table, { attributeFilter: ["data-flash"], subtree: true });
      setTimeout(() => {
        observer.disconnect();
        resolve({ ways: [...seen.keys()].sort(), longest: Math.max(0, ...lasted) });
      }, 5000);
    })"""
    lively = opened().page.evaluate(watch)
    assert lively["ways"] == ["down", "up"]
    assert 0 < lively["longest"] < 3000
    assert opened(reduced_motion="reduce").page.evaluate(watch)["ways"] == []


def test_a_volatility_that_no_bid_holds_from_below_is_marked_and_calm(modules):
    script = """({Row}, {chosenColumns, styleOf}, {Formats}, chains) => {
      const [column] = chosenColumns().call.filter(({ key }) => key === "iv");
      const row = new Row(100, [{ side: "call", column }, { side: "put", column }]);
      const head = { tick_size: 0.05, spot: 100, total_call_oi: 1, total_put_oi: 1,
        total_call_volume: 1, total_put_volume: 1 };
      const style = styleOf({ head }, new Formats("INR", "Asia/Kolkata"));
      return chains.map(([iv, bid, status]) => {
        let flashed = false;
        const source = { values: [iv], status: [status], floor: [bid], largest: 0 };
        const flash = () => { flashed = true; };
        row.draw(0, { sources: [source, source], widths: [0, 0], style, anew: false, flash });
        const { node } = row.cells[0];
        return [node.textContent, node.hasAttribute("data-loose"), node.title, flashed];
      });
    }"""
    chains = [[0.2, 0.19, 0], [1.5, None, 0], [1.6, None, 16], [0.2, 0.19, 0], [None, None, 1]]
    loose = "Loose: no volatility gives the bid, so lower ones would do as well"
    assert modules("views/chain_row views/chain_columns core/format", script, chains) == [
        ["20.00", False, "", False],
        ["150.00", True, loose, False],
        ["160.00", True, f"{loose}. Greeks from the volatility of the other side at this strike", False],
        ["20.00", False, "", True],
        ["–", False, "No volatility: no two-sided quote", False],
    ]


def test_columns_are_chosen_and_remembered(opened):
    visitor = opened()
    page = visitor.page
    heads = page.locator("#chain-table thead tr.names th")
    assert heads.filter(has_text="Delta").count() == 2
    assert heads.filter(has_text="Vega").count() == 0
    page.locator("#columns").click()
    page.get_by_label("Vega").check()
    page.get_by_label("Delta").uncheck()
    visitor.eventually(lambda: heads.filter(has_text="Vega").count() == 2)
    assert heads.filter(has_text="Delta").count() == 0
    page.reload()
    visitor.eventually(lambda: heads.filter(has_text="Vega").count() == 2)


def test_the_chain_as_a_file(host, opened, tmp_path: Path):
    visitor = opened(preferences='{"strikes":5}')
    chain, rows = shown_chain(host, visitor, "NIFTY")
    with visitor.page.expect_download() as downloading:
        visitor.page.locator("#chain-csv").click()
    file = tmp_path / "chain.csv"
    downloading.value.save_as(file)
    assert downloading.value.suggested_filename.startswith(f"NIFTY-{chain['expiry']}-")
    written = list(csv.DictReader(file.read_text().splitlines()))
    assert [float(each["strike"]) for each in written] == [row["strike"] for row in rows]
    for line in written:
        at = chain["calls"]["strike"].index(float(line["strike"]))
        for side in ("call", "put"):
            for column in ("bid", "ask", "last", "iv", "delta", "oi_change"):
                value = chain[f"{side}s"][column][at]
                text = line[f"{side}_{column}"]
                assert (text == "") if value is None else float(text) == pytest.approx(value, rel=1e-5)


def test_one_strike_by_keyboard_and_by_mouse(opened):
    visitor = opened()
    page = visitor.page
    page.locator("#chain-table tr[data-atm] button").focus()
    strike = "() => Number(document.activeElement.closest('tr').dataset.strike)"
    atm = page.evaluate(strike)
    page.keyboard.press("ArrowDown")
    below = page.evaluate(strike)
    assert below > atm
    page.keyboard.press("Home")
    assert page.evaluate(strike) < atm
    page.keyboard.press("Enter")
    contract = page.locator("#contract")
    contract.wait_for()
    assert "Delta" in contract.inner_text()
    page.keyboard.press("Escape")
    contract.wait_for(state="hidden")
    assert page.evaluate(strike) < atm
    page.locator(f"#chain-table tr[data-strike='{below:g}'] td.bid").first.click()
    contract.wait_for()
    contract.get_by_role("button", name="Close").click()
    contract.wait_for(state="hidden")


def test_products_change_by_a_click_and_are_remembered(opened):
    visitor = opened()
    page = visitor.page
    page.locator("[data-product=SPY]").click()
    page.locator("#chain-table caption", has_text="SPY").wait_for(state="attached")
    assert page.locator("[data-product=SPY]").get_attribute("aria-current") == "true"
    page.goto("/")
    page.locator("#chain-table caption", has_text="SPY").wait_for(state="attached")
    assert page.locator("h1").inner_text().startswith("Option chain of")
