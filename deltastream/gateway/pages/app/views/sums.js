// Tables of sums over topics and over groups, whose rows stay in place.

import { element, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";

/**
 * @typedef {import("../core/format.js").Formats} Formats
 *
 * @typedef {Object} Sum
 * @property {string} name
 * @property {Array<string>} counts what its rate is the sum of
 * @property {Array<number|string>} cells the rest of its row
 */

export class Sums {
  /** @param {string} title @param {Array<string>} columns */
  constructor(title, columns) {
    this.columns = columns;
    this.rate = columns.findIndex((name) => name.endsWith("/s")) - 1; // where it stands among the other cells
    /** @type {Map<string, {node: any, cells: Array<any>}>} */
    this.rows = new Map();
    this.body = element("tbody");
    const heads = columns.map((name, index) =>
      element("th", { scope: "col", class: index > 0 && "number-head" }, name));
    const table = element("table", {},
      element("caption", {}, title), element("thead", {}, element("tr", {}, heads)), this.body);
    this.node = element("div", { class: "card wide", tabindex: 0, role: "region", "aria-label": title }, table);
  }

  /** @param {Array<Sum>} sums @param {import("../core/rates.js").Rates} rates @param {Formats} formats */
  show(sums, rates, formats) {
    const names = new Set(sums.map(({ name }) => name));
    for (const [name, { node }] of this.rows) {
      if (names.has(name)) continue;
      node.remove();
      this.rows.delete(name);
    }
    for (const { name, counts, cells } of sums) {
      const row = this.rows.get(name) ?? this.#make(name);
      const shown = cells.map((cell) => (typeof cell === "number" ? formats.count(cell) : cell));
      shown.splice(this.rate, 0, formats.number(rates.sum(counts), 1));
      shown.forEach((text, index) => setText(row.cells[index], text));
    }
  }

  #make(/** @type {string} */ name) {
    const cells = this.columns.slice(1).map(() => element("td", { class: "number" }));
    const node = element("tr", { "data-sum": name }, element("th", { scope: "row" }, name), cells);
    this.body.append(node);
    const row = { node, cells };
    this.rows.set(name, row);
    return row;
  }
}

export const countOfTopic = (/** @type {any} */ { topic, epoch }) => `topic ${topic} ${epoch}`;
export const countOfGroup = (/** @type {any} */ { group, topic }) => `group ${group} ${topic}`;

/** @returns {Array<Sum>} by the kind of topic: its name without the product */
export function topicSums(/** @type {Array<any>} */ topics, /** @type {Formats} */ formats) {
  return [...grouped(topics, ({ topic }) => topic.slice(0, topic.lastIndexOf(".")))].map(([name, each]) => ({
    name,
    counts: each.map(countOfTopic),
    cells: [
      each.length, formats.compact(total(each, ({ first_seq: first, last_seq: last }) => last - first + 1)),
      bytes(total(each, (topic) => topic.bytes)),
    ],
  }));
}

/** @returns {Array<Sum>} */
export function groupSums(/** @type {Array<any>} */ groups) {
  return [...grouped(groups, ({ group }) => group)].map(([name, each]) => ({
    name,
    counts: each.map(countOfGroup),
    cells: ["lag", "in_flight", "retrying", "dead", "lost"].map((key) => total(each, (group) => group[key])),
  }));
}

/** @param {Array<any>} items @param {(item: any) => string} key @returns {Map<string, Array<any>>} */
function grouped(items, key) {
  const found = new Map();
  for (const item of items) {
    const name = key(item);
    const known = found.get(name);
    if (known === undefined) found.set(name, [item]);
    else known.push(item);
  }
  return found;
}

/** @param {Array<any>} items @param {(item: any) => number} value */
export function total(items, value) {
  return items.reduce((sum, item) => sum + value(item), 0);
}
