// The charts: which of them are shown is up to the reader, and remembered.

import { element } from "../core/dom.js";
import { prefer, preference } from "../core/preferences.js";
import { interestChart } from "../charts/interest.js";
import { Panel } from "../charts/panel.js";
import { priceChart } from "../charts/price.js";
import { ratiosChart } from "../charts/ratios.js";
import { nameOf } from "../charts/shared.js";
import { smileChart } from "../charts/smile.js";
import { straddleChart } from "../charts/straddle.js";
import { surfaceChart } from "../charts/surface.js";
import { termChart } from "../charts/term.js";
import { colours, watch } from "../charts/theme.js";

/** @typedef {import("../core/main.js").Context} Context */
/** @typedef {(context: Context, touch: () => void) => import("../charts/panel.js").Chart} Make */

/** @type {Record<string, {label: string, make: Make}>} */
const CHARTS = {
  price: { label: "Price", make: priceChart },
  interest: { label: "Open interest", make: interestChart },
  ratios: { label: "PCR & max pain", make: ratiosChart },
  straddle: { label: "Straddle", make: straddleChart },
  smile: { label: "Smile", make: smileChart },
  term: { label: "Term structure", make: termChart },
  surface: { label: "Surface", make: surfaceChart },
};

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function chartsView(context) {
  const { market, router } = context;
  /** @type {Map<string, Panel>} */
  const panels = new Map();
  let shades = colours();

  const expiry = element("select", { id: "chart-expiry", change: () => {
    const chain = market.chains.get(expiry.value);
    if (chain === undefined) return;
    router.go({ view: "charts", product: chain.product, root: chain.root, expiry: chain.expiry });
  } });
  const buttons = Object.entries(CHARTS).map(([name, { label }]) => element("button", {
    type: "button", "data-show": name, "aria-pressed": "false", click: () => toggle(name),
  }, label));
  const grid = element("div", { class: "charts-grid" });
  const none = element("p", { class: "soft" }, "Choose a chart above.");
  const node = element("section", { class: "charts", "aria-labelledby": "charts-title" },
    element("h1", { id: "charts-title", class: "hidden-text" }, "Charts"),
    element("div", { class: "charts-bar" },
      element("label", { class: "chart-list", for: "chart-expiry" }, "Expiry ", expiry),
      element("div", { class: "chart-choice", role: "group", "aria-label": "Charts shown" }, buttons)),
    none, grid);

  /** @param {string} product */
  const rooms = (product) => [...new Set([...panels.values()].flatMap((panel) => panel.chart.rooms(product)))];

  /** Shows what is chosen, in the order of the buttons. */
  function arrange() {
    const chosen = Object.keys(CHARTS).filter((name) => preference("charts").includes(name));
    for (const [name, panel] of panels) {
      if (chosen.includes(name)) continue;
      panel.close();
      panels.delete(name);
    }
    for (const name of chosen) {
      if (panels.has(name)) continue;
      const panel = new Panel(context, CHARTS[name].make, () => shades);
      panels.set(name, panel);
      const next = chosen.slice(chosen.indexOf(name) + 1).map((each) => panels.get(each)).find(Boolean);
      grid.insertBefore(panel.node, next?.node ?? null);
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(panels.has(button.dataset.show)));
    none.hidden = panels.size > 0;
  }

  /** @param {string} name */
  function toggle(name) {
    const chosen = preference("charts");
    prefer("charts", chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name]);
    arrange();
    market.follow(rooms(context.product()));
  }

  function offer() {
    const product = market.products.get(context.product());
    const chains = market.chainsOf(context.product());
    const offered = chains.map((chain) => chain.key).join();
    if (product !== undefined && expiry.dataset.offered !== offered) {
      expiry.dataset.offered = offered;
      const { formats } = product;
      expiry.replaceChildren(...chains.map((chain) => element("option", { value: chain.key }, nameOf(formats, chain))));
    }
    const key = context.chain()?.key ?? "";
    if (expiry.value !== key) expiry.value = key;
  }

  const unlisten = [
    market.changed.listen((changes) => {
      if (changes.chains.size > 0) offer();
      for (const panel of panels.values()) panel.heard(changes);
    }),
    market.second.listen(() => { for (const panel of panels.values()) panel.mark(); }),
    watch(() => {
      shades = colours();
      for (const panel of panels.values()) panel.touch();
    }),
  ];
  offer();
  arrange();
  return {
    title: "Charts", node, rooms,
    moved() {
      offer();
      for (const panel of panels.values()) panel.moved();
    },
    close() {
      for (const each of unlisten) each();
      for (const panel of panels.values()) panel.close();
    },
  };
}
