// One strike of the chain table. It remembers what it shows, and touches only cells that are to show
// something else.

import { element, setAttribute } from "../core/dom.js";
import { ivTip } from "./chain_columns.js";

/**
 * @typedef {import("./chain_columns.js").Column} Column
 * @typedef {import("./chain_columns.js").Style} Style
 * @typedef {"call"|"put"} Side
 *
 * One cell of a row.
 * @typedef {Object} Cell
 * @property {Column} column
 * @property {HTMLElement} node
 * @property {Text} text
 * @property {any} value as the API has it; undefined before the first
 * @property {string} share of the bar
 * @property {any} status
 * @property {boolean} loose whether its number is one of many that would do
 *
 * Where the values of one column of the table come from, for every row.
 * @typedef {Object} Source
 * @property {Array<any>} values
 * @property {Array<any>|null} status
 * @property {Array<any>|null} floor null where nothing holds the value from below
 * @property {number} largest
 *
 * What rows are drawn from.
 * @typedef {Object} Drawing
 * @property {Array<Source>} sources as the cells of a row
 * @property {Array<number>} widths in characters, likewise; they grow as they must
 * @property {Style} style
 * @property {boolean} anew whether even what has not changed is written
 * @property {((cell: HTMLElement, direction: "up"|"down") => void)|null} flash null: nothing flashes
 */

export class Row {
  /**
   * @param {number} strike
   * @param {Array<{side: Side, column: Column}>} places from the left; the strike stands between the sides
   */
  constructor(strike, places) {
    this.strike = strike;
    this.label = document.createTextNode("");
    this.marks = element("span", { class: "marks" });
    this.said = element("span", { class: "hidden-text" });
    this.button = element("button", { type: "button", class: "strike-button number", tabindex: "-1" }, this.label);
    this.head = element("th", { scope: "row", class: "strike" }, this.button, this.marks, this.said);
    /** @type {Array<Cell>} */
    this.cells = places.map(({ side, column }) => {
      const text = document.createTextNode("");
      const node = element("td", { class: `number ${side} ${column.key}${column.bar ? " bar" : ""}` }, text);
      return { column, text, node, value: undefined, share: "", status: undefined, loose: false };
    });
    const calls = places.findIndex(({ side }) => side === "put");
    const nodes = this.cells.map(({ node }) => node);
    this.node = element("tr", { "data-strike": strike }, nodes.slice(0, calls), this.head, nodes.slice(calls));
    this.described = "";
  }

  /** @param {number} at row of the chain's columns @param {Drawing} drawing */
  draw(at, { sources, widths, style, anew, flash }) {
    const { cells } = this;
    for (let index = 0; index < cells.length; index += 1) {
      const cell = cells[index];
      const { values, status, floor, largest } = sources[index];
      const value = values[at];
      const before = cell.value;
      const loose = floor !== null && value !== null && floor[at] === null;
      if (value !== before || anew) {
        const text = cell.column.text(value, style);
        if (cell.text.data !== text) {
          const had = before !== undefined && before !== null;
          if (flash !== null && cell.column.flashes && had && value !== null && !loose) {
            flash(cell.node, value > before ? "up" : "down");
          }
          cell.text.data = text;
          if (text.length > widths[index]) widths[index] = text.length;
        }
        cell.value = value;
        if (cell.column.tip !== undefined) setAttribute(cell.node, "title", cell.column.tip(value, style));
        if (cell.column.key === "buildup") setAttribute(cell.node, "data-code", text);
        if (cell.column.key === "oi_change") setAttribute(cell.node, "data-sign", value < 0 ? "-1" : null);
      }
      if (cell.column.bar) {
        const share = value === null || largest === 0 ? "0" : (Math.abs(value) / largest).toFixed(3);
        if (share !== cell.share) cell.node.style.setProperty("--share", cell.share = share);
      }
      if (status !== null && (status[at] !== cell.status || loose !== cell.loose)) {
        cell.status = status[at];
        cell.loose = loose;
        setAttribute(cell.node, "data-loose", loose ? "" : null);
        setAttribute(cell.node, "title", ivTip(cell.status, loose));
      }
    }
  }

  /**
   * What the strike is beside the others.
   * @param {{label: string, atm: boolean, pain: boolean, money: "call"|"put"|null, spot: boolean}} place
   */
  describe({ label, atm, pain, money, spot }) {
    const described = `${label} ${atm} ${pain} ${money} ${spot}`;
    if (described === this.described) return;
    this.described = described;
    this.label.data = label;
    setAttribute(this.node, "data-atm", atm ? "" : null);
    setAttribute(this.node, "data-max-pain", pain ? "" : null);
    setAttribute(this.node, "data-itm", money);
    setAttribute(this.node, "data-spot", spot ? "" : null);
    this.marks.replaceChildren(
      ...(atm ? [mark("atm", "ATM", "At the money: nearest the forward")] : []),
      ...(pain ? [mark("pain", "MP", "Max pain")] : []),
    );
    this.said.textContent = [
      atm ? "at the money" : "", pain ? "max pain" : "", money === null ? "" : `${money} in the money`,
    ].filter(Boolean).join(", ");
  }
}

/** To be seen; what is heard stands beside it. @param {string} kind @param {string} text @param {string} title */
function mark(kind, text, title) {
  return element("span", { class: `mark ${kind}`, title, "aria-hidden": "true" }, text);
}
