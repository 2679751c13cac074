// The frame of a chart: its name and controls, how far to believe it, what it shows in words, and when it
// is drawn: only while it can be seen, and never so often that drawing takes more than a small share of the time.

import { csv, download, element, setAttribute, setText } from "../core/dom.js";
import { age } from "../core/format.js";
import { dressed, picture, plotly, settings } from "./plotly.js";

const SHARE = 16; // times what a drawing costs passes until the next
const OLD_S = 60;

/**
 * What a chart draws with.
 * @typedef {Object} Paint
 * @property {import("./theme.js").Colours} colours
 * @property {number} width
 * @property {number} height
 * @property {boolean} live whether its numbers are of now
 * @property {any} seen the ranges of the axes as the reader has set them, by axis; empty where he has not
 *
 * @typedef {Object} Figure
 * @property {Array<any>} data traces
 * @property {any} layout
 *
 * A kind of chart, for the product and the expiry that are looked at.
 * @typedef {Object} Chart
 * @property {string} name
 * @property {() => string} title
 * @property {Array<Node>} controls
 * @property {number} pace least milliseconds between two drawings
 * @property {boolean} [deep] whether it has three dimensions
 * @property {(product: string) => Array<string>} rooms
 * @property {() => void} moved the product or the expiry is another
 * @property {(changes: import("../core/market.js").Changes) => void} heard
 * @property {(paint: Paint) => Figure|string} figure a sentence where there is nothing to draw
 * @property {() => number|null} asOf microseconds of the newest number in it
 * @property {() => string} words what it shows
 * @property {() => string} note what else is to say of it; mostly nothing
 * @property {() => Array<Array<any>>} table
 * @property {() => void} close
 */

export class Panel {
  /**
   * @param {import("../core/main.js").Context} context
   * @param {(context: import("../core/main.js").Context, touch: () => void) => Chart} make
   * @param {() => import("./theme.js").Colours} colours
   */
  constructor(context, make, colours) {
    this.context = context;
    this.colours = colours;
    this.due = true;
    this.seen = false;
    this.closed = false;
    this.drawing = false;
    this.ended = 0;
    this.cost = 0;
    /** @type {any} */
    this.timer = null;
    this.chart = make(context, () => this.touch());
    const { name } = this.chart;
    const heading = `chart-${name}`;
    this.title = element("h2", { id: heading });
    this.state = element("span", { class: "chart-state number" });
    this.note = element("p", { class: "chart-note", hidden: true });
    this.empty = element("p", { class: "chart-empty soft" }, "One moment …");
    this.plot = element("div", { class: "chart-plot", hidden: true });
    this.place = element("div", { class: "chart-place fades" }, this.empty, this.plot);
    this.words = element("figcaption", { class: "soft" });
    this.png = element("button", { type: "button", disabled: true, click: () => void this.#picture() }, "PNG");
    this.csv = element("button", { type: "button", disabled: true, click: () => this.#table() }, "CSV");
    this.node = element("figure", { class: "card chart", "data-chart": name, "aria-labelledby": heading },
      element("div", { class: "chart-head" }, this.title, this.state,
        element("div", { class: "chart-controls" }, this.chart.controls, this.png, this.csv)),
      this.note, this.place, this.words);
    this.sizes = new ResizeObserver(() => this.touch());
    this.sizes.observe(this.place);
    this.sights = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1)?.isIntersecting ?? false;
      this.#plan();
    }, { rootMargin: "200px" });
    this.sights.observe(this.node);
    this.shown = () => this.#plan();
    document.addEventListener("visibilitychange", this.shown);
    this.mark();
  }

  /** It is to be drawn anew. */
  touch() {
    this.due = true;
    this.#plan();
  }

  moved() {
    this.chart.moved();
    this.mark();
    this.touch();
  }

  /** @param {import("../core/market.js").Changes} changes */
  heard(changes) {
    this.chart.heard(changes);
    this.mark();
  }

  /** Says how far its numbers can be believed. */
  mark() {
    const title = this.chart.title();
    if (setText(this.title, title)) {
      setAttribute(this.png, "aria-label", `${title}: picture, PNG`);
      setAttribute(this.csv, "aria-label", `${title}: numbers, CSV`);
    }
    const { level, text } = this.belief();
    if (this.node.getAttribute("data-level") !== level) {
      setAttribute(this.node, "data-level", level);
      this.touch();
    }
    setText(this.state, text);
  }

  /** @returns {{level: string, since: string, text: string}} */
  belief() {
    const { market } = this.context;
    const product = this.context.product();
    const formats = market.products.get(product)?.formats;
    const asOf = this.chart.asOf();
    const { level, text } = market.freshness(product, asOf);
    if (asOf === null || formats === undefined) {
      return { level, since: "Not live", text: level === "live" ? "" : `Not live: ${text}` };
    }
    const moment = `${formats.time(asOf)} ${formats.zoneName(asOf)}`;
    if (level !== "live") {
      const today = market.now() - asOf < 43_200e6;
      const since = `Not live since ${today ? moment : `${formats.instant(asOf)} ${formats.zoneName(asOf)}`}`;
      return { level, since, text: `${since}: ${text}` };
    }
    const seconds = (market.now() - asOf) / 1e6;
    return { level, since: "", text: seconds > OLD_S ? `As of ${moment}, ${age(seconds)} ago` : `As of ${moment}` };
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.shown);
    this.sizes.disconnect();
    this.sights.disconnect();
    this.chart.close();
    /** @type {any} */ (globalThis).Plotly?.purge(this.plot);
    this.node.remove();
  }

  #plan() {
    if (!this.due || !this.seen || this.closed || this.drawing || this.timer !== null || document.hidden) return;
    const rest = Math.max(this.chart.pace, SHARE * this.cost);
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.#draw();
    }, Math.max(0, this.ended + rest - performance.now()));
  }

  async #draw() {
    if (this.closed || document.hidden || !this.seen) return;
    this.due = false;
    this.drawing = true;
    try {
      const library = await plotly();
      if (!this.closed) await this.#show(library);
    } catch (error) {
      this.#say(`This chart cannot be drawn: ${error instanceof Error ? error.message : error}`);
      reportError(error);
    } finally {
      this.drawing = false;
      this.ended = performance.now();
      if (this.closed) /** @type {any} */ (globalThis).Plotly?.purge(this.plot);
      this.#plan();
    }
  }

  async #show(/** @type {any} */ library) {
    const began = performance.now();
    const [width, height] = [this.place.clientWidth, this.place.clientHeight];
    if (width === 0 || height === 0) return;
    const { level, since } = this.belief();
    const live = level === "live";
    const colours = this.colours();
    const figure = this.chart.figure({ colours, width, height, live, seen: seenRanges(this.plot) });
    setText(this.words, this.chart.words());
    setText(this.note, this.chart.note());
    this.note.hidden = this.note.textContent === "";
    this.csv.disabled = this.chart.asOf() === null;
    if (typeof figure === "string") this.png.disabled = true;
    if (typeof figure === "string") {
      this.#say(figure);
      return;
    }
    const layout = dressed(colours, width, height, figure.layout);
    if (!live) layout.annotations = [...layout.annotations ?? [], mark(since, level, colours)];
    this.empty.hidden = true;
    this.plot.hidden = false;
    const first = this.plot.childElementCount === 0;
    await library.react(this.plot, figure.data, layout, settings(this.chart.deep ?? false));
    if (first && !this.closed) this.plot.on("plotly_relayout", () => this.touch());
    this.png.disabled = false;
    this.cost = first ? 0 : performance.now() - began;
  }

  #say(/** @type {string} */ sentence) {
    setText(this.empty, sentence);
    this.empty.hidden = false;
    this.plot.hidden = true;
  }

  async #picture() {
    try {
      const content = await picture(this.plot, `${this.chart.title()} · ${this.state.textContent}`);
      download(`${this.#file()}.png`, "image/png", content);
    } catch (error) {
      this.context.say("The picture could not be made.", "problem");
      reportError(error);
    }
  }

  #table() {
    download(`${this.#file()}.csv`, "text/csv", csv(this.chart.table()));
  }

  #file() {
    const moment = new Date((this.chart.asOf() ?? this.context.market.now()) / 1000).toISOString();
    const chain = this.context.chain();
    const parts = [this.context.product(), chain?.expiry, this.chart.name, moment.slice(0, 19).replaceAll(/[-:]/g, "")];
    return parts.filter(Boolean).join("-");
  }
}

/** The ranges that the reader has set himself. @param {any} node */
function seenRanges(node) {
  const range = node.layout?.xaxis?.autorange === false ? node.layout.xaxis.range : undefined;
  return range === undefined ? {} : { x: range };
}

/** @param {string} text @param {string} level @param {import("./theme.js").Colours} colours */
function mark(text, level, colours) {
  const colour = level === "lost" ? colours.lost : level === "closed" ? colours.closed : colours.stale;
  return {
    text, xref: "paper", yref: "paper", x: 0.5, y: 0.8, xanchor: "center", yanchor: "middle", showarrow: false,
    font: { color: colour, size: 22 }, opacity: 0.5,
  };
}
