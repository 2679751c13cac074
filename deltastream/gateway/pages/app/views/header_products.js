// The products there are, each with its price, what it changed by, and a line of its last prices.

import { element, setAttribute, setText } from "../core/dom.js";
import { MISSING } from "../core/format.js";
import { address } from "../core/router.js";
import { Pasts, TICKS } from "./header_past.js";
import { Sparkline } from "./sparkline.js";

const DIRECTIONS = { "1": "▲", "-1": "▼", "0": "" };
const STEPS = new Map([["ArrowRight", 1], ["ArrowLeft", -1]]);

export class ProductStrip {
  /** @param {import("../core/main.js").Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Map<string, Item>} */
    this.items = new Map();
    this.list = element("ul", { class: "products", id: "products" });
    this.list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#step(event));
    this.node = element("nav", { class: "product-strip", "aria-label": "Products" }, this.list);
    this.chosen = "";
    this.pasts = new Pasts(context, (name) => this.items.get(name)?.touch());
  }

  /**
   * What a product changed by since the price it is compared with.
   * @param {import("../core/market.js").Product} product
   */
  change(product) {
    const reference = this.pasts.known.get(product.product)?.reference ?? null;
    if (reference === null || product.price === null) return null;
    const points = product.price - reference.price;
    return { points, share: points / reference.price, since: sinceText(reference, product.formats) };
  }

  /** @param {Set<string>} names whose prices changed */
  update(names) {
    const { market } = this.context;
    const { products } = market;
    if (this.items.size !== products.size) this.#list();
    for (const name of names) this.items.get(name)?.touch();
    for (const [name, item] of this.items) {
      const product = products.get(name);
      if (product !== undefined && item.dirty) item.show(product, this.change(product), market.freshness(name));
    }
  }

  /** Everything, as when numbers are written otherwise or nothing can be believed any more. */
  all() {
    this.update(new Set(this.items.keys()));
  }

  second() {
    const { market } = this.context;
    void this.pasts.refresh();
    for (const [name, item] of this.items) {
      const product = market.products.get(name);
      if (product === undefined) continue;
      item.draw(this.pasts.known.get(name)?.ticks ?? [], product.ticks);
      if (item.level !== market.freshness(name).level) item.touch();
    }
    this.update(new Set());
  }

  moved() {
    const name = this.context.product();
    for (const [each, item] of this.items) {
      item.link.href = address({ view: this.context.router.route.view, product: each });
      setAttribute(item.link, "aria-current", each === name ? "true" : null);
    }
    if (name === this.chosen) return;
    this.chosen = name;
    this.#reveal();
  }

  #list() {
    const names = [...this.context.market.products.keys()];
    for (const name of this.items.keys()) if (!names.includes(name)) this.items.delete(name);
    for (const name of names) if (!this.items.has(name)) this.items.set(name, new Item(name));
    this.list.replaceChildren(...names.map((name) => /** @type {Item} */ (this.items.get(name)).node));
    this.chosen = "";
    this.moved();
  }

  // The page itself stays where it is.
  #reveal() {
    const node = this.items.get(this.chosen)?.node;
    if (node === undefined) return;
    const middle = node.offsetLeft - this.list.offsetLeft - (this.list.clientWidth - node.offsetWidth) / 2;
    this.list.scrollTo({ left: middle });
  }

  #step(/** @type {KeyboardEvent} */ event) {
    const links = [...this.items.values()].map((item) => item.link);
    const at = links.indexOf(/** @type {any} */ (document.activeElement));
    const step = STEPS.get(event.key);
    if (at < 0 || step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    links[(at + step + links.length) % links.length].focus();
  }
}

class Item {
  /** @param {string} name */
  constructor(name) {
    this.sparkline = new Sparkline();
    this.price = element("span", { class: "number price" }, MISSING);
    this.moved = element("span", { class: "number moved" });
    this.mark = element("span", { class: "mark" });
    this.link = element("a", { class: "product", "data-product": name },
      element("span", { class: "symbol" }, name, this.mark), this.sparkline.node,
      element("span", { class: "prices fades" }, this.price, this.moved));
    this.node = element("li", {}, this.link);
    this.dirty = true;
    this.level = "";
    this.drawn = "";
  }

  touch() {
    this.dirty = true;
  }

  /**
   * @param {import("../core/market.js").Product} product
   * @param {ReturnType<ProductStrip["change"]>} change
   * @param {{level: string, text: string}} freshness
   */
  show(product, change, freshness) {
    this.dirty = false;
    this.level = freshness.level;
    const { formats } = product;
    setText(this.price, formats.number(product.price));
    const direction = change === null ? 0 : Math.sign(change.points);
    const moved = change === null ? "" : `${formats.change(change.points)} (${formats.change(100 * change.share)} %)`;
    setText(this.moved, change === null ? "" :
      `${/** @type {any} */ (DIRECTIONS)[direction]}\u2009${formats.percent(Math.abs(change.share))}`);
    setAttribute(this.moved, "data-direction", String(direction));
    setAttribute(this.link, "data-level", freshness.level);
    setText(this.mark, freshness.level === "live" || freshness.level === "lost" ? "" : freshness.level);
    setAttribute(this.link, "title", [
      product.name, product.exchange,
      change === null ? "" : `${moved} ${change.since}`,
      freshness.level === "live" ? "" : `${freshness.level}: ${freshness.text}`,
    ].filter(Boolean).join(" · "));
  }

  /** @param {Array<[number, number|null]>} before @param {Array<[number, number|null]>} ticks */
  draw(before, ticks) {
    const drawn = `${ticks.at(-1)?.[0]} ${ticks.length} ${before.length}`; // a break adds to the length alone
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const begin = ticks[0]?.[0] ?? Infinity;
    this.sparkline.draw([...before.filter(([ts]) => ts < begin), ...ticks].slice(-TICKS));
  }
}

/** @param {{ts: number, kind: "close"|"first"}} reference @param {import("../core/format.js").Formats} formats */
function sinceText({ ts, kind }, formats) {
  const zone = formats.zoneName(ts);
  return kind === "close" ? `since the close of ${formats.instant(ts).split(",")[0]}` :
    `since the first price that is known, after ${formats.time(ts)} ${zone}`;
}
