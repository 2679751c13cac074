// What the small numbers of a chain's columns mean (docs/numbers.md), in words.

const OTHER_SIDE = 16; // added to a status where the Greeks use the volatility of the other side

/** By `buildup`. @type {Array<{code: string, words: string, price: "up"|"down"|null}>} */
const BUILDUP = [
  { code: "N", words: "Neutral: price or open interest has hardly changed", price: null },
  { code: "LB", words: "Long build-up: price up, open interest up", price: "up" },
  { code: "SB", words: "Short build-up: price down, open interest up", price: "down" },
  { code: "SC", words: "Short covering: price up, open interest down", price: "up" },
  { code: "LU", words: "Long unwinding: price down, open interest down", price: "down" },
];

/** As the API calls them. */
const BUILDUP_NAMES = ["neutral", "long_buildup", "short_buildup", "short_covering", "long_unwinding"];
const STATUS_NAMES = [
  "converged", "no_two_sided_quote", "below_intrinsic", "above_maximum", "not_enough_precision", "no_time",
  "no_forward", "invalid_input",
];
const STATUS_WORDS = [
  "solved from the mid price", "no two-sided quote", "price below intrinsic value", "price above the maximum",
  "not enough precision left in the price", "no time left", "no forward", "invalid input",
];

/** @param {number|null} code */
export function buildup(code) {
  return code === null ? null : BUILDUP[code] ?? null;
}

/** @param {number|null} code */
export function buildupName(code) {
  return code === null ? null : BUILDUP_NAMES[code] ?? null;
}

/** How a volatility was found, or why there is none. @param {number|null} code */
export function ivStatus(code) {
  if (code === null) return null;
  const own = code % OTHER_SIDE;
  return {
    name: STATUS_NAMES[own] ?? null, words: STATUS_WORDS[own] ?? "unknown", solved: own === 0,
    otherSide: code >= OTHER_SIDE,
  };
}

/** A reason or flag as people write it. @param {string} code */
export function words(code) {
  return code.replaceAll("_", " ");
}
