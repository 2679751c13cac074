// The head of the page: which product, what it costs, what its options say, and how far to believe it.

import { element, setAttribute } from "../core/dom.js";
import { changed } from "../core/preferences.js";
import { address } from "../core/router.js";
import { Display } from "./header_display.js";
import { Metrics } from "./header_metrics.js";
import { ProductStrip } from "./header_products.js";
import { Status } from "./header_status.js";

const TABS = [["chain", "Chain"], ["charts", "Charts"], ["system", "System"], ["account", "Account"]];

/** It lives as long as the page. @param {import("../core/main.js").Context} context @returns {HTMLElement} */
export function header(context) {
  const { market, router } = context;
  const tabs = TABS.map(([view, name]) => element("a", { href: address({ view }), "data-view": view }, name));
  const strip = new ProductStrip(context);
  const metrics = new Metrics();
  const status = new Status(context);
  const display = new Display();
  const node = element("header", { class: "page-header" },
    element("a", { class: "skip", href: "#view", click: skip }, "Skip to the market"),
    element("div", { class: "bar" },
      element("span", { class: "brand" }, "DeltaStream"),
      element("nav", { class: "tabs", "aria-label": "Views" }, tabs),
      status.node, display.node),
    status.banner, strip.node, metrics.node);

  function show() {
    const product = market.products.get(context.product());
    if (product === undefined) return;
    const { level } = market.freshness(product.product);
    setAttribute(node, "data-market", level); // not the level: that of other products may be another
    setAttribute(metrics.node, "data-level", level);
    const chain = context.chain();
    metrics.update({ product, head: chain?.head ?? null, change: strip.change(product), now: market.now() });
    metrics.believe(market.freshness(product.product, chain?.ts).level);
    display.update(product.formats.currency === "INR");
  }

  function moved() {
    const { product, root, expiry } = router.route;
    const here = context.product();
    const same = product === here;
    for (const tab of tabs) {
      const { view } = tab.dataset;
      tab.href = address({ view, product: here, root: same ? root : null, expiry: same ? expiry : null });
    }
    strip.moved();
    status.update();
    show();
  }

  router.changed.listen(moved);
  market.changed.listen(({ products, chains, connection }) => {
    if (connection) strip.all();
    else strip.update(products);
    if (connection || products.has(context.product())) status.update();
    if (strip.chosen !== context.product()) moved();
    else if (connection || products.has(context.product()) || chains.size > 0) show();
  });
  market.second.listen(() => {
    strip.second();
    status.update();
    show();
  });
  changed.listen((key) => {
    if (key !== "grouping") return;
    strip.all();
    status.update();
    show();
  });
  return node;
}

function skip(/** @type {Event} */ event) {
  event.preventDefault(); // the address names what is looked at
  document.getElementById("view")?.focus();
}
