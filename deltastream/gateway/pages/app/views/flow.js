// What flows through the host: rates from the differences of what it counts, over the last polls.

import { element, setText } from "../core/dom.js";
import { MISSING, bytes } from "../core/format.js";

const POLLS = 6; // that a rate is taken over, so that it does not jump
const FIGURES = ["Messages", "Event loop", "Sockets", "Behind", "Journal", "Store"];
const TOPICS = ["Kind", "Topics", "Messages/s", "Kept", "Size"];
const GROUPS = ["Group", "Settled/s", "Behind", "In flight", "Tried again", "Dead", "Lost"];

/**
 * @typedef {Object} Sample
 * @property {number} at seconds, of the host
 * @property {Record<string, number>} counts
 *
 * @typedef {Object} Sum
 * @property {string} name
 * @property {Array<string>} counts what its rate is the sum of
 * @property {Array<number|string>} cells the rest of its row
 */

export class Rates {
  constructor() {
    /** @type {Array<Sample>} */
    this.samples = [];
  }

  /** @param {Sample} sample */
  add(sample) {
    const last = this.samples.at(-1);
    if (last !== undefined && sample.at <= last.at) this.samples.length = 0; // another run of the host
    this.samples.push(sample);
    if (this.samples.length > POLLS) this.samples.shift();
  }

  /**
   * How much a count rises a second; null where that cannot be told: it is new, or has begun anew.
   * @param {string} name
   * @returns {number|null}
   */
  of(name) {
    const last = this.samples.at(-1);
    const first = this.samples.find(({ counts }) => counts[name] !== undefined);
    if (last === undefined || first === undefined || last === first || last.counts[name] === undefined) return null;
    const rise = last.counts[name] - first.counts[name];
    return rise >= 0 ? rise / (last.at - first.at) : null;
  }

  /** Of several together. @param {Array<string>} names */
  sum(names) {
    const known = names.map((name) => this.of(name)).filter((rate) => rate !== null);
    return known.length === 0 ? null : known.reduce((sum, rate) => sum + rate, 0);
  }
}

export class Flow {
  constructor() {
    this.rates = new Rates();
    /** @type {Record<string, {value: any, more: any}>} */
    this.figures = {};
    const figures = element("dl", { class: "figures" });
    for (const name of FIGURES) {
      const value = element("dd", { class: "number" });
      const more = element("dd", { class: "soft" });
      this.figures[name] = { value, more };
      figures.append(element("div", { class: "card", "data-figure": name }, element("dt", {}, name), value, more));
    }
    this.topics = new Sums("Throughput by kind of topic", TOPICS);
    this.groups = new Sums("Throughput by group", GROUPS);
    this.node = element("div", { class: "flow" }, figures, element("div", { class: "sums" }, this.topics.node, this.groups.node));
  }

  /** @param {any} status of the host @param {import("../core/format.js").Formats} formats */
  show(status, formats) {
    const { bus, store, sockets, loop_lag: lag } = status;
    this.rates.add({ at: status.tree?.uptime_s ?? performance.now() / 1000, counts: counted(status) });
    const rate = (/** @type {string} */ name) => formats.number(this.rates.of(name), 1);
    const ms = (/** @type {number|null|undefined} */ s) => formats.number(s === null || s === undefined ? null : 1000 * s, 1);
    this.#figure("Messages", `${rate("appended")} /s`, bus === null ? status.errors.bus
      : `${rate("commits")} commits/s; ${formats.count(bus.pending)} waiting${bus.reason === null ? "" : `; ${bus.reason}`}`);
    this.#figure("Event loop", `p99 ${ms(lag?.p99)} ms`, lag === null ? "not measured"
      : `at most ${ms(lag.maximum)} ms in ${lag.window} s; ${lag.holds} holds over ${ms(lag.threshold)} ms`);
    this.#figure("Sockets", sockets === null ? MISSING : formats.count(sockets.connections), sockets === null ? "not served"
      : `open; ${rate("frames")} frames/s in ${rate("writes")} writes/s; rooms: ${sockets.rooms}; passed: ${sockets.passed}`);
    const groups = bus?.groups ?? [];
    const all = (/** @type {string} */ name) => groups.reduce((/** @type {number} */ sum, /** @type {any} */ group) => sum + group[name], 0);
    this.#figure("Behind", bus === null ? MISSING : formats.count(all("lag")),
      `messages; ${all("retrying")} tried again, ${all("dead")} dead, ${all("lost")} lost`);
    this.#figure("Journal", bytes(bus?.bytes_on_disk), bus === null ? status.errors.bus : `${bus.topics.length} topics, ${bus.state}`);
    this.#figure("Store", bytes(store?.bytes_on_disk), store === null ? status.errors.store
      : `${rate("applied")} records/s, ${store.state}${store.reason === null ? "" : `: ${store.reason}`}`);
    this.topics.show(topicSums(bus?.topics ?? [], formats), this.rates, formats);
    this.groups.show(groupSums(groups), this.rates, formats);
  }

  #figure(/** @type {string} */ name, /** @type {string} */ value, /** @type {string|undefined} */ more) {
    setText(this.figures[name].value, value);
    setText(this.figures[name].more, more ?? "");
  }
}

/** A table of sums, whose rows stay in place. */
class Sums {
  /** @param {string} title @param {Array<string>} columns */
  constructor(title, columns) {
    this.columns = columns;
    /** @type {Map<string, {node: any, cells: Array<any>}>} */
    this.rows = new Map();
    this.body = element("tbody");
    const heads = columns.map((name, index) => element("th", { scope: "col", class: index > 0 && "number-head" }, name));
    const table = element("table", {}, element("caption", {}, title), element("thead", {}, element("tr", {}, heads)), this.body);
    this.node = element("div", { class: "card wide", tabindex: 0, role: "region", "aria-label": title }, table);
  }

  /** @param {Array<Sum>} sums @param {Rates} rates @param {import("../core/format.js").Formats} formats */
  show(sums, rates, formats) {
    const names = new Set(sums.map(({ name }) => name));
    for (const [name, { node }] of this.rows) {
      if (names.has(name)) continue;
      node.remove();
      this.rows.delete(name);
    }
    for (const { name, counts, cells } of sums) {
      const row = this.rows.get(name) ?? this.#make(name);
      // After its name and what stands before its rate, which is second of groups and third of topics.
      const shown = cells.map((cell) => (typeof cell === "number" ? formats.count(cell) : cell));
      shown.splice(this.columns.findIndex((column) => column.endsWith("/s")) - 1, 0, formats.number(rates.sum(counts), 1));
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

// Everything that only rises. A topic of another epoch is another count.
function counted(/** @type {any} */ { bus, store, sockets }) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const name of ["appended", "commits"]) if (bus !== null) counts[name] = bus[name];
  for (const name of ["frames", "writes"]) if (sockets !== null) counts[name] = sockets[name];
  if (store !== null) counts.applied = store.applied;
  for (const each of bus?.topics ?? []) counts[countOfTopic(each)] = each.last_seq;
  for (const each of bus?.groups ?? []) counts[countOfGroup(each)] = each.acked;
  return counts;
}

const countOfTopic = (/** @type {any} */ { topic, epoch }) => `topic ${topic} ${epoch}`;
const countOfGroup = (/** @type {any} */ { group, topic }) => `group ${group} ${topic}`;

/** @returns {Array<Sum>} by the kind of topic: its name without the product */
function topicSums(/** @type {Array<any>} */ topics, /** @type {import("../core/format.js").Formats} */ formats) {
  return [...grouped(topics, ({ topic }) => topic.slice(0, topic.lastIndexOf(".")))].map(([name, each]) => ({
    name,
    counts: each.map(countOfTopic),
    cells: [
      each.length, formats.compact(each.reduce((sum, { first_seq: first, last_seq: last }) => sum + last - first + 1, 0)),
      bytes(each.reduce((sum, topic) => sum + topic.bytes, 0)),
    ],
  }));
}

/** @returns {Array<Sum>} */
function groupSums(/** @type {Array<any>} */ groups) {
  return [...grouped(groups, ({ group }) => group)].map(([name, each]) => ({
    name,
    counts: each.map(countOfGroup),
    cells: ["lag", "in_flight", "retrying", "dead", "lost"].map((key) => each.reduce((sum, group) => sum + group[key], 0)),
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
