// Metrics of one expiry through the day, in panes one below the other: the history, and live points after it.

import { microseconds } from "../core/format.js";
import { Loading, pages } from "./loading.js";
import { NARROW, heading, scale } from "./plotly.js";
import { formatsOf, iso, list, nameOf, timeAxis } from "./shared.js";
import { Trend } from "./trend.js";

/**
 * @typedef {Object} Line
 * @property {string} key of its values
 * @property {string} name
 * @property {import("./theme.js").Colours extends Record<infer K, string> ? K : never} colour
 * @property {string} [dash]
 * @property {string} [beside] key of a line: this one is left out where it is nowhere another
 * @property {boolean} [steps] it stays as it is until it is another
 * @property {(formats: import("../core/format.js").Formats, value: number|null) => string} write
 *
 * @typedef {Object} Source
 * @property {string} path below api/analytics
 * @property {(answer: any) => {items: Array<any>, cursor: string|null}} read
 * @property {(point: any) => Record<string, number|null>} past values of a point of the history
 * @property {(head: Record<string, any>) => Record<string, number|null>} live values of a chain
 *
 * @typedef {Object} Kind
 * @property {string} name
 * @property {string} title
 * @property {Array<Source>} sources
 * @property {Array<{title: string, source: number, lines: Array<Line>, share: number}>} panes from top to bottom
 * @property {(head: Record<string, any>, formats: import("../core/format.js").Formats) => string} words
 */

const SPANS = { "1": "1 h", "3": "3 h", "8": "8 h", "24": "24 h" };
const STEPS = /** @type {Record<string, number>} */ ({ "1": 5, "3": 10, "8": 20, "24": 60 }); // seconds

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @param {Kind} kind
 * @returns {import("./panel.js").Chart}
 */
export function throughDay(context, touch, kind) {
  const { market, session } = context;
  let hours = "8";
  let key = "";
  let product = "";
  const formats = () => formatsOf(context);
  const fresh = () => kind.sources.map(() => new Trend(STEPS[hours] * 1e6, Number(hours) * 3600e6));
  let trends = fresh();
  const loadings = kind.sources.map((source, at) => new Loading((signal) => ask(source, signal), (points) => {
    trends[at].begin(points);
    touch();
  }, touch));

  /** @param {Source} source @param {AbortSignal} signal */
  async function ask(source, signal) {
    const chain = context.chain();
    if (chain === null) return [];
    const query = { expiry: chain.expiry, root: chain.root, hours, every: STEPS[hours], limit: 5000 };
    const path = `api/analytics/${source.path}/${encodeURIComponent(chain.product)}`;
    const rows = await pages(session, path, query, source.read, signal);
    return rows.map((row) => {
      const ts = /** @type {number} */ (microseconds(row.timestamp));
      return { ts, x: formats().wall(ts), gap: false, values: source.past(row) };
    });
  }

  function begin() {
    product = context.product();
    key = context.chain()?.key ?? "";
    trends = fresh();
    live();
    for (const loading of loadings) {
      if (key === "") loading.close(); // what was asked of another is not its own
      else loading.start();
    }
    touch();
  }

  /** The chain as it is becomes the newest point. */
  function live() {
    const chain = context.chain();
    if (chain === null || chain.key !== key) return;
    const x = formats().wall(chain.ts);
    kind.sources.forEach((source, at) => {
      if (trends[at].append(chain.ts, x, source.live(chain.head))) touch();
    });
  }

  const controls = [list("Span", Object.entries(SPANS), hours, (value) => {
    hours = value;
    begin();
  })];
  begin();

  return {
    name: kind.name, controls, pace: 2000,
    title() {
      const chain = context.chain();
      return chain === null ? kind.title : `${chain.product} ${kind.title}, ${nameOf(formats(), chain)}`;
    },
    rooms: () => [],
    moved() {
      if ((context.chain()?.key ?? "") !== key) begin();
    },
    heard(changes) {
      const now = context.chain()?.key ?? "";
      if (now !== key) begin();
      else if (changes.breaks.has(product)) {
        for (const trend of trends) trend.break();
        for (const loading of loadings) loading.start();
      } else if (changes.chains.has(key)) live();
    },
    asOf: () => trends[0].points.at(-1)?.ts ?? null,
    note: () => [...new Set(loadings.map((loading) => loading.problem))].filter(Boolean)
      .map((problem) => `The history is missing: ${problem}`).join(" "),
    figure(paint) {
      if (trends.every((trend) => trend.points.length === 0)) {
        const asking = loadings.some((loading) => loading.state === "asking");
        return asking ? "One moment …" : "There is no chain of this expiry yet.";
      }
      return drawn(paint, kind, trends, formats(), `${key} ${hours}`);
    },
    words() {
      const chain = context.chain();
      const first = trends[0].points[0];
      if (chain === null || first === undefined) return "";
      const since = `${formats().instant(first.ts)} ${formats().zoneName(first.ts)}`;
      return `${kind.words(chain.head, formats())} Since ${since}.`;
    },
    table() {
      const chain = context.chain();
      const names = kind.panes.flatMap(({ source, lines }) => lines.map((line) => ({ source, line })));
      /** @type {Map<number, {x: string, values: any}>} */
      const rows = new Map();
      trends.forEach((trend, source) => {
        for (const { ts, x, values } of trend.points) {
          const row = rows.get(ts) ?? { x, values: {} };
          for (const [name, value] of Object.entries(values)) row.values[`${source} ${name}`] = value;
          rows.set(ts, row);
        }
      });
      return [["timestamp", `time_${formats().zone}`, "root", "expiry", ...names.map(({ line }) => line.key)],
        ...[...rows].sort(([a], [b]) => a - b).map(([ts, { x, values }]) => [iso(ts), x, chain?.root, chain?.expiry,
          ...names.map(({ source, line }) => values[`${source} ${line.key}`])])];
    },
    close() {
      for (const loading of loadings) loading.close();
    },
  };
}

/**
 * @param {import("./panel.js").Paint} paint @param {Kind} kind @param {Array<Trend>} trends
 * @param {import("../core/format.js").Formats} formats @param {string} kept
 * @returns {import("./panel.js").Figure}
 */
function drawn({ colours, width }, kind, trends, formats, kept) {
  const newest = trends[0].points.at(-1)?.ts ?? null;
  const data = [];
  /** @type {any} */
  const layout = {
    uirevision: kept, annotations: [], margin: { t: 50, b: width < NARROW ? 92 : 44 },
    xaxis: timeAxis(formats, newest, { anchor: `y${kind.panes.length}`, nticks: Math.max(4, Math.floor(width / 75)) }),
  };
  const drawnPoints = trends.flatMap((trend) => trend.points);
  const ends = [Math.min, Math.max].map((end) => end(...drawnPoints.map((point) => point.ts)));
  if (ends[0] < ends[1]) layout.xaxis.range = ends.map((ts) => formats.wall(ts));
  let top = 1;
  for (const [at, { title, source, lines, share }] of kind.panes.entries()) {
    const points = trends[source].drawn();
    const suffix = at === 0 ? "" : String(at + 1);
    const x = points.map((point, index) => point?.x ?? points[index - 1]?.x);
    const values = [];
    for (const { key, name, colour, dash = "solid", steps = false, beside, write } of lines) {
      if (beside !== undefined && points.every((point) => point?.values[key] === point?.values[beside])) continue;
      const y = points.map((point) => point?.values[key] ?? null);
      values.push(...y.filter((value) => value !== null));
      data.push({
        type: "scatter", mode: "lines", name, x, y, yaxis: `y${suffix}`, connectgaps: false,
        line: { color: colours[colour], width: 1.6, dash, shape: steps ? "hv" : "linear" },
        customdata: y.map((value) => write(formats, value)), hovertemplate: "%{customdata}",
      });
      // A line is one element however long it is; a dot is one each, so only what no line shows has one.
      const alone = [...y.keys()].filter((at) => y[at] !== null && (y[at - 1] ?? y[at + 1] ?? null) === null);
      if (alone.length > 0) {
        data.push({
          type: "scatter", mode: "markers", name, x: alone.map((at) => x[at]), y: alone.map((at) => y[at]),
          yaxis: `y${suffix}`, marker: { color: colours[colour], size: 4 }, hoverinfo: "skip", showlegend: false,
        });
      }
    }
    const known = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0, 1];
    layout[`yaxis${suffix}`] = {
      domain: [Math.max(0, top - share), top], fixedrange: true,
      ...scale(known[0], known[1], (value, digits) => formats.number(value, digits), { count: 4 }),
    };
    layout.annotations.push(heading(title, top, colours));
    top -= share + 0.1;
  }
  return { data, layout };
}
