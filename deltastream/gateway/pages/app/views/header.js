// The head of the page: which product, what it costs, what its options say, and how far to believe it.

import { element } from "../core/dom.js";
import { address } from "../core/router.js";

const TABS = [["chain", "Chain"], ["charts", "Charts"], ["system", "System"], ["account", "Account"]];

/** @param {import("../core/main.js").Context} context @returns {HTMLElement} */
export function header(context) {
  const tabs = TABS.map(([view, name]) => element("a", { href: address({ ...context.router.route, view }), "data-view": view }, name));
  return element("header", { class: "page-header" }, element("nav", { "aria-label": "Views" }, tabs));
}
