"""Numbers, times, sizes and CSV as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.slow

INDIA = ["INR", "Asia/Kolkata"]
AMERICA = ["USD", "America/New_York"]


@pytest.fixture
def written(modules):
    """What a method of `Formats` writes of each value."""

    def write(market, method, values, *more):
        script = """({Formats}, {prefer}, [market, method, values, more]) => {
          const formats = new Formats(...market);
          return values.map((value) => formats[method](value, ...more));
        }"""
        return modules("core/format core/preferences", script, [market, method, values, list(more)])

    return write


def us(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


def test_numbers_of_both_markets(written, modules):
    values = [1234567.891, -1234567.891, 0, 0.005, 123456789012.0, None, "7"]
    assert written(INDIA, "number", values) == [
        *("12,34,567.89", "-12,34,567.89", "0.00", "0.01", "1,23,45,67,89,012.00", "–", "–")
    ]
    assert written(AMERICA, "number", values) == [
        *("1,234,567.89", "-1,234,567.89", "0.00", "0.01", "123,456,789,012.00", "–", "–")
    ]
    assert written(INDIA, "count", [99999, 100000, 9999999, 10000000]) == [
        *("99,999", "1,00,000", "99,99,999", "1,00,00,000")
    ]
    modules("core/preferences", "({prefer}) => prefer('grouping', 'western')")
    assert written(INDIA, "number", values[:1]) == ["1,234,567.89"]
    assert written(INDIA, "compact", [1790000]) == ["1.79M"]


def test_large_counts_are_short(written):
    assert written(INDIA, "compact", [999, 1790000, 12345678, -250000, None]) == [
        *("999", "17.9L", "1.23Cr", "-2.5L", "–")
    ]
    assert written(AMERICA, "compact", [999, 1790000, 12345678901, 0, None]) == [
        *("999", "1.79M", "12.3B", "0", "–")
    ]


def test_not_a_number_is_a_dash_and_never_zero(modules):
    script = """({Formats, age, bytes}) => {
      const formats = new Formats("INR", "Asia/Kolkata");
      const methods = [
        "number", "strike", "money", "count", "compact", "change", "percent", "time", "instant",
      ];
      const none = [null, undefined, NaN, Infinity, -Infinity];
      const written = methods.flatMap((method) => none.map((value) => formats[method](value)));
      return [...new Set([...written, age(NaN), age(Infinity), bytes(null), bytes(NaN)])];
    }"""
    assert modules("core/format", script) == ["–"]


def test_money_changes_percent_and_strikes(written):
    assert written(INDIA, "money", [150000.5, -3, 0]) == ["₹1,50,000.50", "−₹3.00", "₹0.00"]
    assert written(AMERICA, "money", [1.5]) == ["$1.50"]
    assert written(["CHF", "Europe/Zurich"], "money", [1.5]) == ["CHF 1.50"]
    assert written(AMERICA, "change", [3.14159, -3.14159, 0]) == ["+3.14", "−3.14", "0.00"]
    assert written(AMERICA, "percent", [0.1146, -0.5, 0]) == ["11.46 %", "-50.00 %", "0.00 %"]
    assert written(AMERICA, "number", [-0.004, -0.006, -0.0], 2) == ["0.00", "-0.01", "0.00"]
    assert written(AMERICA, "change", [-0.004, 0.004, -0.006, 10]) == ["0.00", "0.00", "−0.01", "+10.00"]
    assert written(AMERICA, "change", [-0.4, 0.4, -20], 0) == ["0", "0", "−20"]
    assert written(AMERICA, "money", [-0.004, -0.006]) == ["$0.00", "−$0.01"]
    assert written(AMERICA, "strike", [26000, 777.5, 0.0625]) == ["26,000", "777.5", "0.0625"]


def test_times_are_those_of_the_exchange_also_when_clocks_change(written):
    before, after = us(2026, 3, 8, 6, 59, 59), us(2026, 3, 8, 7, 0, 0)
    assert written(AMERICA, "time", [before, after]) == ["01:59:59", "03:00:00"]
    assert written(AMERICA, "zoneName", [before, after]) == ["EST", "EDT"]
    twice = [us(2026, 11, 1, 5, 30), us(2026, 11, 1, 6, 30)]
    assert written(AMERICA, "time", twice) == ["01:30:00", "01:30:00"]
    assert written(AMERICA, "zoneName", twice) == ["EDT", "EST"]
    assert written(AMERICA, "wall", [after]) == ["2026-03-08 03:00:00"]
    assert written(INDIA, "time", [us(2026, 11, 20, 18, 30)]) == ["00:00:00"]
    assert written(INDIA, "wall", [us(2026, 11, 20, 18, 30)]) == ["2026-11-21 00:00:00"]
    assert written(INDIA, "zoneName", [us(2026, 11, 20, 18, 30)]) == ["IST"]
    assert written(INDIA, "instant", [us(2026, 12, 31, 18, 30, 5)]) == ["01 Jan, 00:00:05"]
    assert written(INDIA, "date", ["2026-11-24"]) == ["24 Nov 26"]


def test_ages_sizes_and_instants(modules):
    script = "({age}, values) => values.map(age)"
    seconds = [-5, 0, 0.9, 119, 120, 7199, 7200, 172_799, 172_800]
    assert modules("core/format", script, seconds) == [
        *("0 s", "0 s", "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d")
    ]
    script = "({bytes}, values) => values.map(bytes)"
    sizes = [0, 1023, 1024, 1048576, 5 * 1024**3]
    assert modules("core/format", script, sizes) == ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "5.0 GiB"]
    script = "({microseconds}, values) => values.map(microseconds)"
    told = ["2026-11-20T18:30:00Z", "2026-11-21T00:00:00+05:30", "2026-11-20T18:30:00.123456Z", None]
    whole = us(2026, 11, 20, 18, 30)
    assert modules("core/format", script, told) == [whole, whole, whole + 123_000, None]


def test_time_left_is_told_to_the_second_at_the_end(modules):
    script = "({until}, seconds) => seconds.map((each) => until(1e6 * each))"
    seconds = [3 * 86_400, 86_399, 3600, 3599, 120, 119.5, 1, 0.2, 0, -5]
    assert modules("core/derived", script, seconds) == [
        *("3.0 d", "23 h 59 min", "1 h 0 min", "59 min", "2 min", "120 s", "1 s", "1 s", "expired", "expired")
    ]


def test_csv_is_what_spreadsheets_read(modules):
    rows = [["strike", 'say "hi"'], [1.5, None], ["a,b", "c\nd"], ["", "é"], [0, False]]
    assert modules("core/dom", "({csv}, rows) => csv(rows)", rows) == (
        'strike,"say ""hi"""\r\n1.5,\r\n"a,b","c\nd"\r\n,é\r\n0,false\r\n'
    )


def test_text_is_never_markup(modules):
    script = """({element, setText}) => {
      const hostile = "<img src=x onerror=alert(1)>";
      const attributes = { title: hostile, hidden: false, "data-x": null };
      const node = element("p", attributes, hostile, null, [false, "b"]);
      const changed = [setText(node, hostile), setText(node, hostile), setText(node, "")];
      const facts = [node.getAttribute("title"), node.attributes.length, node.textContent];
      return [...facts, changed, element("i", { class: "a" }, ["b", ["c"]]).outerHTML];
    }"""
    assert modules("core/dom", script) == [
        *("<img src=x onerror=alert(1)>", 1, ""),
        [True, False, True],
        '<i class="a">bc</i>',
    ]


def test_addresses_lead_there_and_back(modules):
    script = """async ({Router, address}) => {
      const router = new Router();
      const told = [];
      router.changed.listen((route) => told.push(route));
      const go = async (work) => {
        work();
        await new Promise((resolve) => setTimeout(resolve, 20));
        return [location.hash, { ...router.route }];
      };
      return [
        await go(() => router.go({ view: "chain", product: "A B/C", root: "SPXW", expiry: "2026-11-24" })),
        await go(() => router.go({ view: "charts" })),
        await go(() => router.go({ product: null }, { replace: true })),
        await go(() => { location.hash = "#/%E0%A4%A/x"; }),
        await go(() => { location.hash = ""; }),
        told.length, address({}), address({ view: "charts", expiry: "2026-11-24" }),
      ];
    }"""
    whole = {"view": "chain", "product": "A B/C", "root": "SPXW", "expiry": "2026-11-24"}
    nothing = {"view": "chain", "product": None, "root": None, "expiry": None}
    assert modules("core/router", script) == [
        ["#/chain/A%20B%2FC/SPXW/2026-11-24", whole],
        ["#/charts/A%20B%2FC/SPXW/2026-11-24", {**whole, "view": "charts"}],
        ["#/charts", {**nothing, "view": "charts"}],
        ["#/%E0%A4%A/x", {**nothing, "product": "x"}],
        ["", nothing],
        *(5, "#/chain", "#/charts"),
    ]


def test_what_a_browser_remembers_is_checked(modules):
    stored = '{"theme":7,"strikes":"all","greeks":{"a":1},"product":5,"grouping":"western","evil":1}'
    page = modules.visit.page
    page.evaluate("(text) => localStorage.setItem('deltastream', text)", stored)
    page.goto("/alone")
    keys = ["theme", "strikes", "greeks", "product", "grouping", "evil"]
    found = modules("core/preferences", "({preference}, keys) => keys.map(preference)", keys)
    assert found == ["auto", 15, ["delta"], None, "western", None]
    for broken in ("{", "null", "[]", '"x"'):
        page.evaluate("(text) => localStorage.setItem('deltastream', text)", broken)
        page.goto("/alone")
        assert modules("core/preferences", "({preference}) => preference('theme')") == "auto"


def test_work_is_done_in_turn_and_not_in_a_hidden_tab(modules):
    script = """async ({Poll}) => {
      let now = 0, most = 0, turns = 0, hidden = false;
      Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
      const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const poll = new Poll(async () => {
        now += 1; turns += 1; most = Math.max(most, now);
        await pause(20);
        now -= 1;
        return true;
      }, 10);
      poll.now(); poll.now();
      await pause(200);
      const shown = turns;
      hidden = true;
      document.dispatchEvent(new Event("visibilitychange"));
      await pause(60);
      const resting = turns;
      await pause(120);
      const still = turns === resting;
      hidden = false;
      document.dispatchEvent(new Event("visibilitychange"));
      await pause(60);
      const again = turns > resting;
      poll.close();
      const closed = turns;
      await pause(100);
      let once = 0;
      new Poll(async () => { once += 1; return false; }, 1);
      await pause(50);
      return { most, several: shown > 2, still, again, over: turns === closed, once };
    }"""
    assert modules("core/poll", script) == {
        "most": 1, "several": True, "still": True, "again": True, "over": True, "once": 1,
    }  # fmt: skip
