// The market as this page knows it: what the socket told, by product and by chain. Views are told of
// changes at most once a frame, however many came.

import { Formats, microseconds } from "./format.js";
import { Signal } from "./signal.js";
import { chainKey } from "./socket.js";

const TICKS_KEPT = 240; // for sparklines
const GENERAL = "general";
const OLD_US = 900e6; // as the API has it: what is older is not live, whatever is said of the market

/**
 * @typedef {Object} Product
 * @property {string} product
 * @property {string} name
 * @property {string} exchange
 * @property {Formats} formats
 * @property {Array<string>} roots
 * @property {number|null} price
 * @property {number|null} ts of the price, microseconds
 * @property {Array<[number, number|null]>} ticks ts and price; a price of null is a break
 * @property {{status: string, reason: string, since: number|null}} market
 *
 * @typedef {Object} Chain
 * @property {string} key
 * @property {string} product
 * @property {string} root
 * @property {string} expiry
 * @property {number} ts microseconds
 * @property {Record<string, any>} head what docs/websocket.md calls its fields, without columns
 * @property {Record<string, Array<any>>|null} columns null where only the summary is known
 *
 * @typedef {Object} Changes
 * @property {Set<string>} products whose price or status changed
 * @property {Set<string>} chains keys of those that changed
 * @property {Set<string>} surfaces products whose surface changed
 * @property {Set<string>} breaks products of whose history something is missing
 * @property {boolean} connection
 *
 * @typedef {"live"|"stale"|"closed"|"halted"|"degraded"|"lost"} Level
 */

/** @returns {Changes} */
const nothing = () => ({
  products: new Set(), chains: new Set(), surfaces: new Set(), breaks: new Set(), connection: false,
});

export class Market {
  /**
   * @param {import("./socket.js").Socket} socket
   * @param {import("./session.js").Session} session
   */
  constructor(socket, session) {
    this.socket = socket;
    this.session = session;
    /** @type {Map<string, Product>} */
    this.products = new Map();
    /** @type {Map<string, Chain>} */
    this.chains = new Map();
    /** Slices as `surface_update` has them, and `ts`. @type {Map<string, {ts: number, slices: Array<any>}>} */
    this.surfaces = new Map();
    /** At most once a frame. @type {Signal<Changes>} */
    this.changed = new Signal();
    /** Each second, for what shows how old it is. @type {Signal<void>} */
    this.second = new Signal();
    this.changes = nothing();
    this.planned = false;
    this.learning = false;
    socket.updates.listen((update) => this.#take(update));
    socket.breaks.listen(({ room }) => this.#break(room));
    socket.changed.listen(() => {
      this.changes.connection = true;
      this.#plan();
    });
    setInterval(() => this.second.tell(), 1000);
  }

  /** Learns the products there are. */
  async learn() {
    const { details } = await this.session.call("api/data/products");
    for (const each of details) {
      const known = this.products.get(each.product);
      this.products.set(each.product, {
        product: each.product, name: each.name ?? each.product, exchange: each.exchange ?? "",
        formats: new Formats(each.currency ?? "USD", each.time_zone ?? "UTC"), roots: each.roots,
        price: known?.price ?? each.price, ts: known?.ts ?? microseconds(each.timestamp), ticks: known?.ticks ?? [],
        market: known?.market ?? { status: each.status ?? "open", reason: each.reason ?? "", since: microseconds(each.since) },
      });
      this.changes.products.add(each.product);
    }
    this.#plan();
  }

  /** Is told of every product, and of these rooms besides. @param {Iterable<string>} rooms */
  follow(rooms) {
    this.socket.be([GENERAL, ...rooms]);
  }

  /** The server's time, microseconds. */
  now() {
    return 1000 * (Date.now() + this.socket.skew);
  }

  /** Chains of a product by expiry, nearest first. @param {string} product @returns {Array<Chain>} */
  chainsOf(product) {
    return [...this.chains.values()]
      .filter((chain) => chain.product === product)
      .sort((a, b) => a.head.expiry_ts - b.head.expiry_ts || (a.root < b.root ? -1 : 1));
  }

  /**
   * Whether a product's numbers can be believed, and why not.
   * @param {string} name @param {number|null} [at] microseconds of the numbers, where they are others than the price
   * @returns {{level: Level, text: string}}
   */
  freshness(name, at = null) {
    const { state, reason } = this.socket.state;
    if (state !== "live") return { level: "lost", text: reason || "Connecting …" };
    const { status, reason: why } = this.products.get(name)?.market ?? { status: "degraded", reason: "unknown_product" };
    if (status !== "open") return { level: /** @type {Level} */ (status), text: why.replaceAll("_", " ") };
    const ts = this.products.get(name)?.ts ?? null;
    if (ts !== null && this.now() - ts > OLD_US) return { level: "stale", text: "the newest price is old" };
    if (at !== null && this.now() - at > OLD_US) return { level: "stale", text: "the newest numbers are old" };
    return { level: "live", text: why.replaceAll("_", " ") };
  }

  #take(/** @type {any} */ update) {
    switch (update.event) {
      case "underlying_update": {
        const product = this.#product(update.data.product);
        if (product === undefined) return;
        product.price = update.data.price;
        if (product.ts !== update.ts) product.ticks.push([update.ts, update.data.price]);
        product.ts = update.ts;
        if (product.ticks.length > TICKS_KEPT) product.ticks.splice(0, product.ticks.length - TICKS_KEPT);
        this.changes.products.add(product.product);
        break;
      }
      case "market_status": {
        const product = this.#product(update.product);
        if (product === undefined) return;
        product.market = { status: update.status, reason: update.reason, since: update.since };
        this.changes.products.add(product.product);
        break;
      }
      case "chain_summary":
      case "chain_update": {
        const { columns = null, ...head } = update.data;
        if (this.#product(head.product) === undefined) return;
        const key = chainKey(head.root, head.expiry);
        const known = this.chains.get(key);
        if (known !== undefined && known.ts > update.ts) return;
        // The summary of a chain whose columns came, or are about to, is no newer than they.
        if (columns === null && known !== undefined && known.columns !== null && this.#follows(head.product)) return;
        this.chains.set(key, {
          key, product: head.product, root: head.root, expiry: head.expiry, ts: update.ts, head, columns,
        });
        this.changes.chains.add(key);
        break;
      }
      case "surface_update":
        this.surfaces.set(update.data.product, { ts: update.ts, slices: update.data.slices });
        this.changes.surfaces.add(update.data.product);
        break;
      case "began":
        this.#began(update);
        break;
    }
    this.#plan();
  }

  #follows(/** @type {string} */ product) {
    return this.socket.rooms.has(`chain:${product}`);
  }

  // A snapshot starts over: chains that it does not bring are no more.
  #began(/** @type {any} */ { room, stream, of }) {
    if (of !== "chain_update" && of !== "chain_summary") return;
    const product = (stream ?? room).split(":")[1];
    if (of === "chain_summary" && this.#follows(product)) return;
    for (const chain of this.chainsOf(product)) {
      this.chains.delete(chain.key);
      this.changes.chains.add(chain.key);
    }
  }

  #break(/** @type {string} */ room) {
    const names = room === GENERAL ? [...this.products.keys()] : [room.split(":")[1]];
    for (const name of names) {
      const product = this.products.get(name);
      const last = product?.ticks.at(-1);
      if (product === undefined) continue;
      this.changes.breaks.add(name);
      if (room === GENERAL && last !== undefined && last[1] !== null) product.ticks.push([last[0], null]);
    }
    this.#plan();
  }

  #product(/** @type {string} */ name) {
    const known = this.products.get(name);
    if (known === undefined && !this.learning) {
      this.learning = true;
      this.learn().catch(() => {}).finally(() => setTimeout(() => { this.learning = false; }, 5000));
    }
    return known;
  }

  #plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      const { changes } = this;
      this.changes = nothing();
      this.changed.tell(changes);
    });
  }
}
