// A course through time: what the history tells, then what comes live. Where something is missing there
// is a gap, and nothing is drawn across it.

const PATIENCE = 2.5; // times the usual distance of two points, and it is a gap
const WATCHED = 15; // distances of live points, to learn how often one comes

/**
 * @typedef {Object} Point
 * @property {number} ts microseconds
 * @property {string} x wall time at the exchange
 * @property {boolean} gap whether something is missing before it
 * @property {Record<string, number|null>} values
 */

export class Trend {
  /**
   * @param {number} step microseconds: of each interval of that length only the last point is kept
   * @param {number} span microseconds kept
   */
  constructor(step, span) {
    this.step = step;
    this.span = span;
    /** @type {Array<Point>} */
    this.points = [];
    this.broken = false;
    this.newest = 0;
    /** @type {Array<number>} */
    this.distances = [];
  }

  /** What the history tells; what came live after it stays. @param {Array<Point>} points oldest first */
  begin(points) {
    const last = points.at(-1)?.ts ?? -Infinity;
    const later = this.points.filter((point) => point.ts > last);
    this.points = [];
    for (const point of [...points, ...later]) this.#put(point);
  }

  /** @param {number} ts @param {string} x @param {Record<string, number|null>} values */
  append(ts, x, values) {
    const last = this.points.at(-1);
    if (last !== undefined && ts <= last.ts) return false;
    if (this.newest > 0) this.distances = [...this.distances, ts - this.newest].slice(-WATCHED);
    this.newest = ts;
    this.#put({ ts, x, gap: this.broken, values });
    this.broken = false;
    while (this.points.length > 0 && this.points[0].ts < ts - this.span) this.points.shift();
    return true;
  }

  /** Something is missing from here to the next point. */
  break() {
    this.broken = true;
  }

  // Of an interval the last point stays, unless there is a gap in the midst of it.
  #put(/** @type {Point} */ point) {
    const last = this.points.at(-1);
    const same = last !== undefined && Math.floor(last.ts / this.step) === Math.floor(point.ts / this.step);
    if (same && !point.gap) this.points[this.points.length - 1] = { ...point, gap: last.gap };
    else this.points.push(point);
  }

  /** Longer than this without a point is a gap: the last points of two intervals lie a step and a point apart. */
  patience() {
    const { points, step } = this;
    const usual = median(points.slice(1).map((point, at) => point.ts - points[at].ts));
    if (usual > 1.2 * step) return PATIENCE * usual;
    const often = this.distances.length > 2 ? median(this.distances) : step / 2;
    return step + PATIENCE * Math.min(step, often);
  }

  /** The points in order, null wherever there is a gap. @returns {Array<Point|null>} */
  drawn() {
    const patience = this.patience();
    const all = [];
    let before = null;
    for (const point of this.points) {
      if (before !== null && (point.gap || point.ts - before.ts > patience)) all.push(null);
      all.push(point);
      before = point;
    }
    return all;
  }
}

/** @param {Array<number>} values */
function median(values) {
  return values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
