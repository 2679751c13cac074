// The chain as a table: calls, strikes, puts. Rows belong to strikes and stay as long as their strike is
// shown; of a change, only what differs is written.

import { element, setAttribute, setText } from "../core/dom.js";
import { chosenColumns, styleOf } from "./chain_columns.js";
import { Flashes } from "./chain_flashes.js";
import { Row } from "./chain_row.js";
import { nearest, strikeDigits, strikeRange } from "./chain_strikes.js";

const KEYS = new Map([
  ["ArrowDown", 1], ["ArrowUp", -1], ["PageDown", 10], ["PageUp", -10], ["Home", -Infinity], ["End", Infinity],
]);

/**
 * @typedef {import("../core/market.js").Chain} Chain
 * @typedef {import("./chain_columns.js").Column} Column
 */

export class ChainTable {
  /** @param {(strike: number) => void} chosen */
  constructor(chosen) {
    this.chosen = chosen;
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    /** @type {Array<number>} */
    this.shown = [];
    /** Strikes in the chain by which rows were drawn last, and how. */
    this.drawn = "";
    this.styleKey = "";
    this.tabbable = NaN;
    this.selected = NaN;
    this.centred = "";
    this.flashes = new Flashes();
    /** Columns from the left. @type {Array<{side: "call"|"put", column: Column}>} */
    this.places = [];
    /** @type {Array<{key: string|null, column: Column, node: HTMLElement}>} */
    this.totals = [];
    /** Of every column in characters, as it is and as it was set. @type {Array<number>} */
    this.widths = [];
    this.wide = "";
    this.columns = element("colgroup");
    this.head = element("thead");
    this.body = element("tbody", { class: "fades" });
    this.foot = element("tfoot", { class: "fades" });
    this.caption = element("caption", { class: "hidden-text" });
    this.table = element("table", { class: "chain-table", id: "chain-table" }, this.caption, this.columns,
      this.head, this.body, this.foot);
    this.node = element("div", {
      class: "chain-scroll", id: "chain-panel", role: "tabpanel", tabindex: "0",
    }, this.table);
    this.body.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#click(event));
    this.body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.columnsChanged();
  }

  /** Other columns are wanted: all is built anew with the next chain. */
  columnsChanged() {
    const { call, put } = chosenColumns();
    this.places = [
      ...call.map((column) => ({ side: /** @type {const} */ ("call"), column })),
      ...put.map((column) => ({ side: /** @type {const} */ ("put"), column })),
    ];
    const heads = (/** @type {string} */ side, /** @type {Array<Column>} */ columns) =>
      columns.map(({ key, label, title }) => element("th", { scope: "col", class: `${side} ${key}`, title }, label));
    this.columns.replaceChildren(...this.places.map(() => element("col")));
    this.columns.insertBefore(element("col", { class: "strike" }), this.columns.children[call.length]);
    this.head.replaceChildren(
      element("tr", { class: "sides" },
        element("th", { scope: "colgroup", colspan: call.length, class: "call" }, "Calls"),
        element("th", { scope: "col", rowspan: 2, class: "strike" }, "Strike"),
        element("th", { scope: "colgroup", colspan: put.length, class: "put" }, "Puts")),
      element("tr", { class: "names" }, heads("call", call), heads("put", put)),
    );
    this.totals = this.places.map(({ side, column }) => ({
      key: column.total?.replace("call", side) ?? null, column,
      node: element("td", { class: `number ${side} ${column.key}` }),
    }));
    const nodes = this.totals.map(({ node }) => node);
    this.foot.replaceChildren(element("tr", {}, nodes.slice(0, call.length),
      element("th", { scope: "row", class: "strike", title: "Sums over all strikes of the chain" }, "All strikes"),
      nodes.slice(call.length)));
    this.clear();
  }

  /** Shows nothing. */
  clear() {
    this.flashes.clear();
    this.rows.clear();
    this.shown = [];
    this.drawn = "";
    this.styleKey = "";
    this.widths = this.places.map(({ column }) => column.label.length);
    this.body.replaceChildren();
    for (const { node } of this.totals) setText(node, "");
  }

  /**
   * @param {Chain} chain with its columns
   * @param {import("../core/market.js").Product} product
   * @param {number} around strikes on either side of the ATM strike; 0: all
   */
  show(chain, product, around) {
    const { head } = chain;
    const columns = /** @type {Record<string, Array<any>>} */ (chain.columns);
    const style = styleOf(chain, product.formats);
    const name = `${chain.product} ${chain.key}`;
    const other = name !== this.drawn;
    if (other) {
      this.clear();
      setText(this.caption, `Option chain of ${chain.root}, expiry ${product.formats.date(chain.expiry)}`);
    }
    const [first, end] = strikeRange(columns.strike, head.atm_strike ?? head.spot, around);
    this.#arrange(columns.strike.slice(first, end));
    this.flashes.begin();
    const drawing = {
      sources: this.#sources(columns, first, end), widths: this.widths, style, anew: style.key !== this.styleKey,
      flash: other ? null : this.flashes.flash,
    };
    const spot = head.spot ?? head.forward;
    const digits = strikeDigits(columns.strike);
    const [low, high] = head.max_pain_interval ?? [Infinity, -Infinity];
    for (let at = first; at < end; at += 1) {
      const strike = columns.strike[at];
      const row = /** @type {Row} */ (this.rows.get(strike));
      row.draw(at, drawing);
      row.describe({
        label: style.formats.number(strike, digits), atm: strike === head.atm_strike, pain: strike >= low && strike <= high,
        money: spot === null || strike === spot ? null : strike < spot ? "call" : "put",
        spot: spot !== null && at > first && columns.strike[at - 1] < spot && strike >= spot,
      });
    }
    this.totals.forEach(({ key, column, node }, index) => {
      if (key === null) return;
      const text = column.text(head[key], style);
      setText(node, text);
      this.widths[index] = Math.max(this.widths[index], text.length);
    });
    this.flashes.end();
    this.#widen();
    this.drawn = name;
    this.styleKey = style.key;
    if (!this.rows.has(this.tabbable)) this.#makeTabbable(this.shown[nearest(this.shown, head.atm_strike ?? spot)]);
    if (this.centred !== name && this.node.isConnected) {
      this.centred = name;
      this.toAtm();
    }
  }

  /** Brings the ATM strike, and on a narrow screen the strikes, to the middle of what is seen. */
  toAtm() {
    const row = this.body.querySelector("[data-atm]") ?? this.rows.get(this.tabbable)?.node;
    const strike = row?.querySelector("th");
    if (!row || !strike) return;
    const { clientHeight, clientWidth } = this.node;
    const top = row.offsetTop + row.offsetHeight / 2 - clientHeight / 2;
    const left = this.table.offsetWidth / 2 - clientWidth / 2;
    this.node.scrollTo({ top, left });
  }

  /** Marks the row of a strike; NaN: none. @param {number} strike */
  select(strike) {
    const before = this.rows.get(this.selected);
    if (before !== undefined) setAttribute(before.node, "data-selected", null);
    this.selected = strike;
    const row = this.rows.get(strike);
    if (row !== undefined) setAttribute(row.node, "data-selected", "");
  }

  /** @param {number} strike */
  focus(strike) {
    (this.rows.get(strike) ?? this.rows.get(this.tabbable))?.button.focus();
  }

  close() {
    this.flashes.clear();
  }

  // Rows of these strikes, in this order.
  #arrange(/** @type {Array<number>} */ strikes) {
    if (strikes.length === this.shown.length && strikes.every((strike, index) => strike === this.shown[index])) return;
    const wanted = new Set(strikes);
    for (const [strike, row] of this.rows) {
      if (wanted.has(strike)) continue;
      row.node.remove();
      this.rows.delete(strike);
    }
    // Both lists ascend: rows that stay need not be moved.
    let next = this.body.firstElementChild;
    for (const strike of strikes) {
      const kept = this.rows.get(strike);
      if (kept !== undefined) {
        next = kept.node.nextElementSibling;
        continue;
      }
      const row = new Row(strike, this.places);
      this.rows.set(strike, row);
      this.body.insertBefore(row.node, next);
    }
    this.shown = strikes;
    this.select(this.selected);
  }

  // Columns have fixed widths, so that no change of a cell asks for the size of all others.
  #widen() {
    const wide = this.widths.join();
    if (wide === this.wide) return;
    this.wide = wide;
    const columns = [...this.columns.querySelectorAll("col:not(.strike)")];
    this.widths.forEach((width, index) => columns[index].style.setProperty("--characters", String(width)));
  }

  // A bar is as wide as its share of the largest that is shown, on either side.
  #sources(/** @type {Record<string, Array<any>>} */ columns, /** @type {number} */ first, /** @type {number} */ end) {
    /** @type {Record<string, number>} */
    const largest = {};
    return (this.places).map(({ side, column }) => {
      if (column.bar && largest[column.key] === undefined) {
        let most = 0;
        for (const values of [columns[`call_${column.key}`], columns[`put_${column.key}`]]) {
          for (let at = first; at < end; at += 1) if (values[at] !== null) most = Math.max(most, Math.abs(values[at]));
        }
        largest[column.key] = most;
      }
      return {
        values: columns[`${side}_${column.key}`], status: column.status ? columns[`${side}_iv_status`] : null,
        floor: column.status ? columns[`${side}_bid_iv`] : null, largest: largest[column.key] ?? 0,
      };
    });
  }

  #makeTabbable(/** @type {number} */ strike) {
    setAttribute(this.rows.get(this.tabbable)?.button ?? this.caption, "tabindex", "-1");
    this.tabbable = strike;
    const button = this.rows.get(strike)?.button;
    if (button !== undefined) setAttribute(button, "tabindex", "0");
  }

  #click(/** @type {MouseEvent} */ event) {
    const row = /** @type {Element} */ (event.target).closest("tr");
    if (row === null || getSelection()?.isCollapsed === false) return;
    const strike = Number(/** @type {HTMLElement} */ (row).dataset.strike);
    this.#makeTabbable(strike);
    this.chosen(strike);
  }

  #key(/** @type {KeyboardEvent} */ event) {
    const step = KEYS.get(event.key);
    const row = /** @type {Element} */ (event.target).closest("tr");
    if (step === undefined || row === null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = this.shown.indexOf(Number(/** @type {HTMLElement} */ (row).dataset.strike));
    const strike = this.shown[Math.min(Math.max(at + step, 0), this.shown.length - 1)];
    this.#makeTabbable(strike);
    this.focus(strike);
  }
}
