// What charts need alike: the controls above them, a chain's rows around the money, time on an axis.

import { element, setText } from "../core/dom.js";
import { closesItself } from "../core/popover.js";
import { prefer, preference } from "../core/preferences.js";

/**
 * Buttons of which one is chosen.
 * @template {string|number} T @param {string} label @param {Array<[T, string]>} choices @param {T} chosen
 * @param {(value: T) => void} choose
 */
export function choice(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) => element("button", {
    type: "button", "aria-pressed": String(value === chosen), "data-value": value,
    click: () => {
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(choices[at][0] === value)));
      choose(value);
    },
  }, text));
  return element("div", { class: "chart-choice", role: "group", "aria-label": label }, buttons);
}

/**
 * A list of which one is chosen.
 * @param {string} label @param {Array<[string, string]>} choices @param {string} chosen
 * @param {(value: string) => void} choose
 */
export function list(label, choices, chosen, choose) {
  const select = element("select", { change: () => choose(select.value) },
    choices.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  return element("label", {}, element("span", { class: "hidden-text" }, label), select);
}

/** Chooses how many strikes to either side are shown, here and in the chain. @param {() => void} changed */
export function strikesChoice(changed) {
  const kept = preference("strikes");
  const counts = [...new Set([10, 15, 25, kept])].filter((count) => count > 0).sort((a, b) => a - b);
  /** @type {Array<[string, string]>} */
  const choices = counts.map((count) => [String(count), `± ${count} strikes`]);
  return list("Strikes", [...choices, ["0", "all strikes"]], String(kept), (value) => {
    prefer("strikes", Number(value));
    changed();
  });
}

/**
 * Rows of a chain from the first to before the last that are shown.
 * @param {import("../core/market.js").Chain} chain @param {number} count @returns {[number, number]}
 */
export function around(chain, count) {
  const strikes = chain.columns?.strike ?? [];
  const { atm_strike: atm } = chain.head;
  if (count === 0 || typeof atm !== "number") return [0, strikes.length];
  const at = strikes.findIndex((strike) => strike >= atm);
  if (at < 0) return [0, strikes.length];
  return [Math.max(0, at - count), Math.min(strikes.length, at + count + 1)];
}

/** The expiries of a product as boxes to tick. */
export class Expiries {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Set<string>} */
    this.chosen = new Set();
    /** @type {Map<string, any>} */
    this.boxes = new Map();
    this.summary = element("summary", {});
    this.field = element("fieldset", {}, element("legend", { class: "hidden-text" }, "Expiries"));
    this.node = element("details", { class: "chart-expiries" }, this.summary, this.field);
    closesItself(this.node);
  }

  /**
   * @param {Array<import("../core/market.js").Chain>} chains
   * @param {(chain: import("../core/market.js").Chain) => string} write
   */
  show(chains, write) {
    const keys = new Set(chains.map((chain) => chain.key));
    for (const [key, label] of this.boxes) {
      if (keys.has(key)) continue;
      label.remove();
      this.boxes.delete(key);
      this.chosen.delete(key);
    }
    for (const [at, chain] of chains.entries()) {
      let label = this.boxes.get(chain.key);
      if (label === undefined) {
        const box = element("input", { type: "checkbox", value: chain.key });
        box.addEventListener("change", () => this.#choose(chain.key, box.checked));
        label = element("label", {}, box, ` ${write(chain)}`);
        this.boxes.set(chain.key, label);
      }
      if (this.field.children[at + 1] !== label) this.field.insertBefore(label, this.field.children[at + 1] ?? null);
      label.firstChild.checked = this.chosen.has(chain.key);
    }
    setText(this.summary, `Expiries: ${this.chosen.size} of ${chains.length}`);
  }

  #choose(/** @type {string} */ key, /** @type {boolean} */ on) {
    if (on) this.chosen.add(key);
    else this.chosen.delete(key);
    this.changed();
  }
}

/**
 * The axis of time.
 * @param {import("../core/format.js").Formats} formats @param {number|null} at microseconds @param {any} [more]
 */
export function timeAxis(formats, at, more = {}) {
  const zone = formats.zoneName(at ?? undefined);
  const title = { text: `Time, ${zone}` };
  return { type: "date", tickangle: 0, title, hoverformat: `%d %b %H:%M:%S ${zone}`, ...more };
}

/** How the product that is looked at writes. @param {import("../core/main.js").Context} context */
export function formatsOf({ market, product }) {
  return /** @type {import("../core/market.js").Product} */ (market.products.get(product())).formats;
}

/** Writes shares in percent, on an axis that says so. @param {import("../core/format.js").Formats} formats */
export function percents(formats) {
  /** @param {number} value @param {number} digits */
  return (value, digits) => formats.number(100 * value, Math.max(1, digits - 2));
}

/** An instant for a file: ISO 8601, UTC. @param {number|null} us */
export function iso(us) {
  return us === null ? null : new Date(us / 1000).toISOString();
}

/**
 * A chain in words: its expiry, and its root where that is not its product.
 * @param {import("../core/format.js").Formats} formats @param {import("../core/market.js").Chain} chain
 */
export function nameOf(formats, chain) {
  return chain.root === chain.product ? formats.date(chain.expiry) : `${chain.root} ${formats.date(chain.expiry)}`;
}
