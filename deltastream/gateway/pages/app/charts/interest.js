// Open interest by strike and what has changed of it, calls beside puts, with spot and max pain.

import { preference } from "../core/preferences.js";
import { NARROW, heading, scale } from "./plotly.js";
import { around, formatsOf, nameOf, strikesChoice } from "./shared.js";

const COLUMNS = ["call_oi", "put_oi", "call_oi_change", "put_oi_change"];

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @returns {import("./panel.js").Chart}
 */
export function interestChart(context, touch) {
  const { market } = context;
  const formats = () => formatsOf(context);
  const title = () => {
    const chain = context.chain();
    return chain === null ? "Open interest" : `${chain.product} open interest, ${nameOf(formats(), chain)}`;
  };

  /** The strikes that are shown. */
  function rows() {
    const chain = context.chain();
    if (chain === null || chain.columns === null) return null;
    const [from, to] = around(chain, preference("strikes"));
    const of = (/** @type {string} */ name) => /** @type {any} */ (chain.columns)[name].slice(from, to);
    const [calls, puts, callChanges, putChanges] = COLUMNS.map(of);
    return { chain, strikes: of("strike"), calls, puts, callChanges, putChanges };
  }

  return {
    name: "interest", title, pace: 1000, controls: [strikesChoice(touch)],
    rooms: (product) => [`chain:${product}`],
    moved() {},
    heard(changes) {
      const chain = context.chain();
      if (chain === null || changes.chains.has(chain.key)) touch();
    },
    asOf: () => context.chain()?.ts ?? null,
    note: () => "",
    figure(paint) {
      const shown = rows();
      if (shown === null) return "There is no chain of this expiry yet.";
      return shown.strikes.length === 0 ? "This chain has no strikes." : drawn(paint, shown, formats());
    },
    words() {
      const chain = context.chain();
      if (chain === null) return "";
      const { head } = chain;
      const of = (/** @type {any} */ value) => formats().count(value);
      return `Calls ${of(head.total_call_oi)}, puts ${of(head.total_put_oi)} ${head.oi_unit}; changed by `
        + `${formats().change(head.call_oi_change, 0)} and ${formats().change(head.put_oi_change, 0)} `
        + `since the previous session. Spot ${formats().number(head.spot)}, `
        + `max pain ${pain(head, formats())}. ${cadence(head, formats())}`;
    },
    table() {
      const shown = rows();
      if (shown === null) return [];
      const { chain, strikes, calls, puts, callChanges, putChanges } = shown;
      return [["root", "expiry", "strike", "call_oi", "put_oi", "call_oi_change", "put_oi_change"],
        ...strikes.map((/** @type {number} */ strike, /** @type {number} */ at) => [
          chain.root, chain.expiry, strike, calls[at], puts[at], callChanges[at], putChanges[at]])];
    },
    close() {},
  };
}

/**
 * How fresh open interest is.
 * @param {Record<string, any>} head @param {import("../core/format.js").Formats} formats
 */
function cadence({ oi_cadence: every, oi_as_of: at }, formats) {
  if (every === "live") return "";
  const asOf = at === null ? "" : `, last as of ${formats.instant(at)} ${formats.zoneName(at)}`;
  return `The source tells open interest ${every === "daily" ? "once a day" : "every three minutes"}${asOf}.`;
}

/** @param {Record<string, any>} head @param {import("../core/format.js").Formats} formats */
function pain({ max_pain_interval: interval }, formats) {
  if (!Array.isArray(interval)) return formats.strike(null);
  const [low, high] = interval.map((strike) => formats.strike(strike));
  return low === high ? low : `${low} to ${high}`;
}

/**
 * @param {import("./panel.js").Paint} paint @param {any} shown @param {import("../core/format.js").Formats} formats
 * @returns {import("./panel.js").Figure}
 */
function drawn({ colours, width }, { chain, strikes, calls, puts, callChanges, putChanges }, formats) {
  const { head } = chain;
  const steps = strikes.slice(1).map((/** @type {number} */ strike, /** @type {number} */ at) => strike - strikes[at]);
  const step = steps.length === 0 ? 1 : Math.min(...steps);
  /**
   * @param {string} name @param {Array<number|null>} y @param {"call"|"put"} side @param {string} yaxis
   * @param {(value: any) => string} write
   */
  const bars = (name, y, side, yaxis, write) => ({
    type: "bar", name, x: strikes, y, yaxis, width: step * 0.42, offset: side === "call" ? -step * 0.43 : step * 0.01,
    marker: { color: colours[side], pattern: { shape: side === "put" ? "/" : "", size: 5, solidity: 0.35,
      fgcolor: colours.card, bgcolor: colours[side] } },
    customdata: y.map(write), hovertemplate: "%{customdata}", showlegend: yaxis === "y",
  });
  const count = (/** @type {any} */ value) => formats.count(value);
  const change = (/** @type {any} */ value) => formats.change(value, 0);
  const data = [
    bars("Calls", calls, "call", "y", count), bars("Puts", puts, "put", "y", count),
    bars("Calls, change", callChanges, "call", "y2", change), bars("Puts, change", putChanges, "put", "y2", change),
  ];
  const largest = Math.max(1, ...known(calls), ...known(puts));
  const changes = [0, ...known(callChanges), ...known(putChanges)];
  const compact = (/** @type {number} */ value) => formats.compact(value);
  const edge = step * 0.6;
  const narrow = width < NARROW;
  const range = [strikes[0] - edge, strikes[strikes.length - 1] + edge];
  const [shapes, annotations] = lines(head, colours, formats, range, narrow ? 1 : 0);
  annotations.push(heading(`Open interest, ${head.oi_unit}`, 1, colours));
  annotations.push(heading("Change since the previous session", 0.36, colours));
  return {
    data,
    layout: {
      uirevision: `${chain.key} ${strikes.length}`, barmode: "overlay", bargap: 0, shapes, annotations,
      margin: { t: narrow ? 80 : 62, b: narrow ? 66 : 44 },
      xaxis: { title: { text: "Strike" }, tickformat: ",", anchor: "y2", range,
        nticks: Math.max(4, Math.floor(width / 70)) },
      yaxis: { domain: [0.47, 1], fixedrange: true,
        ...scale(0, largest, compact, { from: 0, count: 4 }) },
      yaxis2: { domain: [0, 0.36], fixedrange: true,
        ...scale(Math.min(...changes), Math.max(...changes), compact, { count: 4 }) },
    },
  };
}

/** @param {Array<number|null>} values @returns {Array<number>} */
function known(values) {
  return /** @type {Array<number>} */ (values.filter((value) => value !== null));
}

/**
 * Spot, and where writers would pay least.
 * @param {any} head @param {import("./theme.js").Colours} colours @param {import("../core/format.js").Formats} formats
 * @param {Array<number>} range @param {number} above rows that the labels leave free
 * @returns {[Array<any>, Array<any>]}
 */
function lines(head, colours, formats, range, above) {
  const within = (/** @type {number} */ value) => value >= range[0] && value <= range[1];
  const shapes = [];
  const annotations = [];
  /** @param {number} x @param {string} text @param {string} colour @param {number} row */
  const label = (x, text, colour, row) => ({
    x, y: 1, yref: "paper", yanchor: "bottom", yshift: 15 * (row + above), showarrow: false, text,
    font: { color: colour, size: 11 }, bgcolor: colours.card,
  });
  if (typeof head.spot === "number" && within(head.spot)) {
    shapes.push({ type: "line", x0: head.spot, x1: head.spot, yref: "paper", y0: 0, y1: 1,
      line: { color: colours.accent, width: 1.5 } });
    annotations.push(label(head.spot, `Spot ${formats.number(head.spot)}`, colours.accent, 0));
  }
  const interval = head.max_pain_interval;
  if (Array.isArray(interval) && (within(interval[0]) || within(interval[1]))) {
    const [low, high] = interval;
    if (low !== high) {
      shapes.push({ type: "rect", x0: low, x1: high, yref: "paper", y0: 0, y1: 1, line: { width: 0 },
        fillcolor: colours.stale, opacity: 0.16, layer: "below" });
    }
    for (const x of new Set([low, high])) {
      shapes.push({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1,
        line: { color: colours.stale, width: 1.5, dash: "dash" } });
    }
    annotations.push(label((low + high) / 2, `Max pain ${pain(head, formats)}`, colours.stale, 1));
  }
  return [shapes, annotations];
}
