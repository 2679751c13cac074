// How much the options of a product trade in each bar: differences of what its chains say has been traded
// today. An index itself has no volume.

import { microseconds } from "../core/format.js";
import { Loading, pages } from "./loading.js";
import { Trend } from "./trend.js";

const STEP_S = 60; // divides every bar
const MOST_HOURS = 48;

export class OptionsVolume {
  /** @param {import("../core/main.js").Context} context @param {() => void} touch */
  constructor(context, touch) {
    this.context = context;
    this.touch = touch;
    this.product = "";
    /** From when on it is wanted; null: not at all. @type {number|null} */
    this.from = null;
    this.trend = empty();
    this.loading = new Loading((signal) => this.#ask(signal), (points) => {
      this.trend.begin(points);
      touch();
    }, touch);
  }

  /** @param {string} product @param {number|null} from microseconds; null: not at all */
  want(product, from) {
    const other = product !== this.product;
    const wider = from !== null && (this.from === null || from < this.from);
    if (other) this.trend = empty();
    this.product = product;
    this.from = from;
    if (from === null) this.loading.close();
    else if (other || wider) this.loading.start();
  }

  /** @param {import("../core/market.js").Changes} changes */
  heard(changes) {
    if (this.from === null) return;
    if (changes.breaks.has(this.product)) this.loading.start();
    const chains = this.context.market.chainsOf(this.product);
    if (!chains.some((chain) => changes.chains.has(chain.key))) return;
    const ts = Math.max(...chains.map((chain) => chain.ts));
    const live = chains.filter((chain) => chain.head.expiry_ts > ts);
    const sums = live.map((chain) => traded(chain.head));
    const total = sums.includes(null) ? null : sums.reduce((sum, each) => Number(sum) + Number(each), 0);
    if (this.trend.append(ts, "", { total, series: live.length })) this.touch();
  }

  /**
   * The volume in each bar, null where it cannot be told; null where there is none at all.
   * @param {Array<import("./bars.js").Bar>} bars @param {number} length
   */
  of(bars, length) {
    const { points } = this.trend;
    if (this.from === null || points.length < 2) return null;
    let at = 0;
    const last = (/** @type {number} */ end) => {
      while (at < points.length && points[at].ts < end) at += 1;
      return points[at - 1];
    };
    return bars.map(({ start }) => {
      const before = last(start);
      const after = last(start + length);
      if (before === undefined || after === before || before.ts < start - length) return null;
      const [from, to] = [before.values, after.values];
      if (from.total === null || to.total === null || from.series !== to.series || to.total < from.total) return null;
      return to.total - from.total;
    });
  }

  close() {
    this.loading.close();
  }

  async #ask(/** @type {AbortSignal} */ signal) {
    const { market, session } = this.context;
    const hours = Math.min(MOST_HOURS, Math.max(0.1, (market.now() - Number(this.from)) / 3600e6));
    const query = { hours: hours.toFixed(3), every: STEP_S, limit: 5000 };
    const rows = await pages(session, `api/analytics/pcr/${encodeURIComponent(this.product)}`, query,
      (answer) => ({ items: answer.pcr_trend, cursor: answer.cursor }), signal);
    return rows.map((row) => ({
      ts: /** @type {number} */ (microseconds(row.timestamp)), x: "", gap: false,
      values: { total: traded(row), series: row.series },
    }));
  }
}

const empty = () => new Trend(STEP_S * 1e6, MOST_HOURS * 3600e6);

/** @param {any} sums */
function traded({ total_call_volume: calls, total_put_volume: puts }) {
  return typeof calls === "number" && typeof puts === "number" ? calls + puts : null;
}
