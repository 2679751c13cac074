// Candlesticks with the bar that is being made, and volume below: the product's own, or that of its options.

import { element } from "../core/dom.js";
import { Bars } from "./bars.js";
import { Loading, pages } from "./loading.js";
import { OptionsVolume } from "./volume.js";
import { heading, scale } from "./plotly.js";
import { choice, iso, timeAxis } from "./shared.js";
import { sheer } from "./theme.js";

const LENGTHS = /** @type {const} */ ({ "1m": 60e6, "5m": 300e6, "15m": 900e6 });
const SHOWN = 180; // bars: as many stay, the newest, unless the reader asks for earlier ones
const MOST = 1500;
const EARLIER_DAYS = { "1m": 1, "5m": 4, "15m": 10 };
const STORED_MS = 3000; // after this a bar that has ended is stored
const PAUSE_US = 7200e6; // a longer time without a bar is left out of the axis

/**
 * @param {import("../core/main.js").Context} context @param {() => void} touch @returns {import("./panel.js").Chart}
 */
export function priceChart(context, touch) {
  const { market, session } = context;
  /** @type {keyof typeof LENGTHS} */
  let interval = "1m";
  let product = "";
  let bars = new Bars(LENGTHS[interval]);
  let most = SHOWN;
  let remark = "";
  /** @type {any} */
  let timer = null;
  const formats = () => /** @type {import("../core/market.js").Product} */ (market.products.get(product)).formats;
  const volume = new OptionsVolume(context, touch);
  const read = (/** @type {any} */ answer) => ({ items: answer.bars, cursor: answer.cursor });
  const path = () => `api/data/bars/${encodeURIComponent(product)}`;
  const loading = new Loading(
    (signal) => pages(session, path(), { interval, limit: SHOWN }, read, signal),
    (rows) => take(rows), touch);
  const ending = new Loading(
    (signal) => pages(session, path(), { interval, limit: 3 }, read, signal), (rows) => take(rows), touch);
  const earlier = new Loading(before, (rows) => {
    remark = rows.length === 0 ? "There is nothing earlier." : "";
    most = MOST;
    take(rows);
    most = Math.max(SHOWN, bars.all.length);
  }, touch);

  /** @param {Array<any>} rows */
  function take(rows) {
    bars.merge(rows);
    bars.keep(most);
    const index = bars.all.length > 0 && bars.all.every((bar) => bar.volume === null);
    volume.want(product, index ? bars.all[0].start - bars.length : null);
    touch();
  }

  /** @param {AbortSignal} signal */
  async function before(signal) {
    const first = bars.all[0]?.start ?? market.now();
    for (const times of [1, 4, 16]) {
      const start = first - times * EARLIER_DAYS[interval] * 86_400e6;
      const query = { interval, limit: 5000, start: iso(start), end: iso(first) };
      const rows = await pages(session, path(), query, read, signal);
      if (rows.length > 0) return rows;
    }
    return [];
  }

  function begin() {
    if (context.product() !== product) volume.want(context.product(), null); // that of another is not its own
    product = context.product();
    clearTimeout(timer);
    bars = new Bars(LENGTHS[interval]);
    most = SHOWN;
    remark = "";
    earlier.close();
    ending.close();
    loading.start();
    touch();
  }

  const unlisten = market.socket.updates.listen((update) => {
    if (update.event !== "underlying_update" || update.data.product !== product) return;
    const what = bars.tick(update.ts, update.data.price, update.data.volume);
    if (what === "old") return;
    if (what === "begun") {
      bars.keep(most);
      clearTimeout(timer);
      timer = setTimeout(() => ending.start(), STORED_MS);
    }
    touch();
  });

  const earlierButton = element("button", { type: "button", click: () => earlier.start() }, "Earlier");
  const controls = [
    choice("Length of a bar", [["1m", "1m"], ["5m", "5m"], ["15m", "15m"]], interval, (value) => {
      interval = /** @type {keyof typeof LENGTHS} */ (value);
      begin();
    }),
    earlierButton,
  ];
  begin();

  return {
    name: "price", controls, pace: 1000,
    title: () => `${context.product()} price, ${bars.length / 60e6} min`,
    rooms: () => [],
    moved() {
      if (context.product() !== product) begin();
    },
    heard(changes) {
      volume.heard(changes);
      if (changes.breaks.has(product)) loading.start();
    },
    asOf: () => {
      const at = market.products.get(product)?.ts ?? null;
      return bars.all.length === 0 ? null : at;
    },
    note: () => [loading, earlier].map((one) => one.problem).filter(Boolean).concat(remark || []).join(" "),
    figure(paint) {
      earlierButton.disabled = earlier.state === "asking" || loading.state === "asking" || bars.all.length >= MOST;
      const { all } = bars;
      if (all.length === 0 && loading.state === "asking") return "One moment …";
      if (all.length === 0) return loading.problem || "There is no price yet.";
      return drawn(paint, all, formats(), {
        ...volumes(all), length: bars.length, live: paint.live, kept: `${product} ${interval}`,
      });
    },
    words() {
      const { all } = bars;
      if (all.length === 0) return "";
      const last = all[all.length - 1];
      const lows = Math.min(...all.map((bar) => bar.low));
      const highs = Math.max(...all.map((bar) => bar.high));
      return `${all.length} bars from ${formats().instant(all[0].start)} to ${formats().instant(last.start)} `
        + `${formats().zoneName(last.start)}: last ${formats().number(last.close)}, lowest ${formats().number(lows)}, `
        + `highest ${formats().number(highs)}. ${volumes(all).label || "No volume"} below.`;
    },
    table() {
      const { amounts, column } = volumes(bars.all);
      return [["timestamp", `time_${formats().zone}`, "open", "high", "low", "close", column, "complete"],
        ...bars.all.map((bar, at) => [iso(bar.start), formats().wall(bar.start), bar.open, bar.high, bar.low, bar.close,
          amounts?.[at] ?? null, bar.start + bars.length <= market.now()])];
    },
    close() {
      clearTimeout(timer);
      unlisten();
      for (const each of [loading, ending, earlier, volume]) each.close();
    },
  };

  /** What is drawn below the bars. @param {Array<import("./bars.js").Bar>} all */
  function volumes(all) {
    if (all.some((bar) => bar.volume !== null)) {
      return { amounts: all.map((bar) => bar.volume), label: `Volume of ${product}`, column: "volume" };
    }
    const amounts = volume.of(all, bars.length);
    if (amounts === null || amounts.every((amount) => amount === null)) {
      return { amounts: null, label: "", column: "volume" };
    }
    return { amounts, label: `Volume of the options of ${product}`, column: "options_volume" };
  }
}

/**
 * @param {import("./panel.js").Paint} paint @param {Array<import("./bars.js").Bar>} all
 * @param {import("../core/format.js").Formats} formats
 * @param {{amounts: Array<number|null>|null, label: string, length: number, live: boolean, kept: string}} how
 * @returns {import("./panel.js").Figure}
 */
function drawn({ colours, seen }, all, formats, { amounts, label, length, live, kept }) {
  const { locale } = formats;
  for (const bar of all) {
    if (bar.written?.locale !== locale) bar.written = { x: formats.wall(bar.start), text: text(bar, formats), locale };
  }
  const x = all.map((bar) => bar.written?.x);
  const within = (/** @type {import("./bars.js").Bar} */ bar) => seen.x === undefined
    || (String(bar.written?.x) >= seen.x[0].slice(0, 19) && String(bar.written?.x) <= seen.x[1].slice(0, 19));
  const shown = all.some(within) ? all.filter(within) : all;
  const last = all[all.length - 1];
  const above = amounts === null ? 0 : 0.27;
  /** @type {Array<any>} */
  const data = [{
    type: "candlestick", name: "Price", x, open: all.map((bar) => bar.open), high: all.map((bar) => bar.high),
    low: all.map((bar) => bar.low), close: all.map((bar) => bar.close), hoverinfo: "text", showlegend: false,
    hovertext: all.map((bar, at) => (amounts === null ? bar.written?.text
      : `${bar.written?.text}<br>Volume ${formats.count(amounts[at])}`)),
    increasing: { line: { color: colours.up, width: 1 }, fillcolor: colours.card },
    decreasing: { line: { color: colours.down, width: 1 }, fillcolor: colours.down },
  }];
  /** @type {any} */
  const layout = {
    uirevision: kept, hovermode: "x", margin: { l: 12, t: 28, r: 76 },
    xaxis: timeAxis(formats, last.start, {
      rangeslider: { visible: false }, rangebreaks: pauses(all, length, formats), showspikes: true, spikemode: "across",
      spikethickness: 1, spikedash: "dot", spikecolor: colours.soft, hoverformat: "",
    }),
    yaxis: {
      domain: [above, 1], fixedrange: true, side: "right",
      ...scale(Math.min(...shown.map((bar) => bar.low)), Math.max(...shown.map((bar) => bar.high)),
        (value, digits) => formats.number(value, digits), { count: 6 }),
    },
  };
  layout.annotations = [heading(`Price, ${formats.currency}`, 1, colours)];
  if (live) {
    layout.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: last.close, y1: last.close,
      line: { color: colours.accent, width: 1, dash: "dot" } }];
    layout.annotations.push({ xref: "paper", x: 1, y: last.close, xanchor: "left", showarrow: false,
      text: formats.number(last.close), font: { color: colours.card, size: 11 }, bgcolor: colours.accent,
      borderpad: 2 });
  }
  if (amounts !== null) {
    const sides = all.map((bar) => (bar.close >= bar.open ? colours.up : colours.down));
    data.push({ type: "bar", name: label, x, y: amounts, yaxis: "y2", hoverinfo: "skip", showlegend: false,
      marker: { color: sides.map((side) => sheer(side, 0.5)) } });
    const seenAmounts = amounts.filter((amount, at) => amount !== null && within(all[at])).map(Number);
    layout.xaxis.anchor = "y2";
    layout.annotations.push(heading(label, above - 0.08, colours));
    layout.yaxis2 = { domain: [0, above - 0.08], fixedrange: true, side: "right",
      ...scale(0, Math.max(1, ...seenAmounts), (value) => formats.compact(value), { from: 0, count: 2 }) };
  }
  return { data, layout };
}

/** @param {import("./bars.js").Bar} bar @param {import("../core/format.js").Formats} formats */
function text(bar, formats) {
  const write = (/** @type {number} */ value) => formats.number(value);
  const minute = formats.instant(bar.start).replace(/:\d\d$/, "");
  return [`${minute} ${formats.zoneName(bar.start)}`, `Open  ${write(bar.open)}`,
    `High  ${write(bar.high)}`, `Low   ${write(bar.low)}`, `Close ${write(bar.close)}`,
    `Change ${formats.change(bar.close - bar.open)}`].join("<br>");
}

/**
 * Nights and days off are left out of the axis: from the end of a bar, for what lies in a break is not drawn.
 * @param {Array<import("./bars.js").Bar>} all @param {number} length of a bar
 * @param {import("../core/format.js").Formats} formats
 */
export function pauses(all, length, formats) {
  const found = [];
  for (let at = 1; at < all.length; at += 1) {
    const [before, after] = [all[at - 1], all[at]];
    if (after.start - before.start > PAUSE_US) {
      found.push({ bounds: [formats.wall(before.start + length), formats.wall(after.start)] });
    }
  }
  return found;
}
