// Everything that is known of the two contracts at one strike.

import { buildup, ivStatus } from "../core/codes.js";
import { element, setAttribute, setText } from "../core/dom.js";
import { MISSING } from "../core/format.js";
import { styleOf } from "./chain_columns.js";

/** @typedef {import("./chain_columns.js").Style} Style */

/** @type {Array<{label: string, title?: string, show: (read: (key: string) => any, style: Style) => string}>} */
const FIELDS = [
  { label: "Bid", show: (read, style) => price(read("bid"), style) },
  { label: "Bid size", show: (read, { formats }) => formats.count(read("bid_size")) },
  { label: "Ask", show: (read, style) => price(read("ask"), style) },
  { label: "Ask size", show: (read, { formats }) => formats.count(read("ask_size")) },
  { label: "Last", show: (read, style) => price(read("last"), style) },
  { label: "Last trade", show: (read, { formats }) => traded(read("last_trade_us"), formats) },
  { label: "Previous close", show: (read, style) => price(read("prev_close"), style) },
  {
    label: "Change", title: "Last less the previous close",
    show: (read, { formats, price: digits }) => formats.change(less(read("last"), read("prev_close")), digits),
  },
  { label: "Volume", show: (read, { formats }) => formats.count(read("volume")) },
  { label: "Open interest", show: (read, { formats }) => formats.count(read("oi")) },
  { label: "Previous OI", show: (read, { formats }) => formats.count(read("prev_oi")) },
  { label: "Change of OI", show: (read, { formats }) => formats.change(read("oi_change"), 0) },
  { label: "Build-up", show: (read) => (buildup(read("buildup"))?.words ?? MISSING).split(":")[0] },
  { label: "IV", title: "Of the mid, per year", show: (read, { formats }) => formats.percent(read("iv")) },
  { label: "Bid IV", show: (read, { formats }) => formats.percent(read("bid_iv")) },
  { label: "Ask IV", show: (read, { formats }) => formats.percent(read("ask_iv")) },
  { label: "Vendor IV", title: "The source's own", show: (read, { formats }) => formats.percent(read("vendor_iv")) },
  { label: "IV status", show: (read) => ivStatus(read("iv_status"))?.words ?? MISSING },
  {
    label: "Greeks from", title: "Whose volatility the Greeks use",
    show: (read) => {
      if (read("delta") === null) return MISSING;
      return ivStatus(read("iv_status"))?.otherSide ? "the other side" : "own IV";
    },
  },
  { label: "Delta", title: "Per point of spot", show: (read, { formats }) => formats.number(read("delta"), 4) },
  {
    label: "Gamma", title: "Of delta, per point of spot",
    show: (read, { formats, gamma }) => formats.number(read("gamma"), gamma + 2),
  },
  { label: "Theta", title: "Per calendar day", show: (read, { formats }) => formats.number(read("theta"), 4) },
  { label: "Vega", title: "Per volatility point", show: (read, { formats }) => formats.number(read("vega"), 4) },
  { label: "Rho", title: "Per 1 % of rate", show: (read, { formats }) => formats.number(read("rho"), 4) },
];

export class ContractDetail {
  /** @param {() => void} closed */
  constructor(closed) {
    this.closed = closed;
    this.strike = NaN;
    this.title = element("h2", { id: "contract-title", tabindex: "-1" });
    this.symbols = [element("code", {}), element("code", {})];
    this.cells = FIELDS.map(({ label, title, show }) => {
      const nodes = [element("td", { class: "number call" }), element("td", { class: "number put" })];
      return { show, nodes, row: element("tr", {}, element("th", { scope: "row", title }, label), nodes) };
    });
    this.gone = element("p", { class: "soft", hidden: true }, "The chain has no such strike any more.");
    this.table = element("table", { class: "contract-fields fades" },
      element("thead", {}, element("tr", {}, element("td", {}), element("th", { scope: "col" }, "Call"),
        element("th", { scope: "col" }, "Put"))),
      element("tbody", {}, this.cells.map(({ row }) => row)));
    this.node = element("aside", {
      class: "contract card", id: "contract", "aria-labelledby": "contract-title", hidden: true,
      keydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") this.close(); },
    }, element("div", { class: "contract-head" }, this.title, element("button", {
      type: "button", class: "close", "aria-label": "Close the contract", click: () => this.close(),
    }, "✕")),
    element("p", { class: "symbols" }, this.symbols), this.gone, this.table);
  }

  get open() {
    return !this.node.hidden;
  }

  /** @param {number} strike */
  show(strike) {
    this.strike = strike;
    this.node.hidden = false;
  }

  focus() {
    this.title.focus();
  }

  close() {
    if (!this.open) return;
    this.node.hidden = true;
    this.closed();
  }

  /**
   * @param {import("../core/market.js").Chain} chain with its columns
   * @param {import("../core/market.js").Product} product
   */
  update(chain, product) {
    if (!this.open) return;
    const columns = /** @type {Record<string, Array<any>>} */ (chain.columns);
    const style = styleOf(chain, product.formats);
    const at = columns.strike.indexOf(this.strike);
    setText(this.title, `${chain.root} ${style.formats.strike(this.strike)} · ${style.formats.date(chain.expiry)}`);
    ["C", "P"].forEach((side, index) => setText(this.symbols[index], symbol(chain, this.strike, side)));
    this.gone.hidden = at >= 0;
    this.table.hidden = at < 0;
    if (at < 0) return;
    for (const { show, nodes } of this.cells) {
      ["call", "put"].forEach((side, index) => {
        const text = show((key) => columns[`${side}_${key}`][at], style);
        if (setText(nodes[index], text)) setAttribute(nodes[index], "data-words", /[a-z]/i.test(text) ? "" : null);
      });
    }
  }
}

/**
 * As the API names a contract.
 * @param {import("../core/market.js").Chain} chain
 * @param {number} strike
 * @param {string} side
 */
export function symbol({ root, expiry }, strike, side) {
  return `${root}-${expiry.replaceAll("-", "")}-${strike}-${side}`;
}

const price = (/** @type {any} */ value, /** @type {Style} */ { formats, price: digits }) =>
  formats.number(value, digits);

/** @param {number|null} a @param {number|null} b */
function less(a, b) {
  return a === null || b === null ? null : a - b;
}

/** @param {number|null} us @param {import("../core/format.js").Formats} formats */
function traded(us, formats) {
  return us === null ? MISSING : `${formats.instant(us)} ${formats.zoneName(us)}`;
}
