// The expiries of a product as tabs.

import { until } from "../core/derived.js";
import { element, setAttribute, setText } from "../core/dom.js";

const STEPS = new Map([["ArrowRight", 1], ["ArrowLeft", -1], ["Home", -Infinity], ["End", Infinity]]);

/** @typedef {import("../core/market.js").Chain} Chain */

export class ExpiryTabs {
  /** @param {string} panel id of what they show @param {(chain: Chain) => void} chosen */
  constructor(panel, chosen) {
    this.panel = panel;
    this.chosen = chosen;
    /** @type {Map<string, {node: any, name: any, left: any, iv: any}>} by chain */
    this.tabs = new Map();
    /** @type {Array<Chain>} */
    this.chains = [];
    this.names = "";
    this.shown = "";
    this.node = element("div", { class: "expiry-tabs", id: "expiry-tabs", role: "tablist", "aria-label": "Expiry" });
    this.node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
  }

  /**
   * @param {Array<Chain>} chains nearest first @param {Chain|null} shown
   * @param {import("../core/market.js").Product} product @param {number} now microseconds
   */
  update(chains, shown, product, now) {
    this.chains = chains;
    const several = new Set(chains.map(({ root }) => root)).size > 1;
    const names = `${product.product} ${chains.map(({ key }) => key).join()}`;
    if (names !== this.names) {
      this.names = names;
      const focused = [...this.tabs].find(([, { node }]) => node === document.activeElement)?.[0];
      this.tabs = new Map(chains.map((chain) => [chain.key, this.tabs.get(chain.key) ?? this.#make(chain.key)]));
      this.node.replaceChildren(...[...this.tabs.values()].map(({ node }) => node));
      if (focused !== undefined) this.tabs.get(focused)?.node.focus();
    }
    for (const chain of chains) {
      const { node, name, left, iv } = /** @type {any} */ (this.tabs.get(chain.key));
      const selected = chain.key === shown?.key;
      setAttribute(node, "aria-selected", String(selected));
      setAttribute(node, "tabindex", selected ? "0" : "-1");
      setText(name, `${several ? `${chain.root} ` : ""}${product.formats.date(chain.expiry)}`);
      setText(left, until(chain.head.expiry_ts - now));
      if (selected && this.shown !== chain.key) this.#reveal(chain.key);
      setText(iv, chain.head.atm_iv === null ? "" : `IV ${product.formats.percent(chain.head.atm_iv, 1)}`);
    }
  }

  /** @param {string} key @returns {string} id of its tab */
  idOf(key) {
    return `tab-${key.replaceAll(/[^A-Za-z0-9]/g, "-")}`;
  }

  // The page itself stays where it is.
  #reveal(/** @type {string} */ key) {
    const node = this.tabs.get(key)?.node;
    if (!this.node.isConnected || node === undefined) return;
    this.shown = key;
    this.node.scrollTo({ left: node.offsetLeft - this.node.offsetLeft - (this.node.clientWidth - node.offsetWidth) / 2 });
  }

  #make(/** @type {string} */ key) {
    const name = element("span", { class: "date" });
    const left = element("span", { class: "left" });
    const iv = element("span", { class: "iv fades" });
    const node = element("button", {
      type: "button", role: "tab", class: "expiry-tab", "aria-controls": this.panel, "data-chain": key,
      id: this.idOf(key), click: () => this.#choose(key),
    }, name, element("span", { class: "under" }, left, iv));
    return { node, name, left, iv };
  }

  #choose(/** @type {string} */ key) {
    const chain = this.chains.find((one) => one.key === key);
    if (chain !== undefined) this.chosen(chain);
  }

  #key(/** @type {KeyboardEvent} */ event) {
    const step = STEPS.get(event.key);
    if (step === undefined || this.chains.length === 0) return;
    const keys = this.chains.map(({ key }) => key);
    const at = keys.findIndex((key) => this.tabs.get(key)?.node === event.target);
    if (at < 0) return;
    event.preventDefault();
    const count = keys.length;
    const to = Number.isFinite(step) ? (at + step + count) % count : step < 0 ? 0 : count - 1;
    this.tabs.get(keys[to])?.node.focus();
    this.#choose(keys[to]);
  }
}
