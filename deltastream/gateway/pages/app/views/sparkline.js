// A line of the last prices, small enough to stand in a link. A price of null, and a long silence,
// break it.

import { drawing, setAttribute } from "../core/dom.js";

const WIDTH = 72;
const HEIGHT = 22;
const MARGIN = 2;
const SILENCE_US = 60e6;

export class Sparkline {
  constructor() {
    this.path = drawing("path", { d: "" });
    this.end = drawing("circle", { r: 1.75, cx: 0, cy: 0 });
    this.node = drawing("svg", {
      class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false",
    }, this.path, this.end);
  }

  /** @param {ReadonlyArray<readonly [number, number|null]>} ticks microseconds and price, oldest first */
  draw(ticks) {
    let low = Infinity;
    let high = -Infinity;
    for (const [, price] of ticks) {
      if (price === null) continue;
      low = Math.min(low, price);
      high = Math.max(high, price);
    }
    if (low > high) {
      setAttribute(this.path, "d", "");
      setAttribute(this.end, "visibility", "hidden");
      return;
    }
    const first = ticks[0][0];
    const wide = (WIDTH - 2 * MARGIN) / Math.max(1, ticks[ticks.length - 1][0] - first);
    const tall = high > low ? (HEIGHT - 2 * MARGIN) / (high - low) : 0;
    const middle = tall === 0 ? HEIGHT / 2 : HEIGHT - MARGIN;
    let text = "";
    let pen = false;
    let before = first;
    let last = { x: 0, y: 0 };
    for (const [ts, price] of ticks) {
      if (price === null) {
        pen = false;
        continue;
      }
      if (ts - before > SILENCE_US) pen = false;
      before = ts;
      last = { x: MARGIN + (ts - first) * wide, y: middle - (price - low) * tall };
      text += `${pen ? "L" : "M"}${last.x.toFixed(1)} ${last.y.toFixed(1)}`;
      pen = true;
    }
    setAttribute(this.path, "d", text);
    setAttribute(this.end, "cx", last.x.toFixed(1));
    setAttribute(this.end, "cy", last.y.toFixed(1));
    setAttribute(this.end, "visibility", text.includes("L") ? null : "hidden");
  }
}
