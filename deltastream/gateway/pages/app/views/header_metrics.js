// What the options of the product say: the numbers of one chain, each with where it comes from.

import { days, distance, digitsOf, expectedMove, until } from "../core/derived.js";
import { element, setAttribute, setText } from "../core/dom.js";
import { MISSING } from "../core/format.js";
import { words } from "../core/codes.js";

/**
 * How a number is shown.
 * @typedef {Object} Shown
 * @property {string} value
 * @property {string} [note] smaller, beneath
 * @property {string} title
 * @property {number} [direction] of the note, where it is a change
 *
 * @typedef {Object} Known
 * @property {import("../core/market.js").Product} product
 * @property {Record<string, any>|null} head of the chain
 * @property {{points: number, share: number, since: string}|null} change of the price
 * @property {number} now microseconds
 */

/** @type {Array<{key: string, label: string, show: (known: Known) => Shown}>} */
const METRICS = [
  { key: "spot", label: "Spot", show: spot },
  { key: "forward", label: "Forward", show: forward },
  { key: "atm_iv", label: "ATM IV", show: atmIv },
  { key: "straddle", label: "ATM straddle", show: straddle },
  { key: "sigma", label: "Expected move 1σ", show: sigma },
  { key: "max_pain", label: "Max pain", show: maxPain },
  { key: "pcr_oi", label: "PCR OI", show: (known) => ratio(known, "pcr_oi", "open interest", "oi") },
  { key: "pcr_volume", label: "PCR volume", show: (known) => ratio(known, "pcr_volume", "volume", "volume") },
  { key: "expiry", label: "Expiry", show: expiry },
];

export class Metrics {
  constructor() {
    this.nodes = METRICS.map(({ key, label, show }) => {
      const value = element("span", { class: "number value" }, MISSING);
      const note = element("span", { class: "number note" });
      const node = element("div", { class: "metric", "data-metric": key },
        element("dt", {}, label), element("dd", { class: "fades" }, value, note));
      return { key, node, value, note, show };
    });
    this.node = element("dl", { class: "metrics", id: "metrics", "aria-label": "Metrics of the product and expiry" },
      this.nodes.map(({ node }) => node));
  }

  /** How far what the chain tells can be believed: prices may come where chains do not. @param {string} level */
  believe(level) {
    for (const { key, node } of this.nodes) if (key !== "spot") setAttribute(node, "data-level", level);
  }

  /** @param {Known|null} known */
  update(known) {
    if (known === null) return;
    for (const { node, value, note, show } of this.nodes) {
      const shown = show(known);
      setText(value, shown.value);
      setText(note, shown.note ?? "");
      setAttribute(note, "data-direction", shown.direction === undefined ? null : String(Math.sign(shown.direction)));
      setAttribute(node, "title", shown.title);
    }
  }
}

/** @param {Known} known @returns {Shown} */
function spot({ product, change }) {
  const { formats } = product;
  return {
    value: formats.number(product.price),
    note: change === null ? "" : `${formats.change(change.points)} (${formats.change(100 * change.share)} %)`,
    title: [
      product.name, product.exchange, change?.since ?? "", `at ${formats.instant(product.ts)} ${formats.zoneName()}`,
    ].filter(Boolean).join(" · "),
    direction: change?.points ?? 0,
  };
}

/** @param {Known} known @returns {Shown} */
function forward({ product: { formats }, head }) {
  if (head === null || head.forward === null) return missing(head, "forward");
  const digits = Math.max(2, digitsOf(head.tick_size));
  const basis = distance(head.forward, head.spot);
  const error = head.forward_error === null ? "" : `, ± ${formats.number(head.forward_error, 4)} among the strikes`;
  return {
    value: formats.number(head.forward, digits),
    note: basis.points === null ? head.forward_source : `${formats.change(basis.points, digits)} to spot`,
    title: `From ${words(head.forward_source)}${error};`
      + ` rate ${formats.percent(head.rate)} (${words(head.rate_source)})`,
  };
}

/** @param {Known} known @returns {Shown} */
function atmIv({ product: { formats }, head }) {
  if (head === null || head.atm_iv === null) return missing(head, "atm_iv");
  const average = head.avg_iv === null ? "" : ` Mean of the out-of-the-money options: ${formats.percent(head.avg_iv)}.`;
  return {
    value: formats.percent(head.atm_iv),
    note: head.avg_iv === null ? "" : `mean ${formats.percent(head.avg_iv)}`,
    title: `Volatility per year at the forward, interpolated in total variance.${average}`,
  };
}

/** @param {Known} known @returns {Shown} */
function straddle({ product: { formats }, head }) {
  if (head === null || head.atm_straddle_price === null) return missing(head, "atm_straddle_price");
  const { straddle: move } = expectedMove(head);
  return {
    value: formats.number(move.points),
    note: moveNote(formats, move),
    title: `Call and put at ${formats.strike(head.atm_strike)}, by their mids. As an expected move until expiry, it`
      + ` covers about ${formats.percent(move.coverage, 1)} of the outcomes of a normal law.`,
  };
}

/** @param {Known} known @returns {Shown} */
function sigma({ product: { formats }, head }) {
  if (head === null || head.atm_iv === null) return missing(head, "atm_iv");
  const { sigma: move } = expectedMove(head);
  if (move.points === null) return missing(head, head.spot === null ? "spot" : "t");
  const band = move.band?.map((price) => formats.number(price)).join(" to ");
  return {
    value: `±${formats.number(move.points)}`,
    note: moveNote(formats, move),
    title: "One standard deviation until expiry, S·σ·√t by the ATM IV: it covers about"
      + ` ${formats.percent(move.coverage, 1)} of the outcomes of a normal law.`
      + (band === undefined ? "" : ` As a lognormal band about the forward: ${band}.`),
  };
}

/**
 * @param {import("../core/format.js").Formats} formats
 * @param {{share: number|null, coverage: number}} move
 */
function moveNote(formats, { share, coverage }) {
  if (share === null) return "";
  return `±${formats.percent(share)} covers\u00a0${formats.percent(coverage, 1).replace(" ", "\u00a0")}`;
}

/** @param {Known} known @returns {Shown} */
function maxPain({ product: { formats }, head }) {
  if (head === null || head.max_pain_strike === null) return missing(head, "max_pain_strike");
  const [low, high] = head.max_pain_interval ?? [head.max_pain_strike, head.max_pain_strike];
  const far = distance(head.max_pain_strike, head.spot);
  const value = low === high ? formats.strike(low) : `${formats.strike(low)}–${formats.strike(high)}`;
  return {
    value,
    note: far.points === null ? "" : `${formats.change(far.points)} (${formats.change(100 * Number(far.share))} %)`,
    title: `Settlement at ${value} would cost the writers of options least:`
      + ` ${formats.count(head.max_pain_value)} points × open interest.`
      + ` Nearest to spot: ${formats.strike(head.max_pain_strike)}.`,
  };
}

/** @param {Known} known @param {string} key @param {string} what @param {string} total @returns {Shown} */
function ratio({ product: { formats }, head }, key, what, total) {
  if (head === null || head[key] === null) return missing(head, key);
  const calls = head[`total_call_${total}`];
  const puts = head[`total_put_${total}`];
  return {
    value: formats.number(head[key]),
    note: `${formats.compact(puts)} ÷ ${formats.compact(calls)}`,
    title: `Put-call ratio by ${what} of all strikes: ${formats.count(puts)} puts ÷ ${formats.count(calls)} calls`,
  };
}

/** @param {Known} known @returns {Shown} */
function expiry({ product: { formats }, head, now }) {
  if (head === null) return missing(head, "expiry");
  const left = head.expiry_ts - now;
  return {
    value: formats.date(head.expiry),
    note: left > 0 ? `in ${until(left)}` : until(left),
    title: `${head.root} expires at ${formats.instant(head.expiry_ts)} ${formats.zoneName(head.expiry_ts)},`
      + ` in ${days(left).toFixed(3)} days`,
  };
}

/** @param {Record<string, any>|null} head @param {string} key @returns {Shown} */
function missing(head, key) {
  const why = head === null ? "no chain has come yet" : words(head.reasons?.[key] ?? "not known");
  return { value: MISSING, note: head === null ? "" : why, title: `Not there: ${why}` };
}
