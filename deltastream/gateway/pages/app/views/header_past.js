// What the ticker needs to know of the time before this page was opened: the last ticks, and the price
// that today's is compared with. What the reader may not read, or nobody knows, is left out.

import { microseconds } from "../core/format.js";

export const TICKS = 240;
const RETRY_MS = 30_000;
const BACK_US = 5 * 86_400e6; // longer than markets are closed between two sessions
const WALL = /^(\S+) (\d\d):(\d\d):(\d\d)$/;

/**
 * @typedef {Object} Past
 * @property {Array<[number, number|null]>} ticks oldest first
 * @property {{price: number, ts: number, kind: "close"|"first"}|null} reference
 * @property {string} day of the exchange that the reference is for
 */

export class Pasts {
  /** @param {import("../core/main.js").Context} context @param {(product: string) => void} learned */
  constructor(context, learned) {
    this.context = context;
    this.learned = learned;
    /** @type {Map<string, Past>} */
    this.known = new Map();
    this.busy = false;
    this.pauseUntil = 0;
  }

  /** Asks for what is not known yet, one product after the other. */
  async refresh() {
    const { market } = this.context;
    if (this.busy || Date.now() < this.pauseUntil || market.socket.state.state !== "live") return;
    this.busy = true;
    try {
      for (const product of [...market.products.values()]) {
        if (product.ts === null) continue;
        const name = product.product;
        const day = dayOf(product);
        if (this.known.get(name)?.day === day.name) continue;
        const ticks = this.known.get(name)?.ticks ?? await this.#ticks(name);
        this.known.set(name, { ticks, reference: await this.#reference(name, day.begin), day: day.name });
        this.learned(name);
      }
    } catch {
      this.pauseUntil = Date.now() + RETRY_MS; // the line and the change are missing meanwhile
    } finally {
      this.busy = false;
    }
  }

  /** @param {string} product @returns {Promise<Array<[number, number|null]>>} */
  async #ticks(product) {
    const { ticks } = await this.context.session.call(
      `api/data/underlying/${encodeURIComponent(product)}?limit=${TICKS}`,
    );
    return ticks.map((/** @type {any} */ tick) => [microseconds(tick.timestamp), tick.price]);
  }

  /** @param {string} product @param {number} begin @returns {Promise<Past["reference"]>} */
  async #reference(product, begin) {
    const start = encodeURIComponent(new Date((begin - BACK_US) / 1000).toISOString());
    const { bars } = await this.context.session.call(
      `api/data/bars/${encodeURIComponent(product)}?interval=15m&start=${start}`,
    );
    const starts = bars.map((/** @type {any} */ bar) => Number(microseconds(bar.timestamp)));
    const last = starts.findLastIndex((/** @type {number} */ ts) => ts < begin);
    if (last >= 0) return { price: bars[last].close, ts: starts[last], kind: "close" };
    return bars.length > 0 ? { price: bars[0].open, ts: starts[0], kind: "first" } : null;
  }
}

/** The day at the exchange that a product's price belongs to. @param {import("../core/market.js").Product} product */
function dayOf({ ts, formats }) {
  const us = /** @type {number} */ (ts);
  const [, name, hours, minutes, seconds] = /** @type {RegExpMatchArray} */ (formats.wall(us).match(WALL));
  const passed = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return { name, begin: (Math.floor(us / 1e6) - passed) * 1e6 };
}
