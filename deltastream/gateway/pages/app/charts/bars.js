// Bars of one length: those of the API, and the last one built from ticks as they come, aligned alike.

import { microseconds } from "../core/format.js";

/**
 * @typedef {Object} Bar
 * @property {number} start microseconds, a multiple of the length since 1970
 * @property {number} open @property {number} high @property {number} low @property {number} close
 * @property {number|null} volume
 * @property {number} ticks
 * @property {{x: string, text: string, locale: string}|null} written as it is shown, once it has been
 */

export class Bars {
  /** @param {number} length microseconds */
  constructor(length) {
    this.length = length;
    /** @type {Array<Bar>} */
    this.all = [];
    this.newest = 0;
  }

  /** @param {number} ts @param {number|null} price @param {number|null} volume @returns {"begun"|"changed"|"old"} */
  tick(ts, price, volume) {
    if (price === null || ts <= this.newest) return "old";
    this.newest = ts;
    const start = ts - ts % this.length;
    const last = this.all.at(-1);
    if (last === undefined || start > last.start) {
      this.all.push({ start, open: price, high: price, low: price, close: price, volume, ticks: 1, written: null });
      return last === undefined ? "changed" : "begun";
    }
    if (start < last.start) return "old";
    last.high = Math.max(last.high, price);
    last.low = Math.min(last.low, price);
    last.close = price;
    last.volume = volume === null ? last.volume : (last.volume ?? 0) + volume;
    last.ticks += 1;
    last.written = null;
    return "changed";
  }

  /**
   * What the API tells has the last word on what is complete, unless the store has not got all of it yet. Of
   * the bar that is being made it knows the beginning, and the ticks know the end.
   * @param {Array<any>} rows of GET /api/data/bars
   */
  merge(rows) {
    const known = new Map(this.all.map((bar) => [bar.start, bar]));
    for (const row of rows) {
      const start = /** @type {number} */ (microseconds(row.timestamp));
      const own = known.get(start);
      if (own !== undefined && row.complete && own.ticks > row.ticks) continue;
      const bar = {
        start, open: row.open, high: row.high, low: row.low, close: row.close, volume: row.volume, ticks: row.ticks,
        written: null,
      };
      if (own !== undefined && !row.complete) {
        bar.high = Math.max(row.high, own.high);
        bar.low = Math.min(row.low, own.low);
        bar.close = own.close;
        bar.ticks = Math.max(row.ticks, own.ticks);
        bar.volume = row.volume === null ? own.volume : Math.max(row.volume, own.volume ?? 0);
      }
      known.set(start, bar);
    }
    this.all = [...known.values()].sort((a, b) => a.start - b.start);
  }

  /** Leaves the newest. @param {number} count */
  keep(count) {
    if (this.all.length > count) this.all.splice(0, this.all.length - count);
  }
}
