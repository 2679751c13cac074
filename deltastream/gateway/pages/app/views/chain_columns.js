// The columns of the chain table: which there are, in which order on either side, and how each is written.

import { buildup, ivStatus } from "../core/codes.js";
import { digitsOf, gammaDigits } from "../core/derived.js";
import { MISSING } from "../core/format.js";
import { preference } from "../core/preferences.js";

const LARGE = 10_000_000; // counts above are too wide for a column

/**
 * How the numbers of a chain are written.
 * @typedef {Object} Style
 * @property {import("../core/format.js").Formats} formats
 * @property {number} price digits
 * @property {number} gamma digits
 * @property {boolean} compact counts
 * @property {string} key differs where any of it does
 *
 * @typedef {Object} Column
 * @property {string} key of the chain's columns, without its side
 * @property {string} label
 * @property {string} title
 * @property {(value: any, style: Style) => string} text
 * @property {(value: any, style: Style) => string|null} [tip] what the text does not tell
 * @property {boolean} [flashes]
 * @property {boolean} [bar] as wide as its share of the largest
 * @property {string} [total] of the chain, of calls; `call` stands for the side
 * @property {boolean} [status] its tip tells how the volatility was found
 */

const price = (/** @type {any} */ value, /** @type {Style} */ { formats, price: digits }) =>
  formats.number(value, digits);
const percent = (/** @type {any} */ value, /** @type {Style} */ { formats }) =>
  formats.number(value === null ? null : 100 * value, 2);
const count = (/** @type {any} */ value, /** @type {Style} */ { formats, compact }) =>
  compact ? formats.compact(value) : formats.count(value);
const whole = (/** @type {any} */ value, /** @type {Style} */ { formats, compact }) =>
  compact && value !== null ? formats.number(value, 0) : null;
const signed = (/** @type {any} */ value, /** @type {Style} */ { formats, compact }) =>
  compact && value !== null ? `${value > 0 ? "+" : value < 0 ? "−" : ""}${formats.compact(Math.abs(value))}` :
    formats.change(value, 0);
const negative = (/** @type {any} */ value, /** @type {Style} */ { formats }, /** @type {number} */ digits) =>
  formats.number(value, digits).replace("-", "−");
const greek = (/** @type {number} */ digits) => (/** @type {any} */ value, /** @type {Style} */ style) =>
  negative(value, style, digits);

/** @type {Array<Column>} */
const INNER = [
  { key: "bid", label: "Bid", title: "Best bid", text: price, flashes: true },
  { key: "ask", label: "Ask", title: "Best ask", text: price, flashes: true },
];
/** @type {Column} */
const LAST = { key: "last", label: "Last", title: "Last traded price", text: price, flashes: true };
/** @type {Column} */
const IV = {
  key: "iv", label: "IV %", title: "Implied volatility of the mid, per year; slanted where the bid has none",
  text: percent, flashes: true, status: true,
};
/** @type {Array<Column>} */
const COUNTS = [
  {
    key: "volume", label: "Volume", title: "Traded in the session", text: count, tip: whole,
    total: "total_call_volume",
  },
  {
    key: "oi", label: "OI", title: "Open interest", text: count, tip: whole, flashes: true, bar: true,
    total: "total_call_oi",
  },
  {
    key: "oi_change", label: "Chg OI", title: "Change of open interest since the previous session", text: signed,
    tip: whole, flashes: true, bar: true, total: "call_oi_change",
  },
  {
    key: "buildup", label: "Build",
    title: "Build-up: what price and open interest have done since the previous session",
    text: (value) => buildup(value)?.code ?? MISSING, tip: (value) => buildup(value)?.words ?? "Not known",
  },
];

/** Columns that are shown where they are wanted. @type {Array<Column>} */
export const OPTIONAL = [
  { key: "bid_iv", label: "Bid IV %", title: "Implied volatility of the bid", text: percent },
  { key: "ask_iv", label: "Ask IV %", title: "Implied volatility of the ask", text: percent },
  { key: "delta", label: "Delta", title: "Delta, per point of spot", text: greek(3) },
  {
    key: "gamma", label: "Gamma", title: "Gamma: of delta, per point of spot",
    text: (value, { formats, gamma }) => formats.number(value, gamma),
  },
  { key: "theta", label: "Theta", title: "Theta, per calendar day", text: greek(2) },
  { key: "vega", label: "Vega", title: "Vega, per volatility point", text: greek(2) },
  { key: "rho", label: "Rho", title: "Rho, per 1 % of rate", text: greek(2) },
];

/** Columns of the calls, from the left, and of the puts: one is the other's image, but for bid and ask. */
export function chosenColumns() {
  const wanted = preference("greeks");
  const outwards = [LAST, IV, ...OPTIONAL.filter(({ key }) => wanted.includes(key)), ...COUNTS];
  return { call: [...outwards.toReversed(), ...INNER], put: [...INNER, ...outwards] };
}

/**
 * @param {import("../core/market.js").Chain} chain
 * @param {import("../core/format.js").Formats} formats
 * @returns {Style}
 */
export function styleOf({ head }, formats) {
  const digits = digitsOf(head.tick_size);
  const gamma = gammaDigits(head.spot);
  const totals = [head.total_call_oi, head.total_put_oi, head.total_call_volume, head.total_put_volume];
  const compact = totals.some((total) => total !== null && total >= LARGE);
  return { formats, price: digits, gamma, compact, key: [formats.locale, digits, gamma, compact].join() };
}

/**
 * What a volatility's code tells beside its number; null where that is nothing.
 * @param {number|null} code @param {boolean} [loose] whether the bid has none
 */
export function ivTip(code, loose = false) {
  const status = ivStatus(code);
  if (status === null) return "Not known";
  const greeks = status.otherSide ? "Greeks from the volatility of the other side at this strike" : "";
  const open = loose ? "Loose: no volatility gives the bid, so lower ones would do as well" : "";
  if (status.solved) return [open, greeks].filter(Boolean).join(". ") || null;
  return `No volatility: ${status.words}${greeks ? `. ${greeks}` : ""}`;
}
