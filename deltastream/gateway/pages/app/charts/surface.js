// The volatility surface: log-moneyness, time, volatility. Each expiry is brought to common places by straight
// lines between its own neighbouring strikes, never beyond them; the dots are the strikes themselves.

import { NARROW, hasDepth } from "./plotly.js";
import { formatsOf } from "./shared.js";

const PLACES = 81;
const FAR_DAYS = 60; // from here on what is near needs more room than what is far
const DAYS = 365;

/**
 * @typedef {Object} Slice
 * @property {string} root @property {string} expiry
 * @property {number} t years
 * @property {number} forward
 * @property {Array<number>} strikes
 * @property {Array<number>} ks ln(strike / forward)
 * @property {Array<number|null>} ivs
 */

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @returns {import("./panel.js").Chart}
 */
export function surfaceChart(context, touch) {
  const { market } = context;
  const deep = hasDepth();
  const formats = () => formatsOf(context);

  /** @returns {Array<Slice>} */
  const slices = () => (market.surfaces.get(context.product())?.slices ?? []).map((slice) => ({
    ...slice, ks: slice.strikes.map((/** @type {number} */ strike) => Math.log(strike / slice.forward)),
  }));

  return {
    name: "surface", deep: true, controls: [], pace: 5000,
    title: () => `${context.product()} volatility surface`,
    rooms: (product) => [`surface:${product}`],
    moved() {},
    heard(changes) {
      if (changes.surfaces.has(context.product())) touch();
    },
    asOf: () => market.surfaces.get(context.product())?.ts ?? null,
    note: () => "",
    figure(paint) {
      if (!deep) return "This browser draws nothing in three dimensions: it has no WebGL. The numbers are in the CSV.";
      const shown = slices().filter(({ ivs }) => ivs.some((iv) => iv !== null));
      return shown.length < 2 ? "A surface needs two expiries with volatilities." : drawn(paint, shown, formats());
    },
    words: () => slices().map(({ expiry, ivs }) => `${formats().date(expiry)}: `
      + `${ivs.filter((iv) => iv !== null).length} of ${ivs.length} strikes.`).join(" "),
    table: () => [["root", "expiry", "t", "forward", "strike", "log_moneyness", "iv"], ...slices().flatMap((slice) =>
      slice.strikes.map((strike, at) => [
        slice.root, slice.expiry, slice.t, slice.forward, strike, slice.ks[at], slice.ivs[at]]))],
    close() {},
  };
}

/**
 * @param {import("./panel.js").Paint} paint @param {Array<Slice>} slices
 * @param {import("../core/format.js").Formats} formats @returns {import("./panel.js").Figure}
 */
function drawn({ colours, width }, slices, formats) {
  const solved = slices.flatMap(({ ks, ivs }) => ks.filter((_, at) => ivs[at] !== null));
  const [low, high] = [Math.min(...solved), Math.max(...solved)];
  const far = width < NARROW ? 1.4 : 1;
  const places = Array.from({ length: PLACES }, (_, at) => low + (high - low) * at / (PLACES - 1));
  const days = slices.map(({ t }) => t * DAYS);
  const z = slices.map((slice) => places.map((place) => between(slice, place)));
  /** @param {number} k @param {number} day @param {number|null} iv @param {string} expiry */
  const write = (k, day, iv, expiry) => `${formats.date(expiry)}, ${formats.number(day, 1)} days<br>`
    + `ln(K/F) ${formats.number(k, 4)}<br>IV ${formats.percent(iv)}`;
  const dots = slices.flatMap((slice, row) => slice.ks.map((k, at) => ({
    k, day: days[row], iv: slice.ivs[at], strike: slice.strikes[at], slice,
  }))
    .filter(({ iv }) => iv !== null));
  return {
    data: [
      {
        type: "surface", x: places, y: days, connectgaps: false,
        z: z.map((row) => row.map((iv) => (iv === null ? null : 100 * iv))),
        colorscale: "Viridis", opacity: 0.92, hoverinfo: "text", showscale: width > NARROW,
        hovertext: z.map((row, at) => row.map((iv, place) => write(places[place], days[at], iv, slices[at].expiry))),
        colorbar: { title: { text: "IV, %" }, thickness: 12, len: 0.7, outlinewidth: 0,
          tickfont: { color: colours.soft } },
      },
      {
        type: "scatter3d", mode: "markers", x: dots.map(({ k }) => k), y: dots.map(({ day }) => day),
        z: dots.map(({ iv }) => 100 * Number(iv)), marker: { size: 1.6, color: colours.ink },
        hoverinfo: "text", showlegend: false,
        hovertext: dots.map(({ k, day, iv, strike, slice }) => `Strike ${formats.strike(strike)}<br>`
          + write(k, day, iv, slice.expiry)),
      },
    ],
    layout: {
      uirevision: slices[0].root, hovermode: "closest", margin: { l: 0, r: 0, t: 0, b: 0 },
      scene: {
        aspectratio: { x: 1.3, y: 1.3, z: 0.8 }, dragmode: "orbit",
        camera: { eye: { x: 1.25 * far, y: -1.5 * far, z: 0.6 * far }, center: { x: 0, y: 0, z: -0.15 } },
        xaxis: { title: { text: "ln(K/F)" } }, zaxis: { title: { text: "IV, %" } },
        yaxis: { title: { text: "Days" }, type: Math.max(...days) > FAR_DAYS ? "log" : "linear" },
      },
    },
  };
}

/**
 * The volatility at a place between two strikes that have one; null elsewhere.
 * @param {Slice} slice @param {number} place
 */
function between({ ks, ivs }, place) {
  const at = ks.findIndex((k) => k >= place);
  if (at < 0) return null;
  const after = ivs[at];
  if (ks[at] === place) return after;
  const before = at === 0 ? null : ivs[at - 1];
  if (after === null || before === null) return null;
  return before + (after - before) * (place - ks[at - 1]) / (ks[at] - ks[at - 1]);
}
