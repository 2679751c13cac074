// The term structure: volatility at the money by days to expiry.

import { formatsOf, iso, nameOf, percents } from "./shared.js";
import { scale } from "./plotly.js";

const DAYS = 365;

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @returns {import("./panel.js").Chart}
 */
export function termChart(context, touch) {
  const { market } = context;
  const formats = () => formatsOf(context);
  const chains = () => market.chainsOf(context.product())
    .filter(({ head }) => typeof head.t === "number" && head.t > 0);

  return {
    name: "term", controls: [], pace: 2000,
    title: () => `${context.product()} term structure`,
    rooms: () => [],
    moved() {},
    heard(changes) {
      if (chains().some((chain) => changes.chains.has(chain.key))) touch();
    },
    asOf: () => Math.max(...chains().map((chain) => chain.ts), 0) || null,
    note: () => "",
    figure({ colours, width }) {
      const shown = chains();
      const known = shown.map((chain) => chain.head.atm_iv).filter((iv) => typeof iv === "number");
      if (known.length === 0) return "No expiry has a volatility at the money yet.";
      const x = shown.map((chain) => chain.head.t * DAYS);
      const y = shown.map((chain) => chain.head.atm_iv ?? null);
      const looked = context.chain()?.key;
      return {
        data: [{
          type: "scatter", mode: "lines+markers+text", name: "ATM IV", x, y, connectgaps: false, cliponaxis: false,
          showlegend: false,
          line: { color: colours["series-1"], width: 1.8 },
          marker: { opacity: 1, color: colours["series-1"],
            size: shown.map((chain) => (chain.key === looked ? 12 : 8)),
            symbol: shown.map((chain) => (chain.key === looked ? "diamond" : "circle")) },
          text: shown.length * 70 > width ? [] : shown.map((chain) => formats().percent(chain.head.atm_iv, 1)),
          textposition: "top center", textfont: { color: colours.soft },
          customdata: shown.map((chain) => `${nameOf(formats(), chain)}: ${formats().percent(chain.head.atm_iv)}`),
          hovertemplate: "%{customdata}<extra></extra>",
        }],
        layout: {
          uirevision: context.product(), margin: { t: 44 },
          xaxis: { title: { text: "Days to expiry" }, hoverformat: ".1f", rangemode: "tozero" },
          yaxis: { title: { text: "ATM IV, % per year" }, fixedrange: true,
            ...scale(Math.min(...known), Math.max(...known), percents(formats()), { count: 5 }) },
        },
      };
    },
    words: () => chains()
      .map((chain) => `${nameOf(formats(), chain)}: ${formats().percent(chain.head.atm_iv)}.`).join(" "),
    table: () => [["root", "expiry", "timestamp", "t", "days", "atm_iv"], ...chains().map((chain) => [
      chain.root, chain.expiry, iso(chain.ts), chain.head.t, chain.head.t * DAYS, chain.head.atm_iv])],
    close() {},
  };
}
