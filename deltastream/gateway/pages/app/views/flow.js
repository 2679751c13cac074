// What flows through the host, in figures and by topic and group.

import { element, setText } from "../core/dom.js";
import { MISSING, bytes } from "../core/format.js";
import { Rates } from "../core/rates.js";
import { Sums, countOfGroup, countOfTopic, groupSums, topicSums, total } from "./sums.js";

const TOPICS = ["Kind", "Topics", "Messages/s", "Kept", "Size"];
const GROUPS = ["Group", "Settled/s", "Behind", "In flight", "Tried again", "Dead", "Lost"];

/**
 * What a figure is made of, and how: a rate by the name of its count, milliseconds of seconds.
 * @typedef {Object} Told
 * @property {any} status of the host
 * @property {Rates} rates
 * @property {import("../core/format.js").Formats} formats
 * @property {(name: string) => string} rate
 * @property {(seconds: number|null) => string} ms
 */

/** A value and what is to be said of it. @type {Record<string, (told: Told) => [string, string]>} */
const FIGURES = {
  Messages({ status: { bus, errors }, rate, formats }) {
    const more = bus === null ? errors.bus : `${rate("commits")} commits/s; ${formats.count(bus.pending)} waiting`;
    return [`${rate("appended")} /s`, bus?.reason ? `${more}; ${bus.reason}` : more];
  },
  "Chain latency"({ status: { chain_latency: latency }, ms }) {
    if (latency === null) return [MISSING, "nothing is enriched"];
    const { p50, p99, maximum, samples, window } = latency;
    return [`p99 ${ms(p99)} ms`, `from the feed to the bus; median ${ms(p50)} ms, at most ${ms(maximum)} ms;`
      + ` ${samples} in ${window} s`];
  },
  "Event loop"({ status: { loop_lag: lag }, ms }) {
    if (lag === null) return [MISSING, "not measured"];
    return [`p99 ${ms(lag.p99)} ms`, `late; at most ${ms(lag.maximum)} ms in ${lag.window} s;`
      + ` ${lag.holds} holds over ${ms(lag.threshold)} ms`];
  },
  Behind({ status: { bus }, formats }) {
    if (bus === null) return [MISSING, ""];
    const [lag, retrying, dead, lost] = ["lag", "retrying", "dead", "lost"]
      .map((name) => formats.count(total(bus.groups, (group) => group[name])));
    return [lag, `messages; ${retrying} tried again, ${dead} dead, ${lost} lost`];
  },
  Sockets({ status: { sockets }, rate, formats }) {
    if (sockets === null) return [MISSING, "not served"];
    return [formats.count(sockets.connections), `open; ${rate("frames")} frames/s in ${rate("writes")} writes/s;`
      + ` rooms: ${sockets.rooms}; passed: ${sockets.passed}`];
  },
  Requests({ status: { requests }, rates, rate, ms }) {
    const answered = rates.of("answered");
    const each = answered ? ms(Number(rates.of("seconds")) / answered) : MISSING;
    return [`${rate("answered")} /s`, `${each} ms each; active: ${requests.active}; limited: ${requests.limited};`
      + ` defects: ${requests.defects}`];
  },
  Journal({ status: { bus, errors }, formats }) {
    return [bytes(bus?.bytes_on_disk), bus === null ? errors.bus
      : `${bytes(total(bus.topics, (topic) => topic.bytes))} of messages, ${bytes(bus.log_bytes)} of log;`
        + ` ${formats.count(bus.topics.length)} topics, ${bus.state}`];
  },
  Store({ status: { store, errors }, rate }) {
    return [bytes(store?.bytes_on_disk), store === null ? errors.store
      : `${rate("applied")} records/s, ${store.state}${store.reason === null ? "" : `: ${store.reason}`}`];
  },
};

export class Flow {
  constructor() {
    this.rates = new Rates();
    this.figures = Object.entries(FIGURES).map(([name, tell]) => {
      const value = element("dd", { class: "number" });
      const more = element("dd", { class: "soft" });
      const node = element("div", { class: "card", "data-figure": name }, element("dt", {}, name), value, more);
      return { tell, value, more, node };
    });
    this.topics = new Sums("Throughput by kind of topic", TOPICS);
    this.groups = new Sums("Throughput by group", GROUPS);
    this.node = element("div", { class: "flow" },
      element("dl", { class: "figures" }, this.figures.map(({ node }) => node)),
      element("div", { class: "sums" }, this.topics.node, this.groups.node));
  }

  /** @param {any} status of the host @param {import("../core/format.js").Formats} formats */
  show(status, formats) {
    const { rates } = this;
    rates.add({ at: status.tree?.uptime_s ?? performance.now() / 1000, counts: counted(status) });
    const told = {
      status, rates, formats,
      rate: (/** @type {string} */ name) => formats.number(rates.of(name), 1),
      ms: (/** @type {number|null} */ seconds) => formats.number(seconds === null ? null : 1000 * seconds, 1),
    };
    for (const { tell, value, more } of this.figures) {
      const [text, rest] = tell(told);
      setText(value, text);
      setText(more, rest);
    }
    this.topics.show(topicSums(status.bus?.topics ?? [], formats), rates, formats);
    this.groups.show(groupSums(status.bus?.groups ?? []), rates, formats);
  }
}

// Everything that only rises. A topic of another epoch is another count.
function counted(/** @type {any} */ { bus, store, sockets, requests }) {
  /** @type {Record<string, number>} */
  const counts = { answered: requests.answered, seconds: requests.seconds };
  if (bus !== null) Object.assign(counts, { appended: bus.appended, commits: bus.commits });
  if (sockets !== null) Object.assign(counts, { frames: sockets.frames, writes: sockets.writes });
  if (store !== null) counts.applied = store.applied;
  for (const each of bus?.topics ?? []) counts[countOfTopic(each)] = each.last_seq;
  for (const each of bus?.groups ?? []) counts[countOfGroup(each)] = each.acked;
  return counts;
}
