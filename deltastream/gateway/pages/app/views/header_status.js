// How far the numbers can be believed: the state of the market, of its feed and of the connection, and
// how old the last price is. Each looks different, by its shape, its word and its colour.

import { drawing, element, setAttribute, setText } from "../core/dom.js";
import { age } from "../core/format.js";

/** What stands for a level: a word, and the outline of its sign in a square of 16. */
const LEVELS = {
  live: { word: "Live", sign: "M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10z" },
  stale: { word: "Stale", sign: "M8 2l6.5 12h-13z" },
  closed: { word: "Closed", sign: "M3 3h10v10h-10z" },
  halted: { word: "Halted", sign: "M3.5 3h3v10h-3zM9.5 3h3v10h-3z" },
  degraded: { word: "Degraded", sign: "M8 1.5l6.5 6.5l-6.5 6.5l-6.5-6.5z" },
  lost: { word: "Disconnected", sign: "M4 2l4 4l4-4l2 2l-4 4l4 4l-2 2l-4-4l-4 4l-2-2l4-4l-4-4z" },
  connecting: { word: "Connecting", sign: "M8 2a6 6 0 1 0 6 6h-2.5a3.5 3.5 0 1 1-3.5-3.5z" },
};

export class Status {
  /** @param {import("../core/main.js").Context} context */
  constructor(context) {
    this.context = context;
    this.sign = drawing("path", { d: LEVELS.connecting.sign });
    this.word = element("strong", { class: "word" }, LEVELS.connecting.word);
    this.why = element("span", { class: "why" });
    this.age = element("span", { class: "number age" });
    this.heard = element("span", { class: "hidden-text", role: "status", id: "status-heard" });
    this.node = element("div", { class: "market-status", id: "market-status", "data-level": "connecting" },
      drawing("svg", { viewBox: "0 0 16 16", class: "sign", "aria-hidden": "true", focusable: "false" }, this.sign),
      this.word, this.why, this.age, this.heard);
    this.lost = element("strong", { class: "reason" });
    this.retry = element("span", { class: "number retry" });
    this.again = element("button", {
      type: "button", id: "try-now", click: () => this.context.market.socket.retryNow(),
    }, "Try now");
    this.banner = element("div", { class: "connection-lost", id: "connection-lost", hidden: true },
      this.lost, element("span", {}, "What you see is old."), this.retry, this.again);
    this.said = "";
  }

  update() {
    const { market } = this.context;
    const { state, reason } = market.socket.state;
    const name = this.context.product();
    const product = market.products.get(name);
    const fresh = market.freshness(name);
    const unknown = product === undefined || (state === "connecting" && reason === "");
    const level = unknown && state !== "lost" && state !== "refused" ? "connecting" : fresh.level;
    const { word, sign } = LEVELS[level];
    setAttribute(this.sign, "d", sign);
    setAttribute(this.node, "data-level", level);
    setText(this.word, word);
    const why = level === "connecting" || level === "lost" ? "" : fresh.text; // the banner tells why it is lost
    setText(this.why, why);
    if (product !== undefined && product.market.since !== null && level !== "lost") {
      const { formats } = product;
      const since = `${formats.instant(product.market.since)} ${formats.zoneName(product.market.since)}`;
      setAttribute(this.node, "title", `${product.name || name}: ${word.toLowerCase()}, ${fresh.text}, since ${since}`);
    } else {
      setAttribute(this.node, "title", fresh.text);
    }
    this.#hear(level, name, `${word}. ${fresh.text}`);
    this.banner.hidden = level !== "lost";
    setText(this.lost, reason);
    this.again.hidden = state === "refused"; // while it is tried the button stays, and the focus on it
    this.second();
  }

  /** What grows older. */
  second() {
    const { market } = this.context;
    const { state, retry } = market.socket.state;
    const now = market.now();
    const product = market.products.get(this.context.product());
    if (product === undefined || product.ts === null) {
      setText(this.age, "");
    } else {
      setText(this.age, `${product.formats.moment(product.ts, now)} ${
        product.formats.zoneName(product.ts)} · ${age((now - product.ts) / 1e6)} old`);
    }
    if (state === "lost" && retry !== null) {
      setText(this.retry, `Trying again in ${Math.max(0, Math.ceil((retry - Date.now()) / 1000))} s.`);
    } else if (state === "refused") {
      setText(this.retry, "Reload the page to try again.");
    } else {
      setText(this.retry, "Trying …");
    }
  }

  // To be heard is a change of what is believed of a product, not that another is looked at.
  #hear(/** @type {string} */ level, /** @type {string} */ name, /** @type {string} */ text) {
    const now = `${name} ${level}`;
    const before = this.said;
    this.said = now;
    if (before === now || !before.startsWith(`${name} `) || level === "connecting") return;
    setText(this.heard, text);
  }
}
