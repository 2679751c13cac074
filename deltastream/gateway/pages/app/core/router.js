// Where the reader is, in the address behind "#": #/chain/NIFTY/NIFTY/2026-11-24. Nothing of it goes to
// a server.

import { Signal } from "./signal.js";

/**
 * @typedef {Object} Route
 * @property {string} view
 * @property {string|null} product
 * @property {string|null} root
 * @property {string|null} expiry
 */

/** @returns {Route} */
function read() {
  const [view = "", product = null, root = null, expiry = null] = location.hash
    .replace(/^#\/?/, "").split("/").filter(Boolean).map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return "";
      }
    });
  return { view: view || "chain", product, root, expiry };
}

/** @param {Partial<Route>} route @returns {string} what to link to */
export function address({ view, product, root, expiry }) {
  const parts = [view ?? "chain", product, product && root, product && root && expiry];
  return `#/${parts.filter(Boolean).map((part) => encodeURIComponent(/** @type {string} */ (part))).join("/")}`;
}

export class Router {
  constructor() {
    this.route = read();
    /** @type {Signal<Route>} */
    this.changed = new Signal();
    addEventListener("hashchange", () => {
      this.route = read();
      this.changed.tell(this.route);
    });
  }

  /** Goes there; what is left out stays as it is. @param {Partial<Route>} route @param {{replace?: boolean}} [how] */
  go(route, { replace = false } = {}) {
    const next = address({ ...this.route, ...route });
    if (next === location.hash) return;
    if (replace) {
      history.replaceState(null, "", next);
      this.route = read();
      this.changed.tell(this.route);
    } else {
      location.hash = next;
    }
  }
}
