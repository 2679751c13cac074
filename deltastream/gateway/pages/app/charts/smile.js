// Implied volatility by strike, of the side out of the money, with what bid and ask imply around it.

import { Expiries, choice, formatsOf, iso, nameOf, percents } from "./shared.js";
import { NARROW, scale } from "./plotly.js";
import { sheer } from "./theme.js";

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];

/**
 * @typedef {Object} Smile
 * @property {import("../core/market.js").Chain} chain
 * @property {Array<Place>} points
 *
 * @typedef {Object} Place
 * @property {number} strike
 * @property {number} k ln(strike / forward)
 * @property {"call"|"put"} side out of the money
 * @property {number|null} iv @property {number|null} bid @property {number|null} ask
 */

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @returns {import("./panel.js").Chart}
 */
export function smileChart(context, touch) {
  const { market } = context;
  let by = /** @type {"strike"|"k"} */ ("strike");
  let key = "";
  const expiries = new Expiries(touch);
  const formats = () => formatsOf(context);

  /** The expiry that is looked at is one of those shown. */
  function begin() {
    const now = context.chain()?.key ?? "";
    if (now !== key) {
      expiries.chosen.delete(key);
      if (now !== "") expiries.chosen.add(now);
      key = now;
    }
    const chains = market.chainsOf(context.product());
    expiries.show(chains, (chain) => nameOf(formats(), chain));
  }
  begin();

  /** @returns {Array<Smile>} */
  const smiles = () => market.chainsOf(context.product()).filter((chain) => expiries.chosen.has(chain.key))
    .filter((chain) => chain.columns !== null && typeof chain.head.forward === "number").map(smile);

  return {
    name: "smile", pace: 1000, title: () => `${context.product()} volatility smile`,
    controls: [choice("Across", [["strike", "Strike"], ["k", "ln(K/F)"]], by, (value) => {
      by = /** @type {"strike"|"k"} */ (value);
      touch();
    }), expiries.node],
    rooms: (product) => [`chain:${product}`],
    moved: begin,
    heard(changes) {
      if (changes.chains.size === 0) return;
      begin();
      if ([...expiries.chosen].some((each) => changes.chains.has(each))) touch();
    },
    asOf: () => Math.max(...smiles().map(({ chain }) => chain.ts), 0) || null,
    note: () => "",
    figure(paint) {
      begin();
      const shown = smiles();
      if (expiries.chosen.size === 0) return "Choose an expiry.";
      if (shown.length === 0) return "There is no chain with a forward yet.";
      if (shown.every(({ points }) => points.every(({ iv }) => iv === null))) return "No quote here has a volatility.";
      return drawn(paint, shown, by, formats());
    },
    words: () => smiles().map(({ chain, points }) => {
      const solved = points.filter(({ iv }) => iv !== null).length;
      return `${nameOf(formats(), chain)}: ATM IV ${formats().percent(chain.head.atm_iv)}, `
        + `${solved} of ${points.length} strikes have a volatility.`;
    }).join(" "),
    table: () => [
      ["root", "expiry", "timestamp", "forward", "strike", "log_moneyness", "side", "bid_iv", "iv", "ask_iv"],
      ...smiles().flatMap(({ chain, points }) => points.map(({ strike, k, side, iv, bid, ask }) => [
        chain.root, chain.expiry, iso(chain.ts), chain.head.forward, strike, k, side, bid, iv, ask])),
    ],
    close() {},
  };
}

/** @param {import("../core/market.js").Chain} chain @returns {Smile} */
function smile(chain) {
  const columns = /** @type {Record<string, Array<any>>} */ (chain.columns);
  const { forward } = chain.head;
  const points = columns.strike.map((strike, at) => {
    const side = /** @type {"call"|"put"} */ (strike < forward ? "put" : "call");
    const of = (/** @type {string} */ name) => columns[`${side}_${name}`][at];
    return { strike, k: Math.log(strike / forward), side, iv: of("iv"), bid: of("bid_iv"), ask: of("ask_iv") };
  });
  return { chain, points };
}

/**
 * @param {import("./panel.js").Paint} paint @param {Array<Smile>} smiles @param {"strike"|"k"} by
 * @param {import("../core/format.js").Formats} formats @returns {import("./panel.js").Figure}
 */
function drawn({ colours, width }, smiles, by, formats) {
  const series = [1, 2, 3, 4, 5, 6].map((number) => /** @type {any} */ (colours)[`series-${number}`]);
  const data = [];
  const values = [];
  for (const [at, { chain, points }] of smiles.entries()) {
    const colour = series[at % series.length];
    const name = nameOf(formats, chain);
    const iv = points.map((point) => point.iv);
    values.push(...iv.filter((value) => value !== null));
    const band = outline(points, by);
    data.push({
      type: "scatter", mode: "lines", ...band, fill: "toself", fillcolor: sheer(colour, 0.18), line: { width: 0 },
      hoverinfo: "skip", showlegend: false, legendgroup: chain.key,
    }, {
      type: "scatter", mode: "lines+markers", name, x: points.map((point) => point[by]), y: iv, connectgaps: false,
      legendgroup: chain.key, line: { color: colour, width: 1.8, dash: DASHES[at % DASHES.length] },
      marker: { color: colour, size: 5, symbol: SYMBOLS[at % SYMBOLS.length] },
      customdata: points.map((point) => `${formats.percent(point.iv)} ${point.side} (${formats.percent(point.bid)} to `
        + `${formats.percent(point.ask)})${by === "k" ? ` at ${formats.strike(point.strike)}` : ""}`),
      hovertemplate: "%{customdata}",
    });
  }
  const solved = smiles.flatMap(({ points }) => points.filter(({ iv }) => iv !== null).map((point) => point[by]));
  const edge = (Math.max(...solved) - Math.min(...solved)) * 0.02 || 1;
  const forwards = by === "k" ? [0] : smiles.map(({ chain }) => chain.head.forward);
  const told = by === "k" ? "Forward" : smiles.length === 1 ? `Forward ${formats.number(forwards[0])}` : "Forwards";
  return {
    data,
    layout: {
      margin: { b: width < NARROW ? 44 + 20 * Math.ceil(smiles.length / 2) : 44 },
      uirevision: `${by} ${smiles.map((each) => each.chain.key).join()}`,
      xaxis: { title: { text: by === "k" ? "ln(strike / forward)" : "Strike" }, tickformat: by === "k" ? ".3~f" : ",",
        hoverformat: by === "k" ? ".4f" : ",", range: [Math.min(...solved) - edge, Math.max(...solved) + edge],
        nticks: Math.max(4, Math.floor(width / 80)) },
      yaxis: { title: { text: "Implied volatility, % per year" }, fixedrange: true,
        ...scale(Math.min(...values), Math.max(...values), percents(formats), { count: 6 }) },
      shapes: forwards.map((forward, at) => ({ type: "line", x0: forward, x1: forward, yref: "paper", y0: 0, y1: 1,
        line: { color: by === "k" ? colours.soft : series[at % series.length], width: 1, dash: "dot" } })),
      annotations: [{ x: Math.max(...forwards), y: 1, yref: "paper", yanchor: "top", xanchor: "left", showarrow: false,
        text: told, font: { color: colours.soft, size: 11 } }],
    },
  };
}

/**
 * Between bid and ask: a closed line for each run of strikes that have both.
 * @param {Smile["points"]} points @param {"strike"|"k"} by
 */
function outline(points, by) {
  /** @type {Array<number|null>} */
  const x = [];
  /** @type {Array<number|null>} */
  const y = [];
  /** @type {Smile["points"]} */
  let run = [];
  const end = () => {
    if (run.length > 0) {
      const back = run.slice().reverse();
      x.push(...run.map((point) => point[by]), ...back.map((point) => point[by]), null);
      y.push(...run.map((point) => point.ask), ...back.map((point) => point.bid), null);
    }
    run = [];
  };
  for (const point of points) {
    if (point.bid !== null && point.ask !== null) run.push(point);
    else end();
  }
  end();
  return { x, y };
}
