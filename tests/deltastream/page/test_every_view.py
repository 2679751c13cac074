"""What holds for every view: for whoever cannot see well, on a phone, in the dark, and alone."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.slow

VIEWS = ["chain/NIFTY", "chain/SPY", "charts/NIFTY", "system", "account"]
WIDE = """() => [...document.querySelectorAll("body *")].filter((node) => {
  const box = node.getBoundingClientRect();
  if (box.right <= innerWidth + 1 || box.width === 0) return false;
  for (let above = node.parentElement; above !== null; above = above.parentElement) {
    const { overflowX, position } = getComputedStyle(above);
    if (above !== document.body && overflowX !== "visible" && overflowX !== "") return false;
    if (position === "fixed") return false;
  }
  return true;
}).map((node) => `${node.tagName} ${node.className}`).slice(0, 5)"""


def settled(visitor: Any, view: str) -> Any:
    page = visitor.open(view)
    page.wait_for_timeout(1500)
    return page


def faults(page: Any) -> list[Any]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (
            each["id"],
            each["impact"],
            [node["target"] for node in each["nodes"]][:5],
            each["nodes"][0]["failureSummary"],
        )
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_nobody_is_kept_out(host, visit, view, scheme):
    visitor = visit(host, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    visitor.log_in()
    assert faults(settled(visitor, view)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_of_the_login(host, visit, scheme):
    visitor = visit(host, color_scheme=scheme, bypass_csp=True, expected=["status of 400"])
    visitor.page.goto("/login")
    visitor.page.get_by_role("heading", name="Log in").wait_for()
    assert faults(visitor.page) == []


def test_the_search_finds_what_is_wrong(host, visit):
    visitor = visit(host, bypass_csp=True, viewport={"width": 390, "height": 844})
    visitor.log_in()
    page = settled(visitor, "account")
    page.evaluate("""() => {
      const image = document.createElement("img");
      image.width = 500;
      document.querySelector("main").append(image);
    }""")
    assert [fault[0] for fault in faults(page)] == ["image-alt"]
    assert page.evaluate(WIDE) == ["IMG "]
    assert page.evaluate("() => document.documentElement.scrollWidth") > 390


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_it_without_scrolling_sideways(host, visit, view):
    visitor = visit(host, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    visitor.log_in()
    page = settled(visitor, view)
    assert page.evaluate(WIDE) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.evaluate("() => visualViewport.scale") == 1


def test_every_link_of_the_head_leads_to_its_view(host, visit):
    visitor = visit(host)
    visitor.log_in()
    page = visitor.open()
    links = page.get_by_role("navigation", name="Views").get_by_role("link")
    names = links.all_inner_texts()
    assert [name.strip() for name in names] == ["Chain", "Charts", "System", "Account"]
    for name in [*names, *reversed(names)]:
        page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()
        visitor.eventually(lambda name=name: page.title().startswith(name.strip()))
        current = page.locator("nav [aria-current=page]")
        assert current.inner_text().strip() == name.strip()
