// The colours of the style sheets as plotly takes them, and when they change.

import { element } from "../core/dom.js";
import { changed } from "../core/preferences.js";

const NAMES = /** @type {const} */ ([
  "paper", "card", "ink", "soft", "line", "line-strong", "accent", "call", "put", "call-fill", "put-fill", "up", "down",
  "stale", "lost", "closed", "series-1", "series-2", "series-3", "series-4", "series-5", "series-6",
]);

/** Each as rgb(…). @typedef {Record<typeof NAMES[number], string>} Colours */

/** @returns {Colours} */
export function colours() {
  const probe = element("span", { hidden: true });
  document.body.append(probe);
  const found = /** @type {any} */ ({});
  for (const name of NAMES) {
    probe.style.setProperty("color", `var(--${name})`);
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** @param {string} colour rgb(…) @param {number} share how much of it shows */
export function sheer(colour, share) {
  return colour.replace(/^rgb\(([^)]*)\)$/, `rgba($1, ${share})`);
}

/**
 * Tells when colours or digits look different from now on.
 * @param {() => void} listener @returns {() => void} ends it
 */
export function watch(listener) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const unlisten = changed.listen((key) => { if (key === "theme" || key === "grouping") listener(); });
  dark.addEventListener("change", listener);
  return () => {
    unlisten();
    dark.removeEventListener("change", listener);
  };
}
