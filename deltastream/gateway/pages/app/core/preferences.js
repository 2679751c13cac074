// What this browser remembers: nothing that is secret.

import { Signal } from "./signal.js";

const KEY = "deltastream";

/**
 * @typedef {Object} Preferences
 * @property {"auto"|"light"|"dark"} theme
 * @property {"market"|"western"} grouping digits of Indian products in lakhs, as there, or in thousands
 * @property {number} strikes on either side of the ATM strike; 0: all
 * @property {Array<string>} greeks columns shown beside IV
 * @property {Array<string>} charts that are shown
 * @property {string|null} product last looked at
 */

/** @type {Preferences} */
const DEFAULTS = {
  theme: "auto", grouping: "market", strikes: 15, greeks: ["delta"],
  charts: ["price", "interest", "ratios", "straddle"], product: null,
};

/** @type {Signal<keyof Preferences>} */
export const changed = new Signal();

/** @returns {Partial<Preferences>} */
function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return found !== null && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

/** @type {Preferences} */
const current = { ...DEFAULTS };
for (const [key, value] of Object.entries(stored())) {
  const known = /** @type {any} */ (DEFAULTS)[key];
  const same = known === null ? typeof value === "string" : typeof value === typeof known;
  if (known !== undefined && same && Array.isArray(value) === Array.isArray(known)) {
    /** @type {any} */ (current)[key] = value;
  }
}

/** @template {keyof Preferences} K @param {K} key @returns {Preferences[K]} */
export function preference(key) {
  return current[key];
}

/** @template {keyof Preferences} K @param {K} key @param {Preferences[K]} value */
export function prefer(key, value) {
  current[key] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
  changed.tell(key);
}

export function applyTheme() {
  const theme = preference("theme");
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
