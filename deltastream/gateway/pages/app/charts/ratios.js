// Put-call ratios and max pain through the day.

import { throughDay } from "./through_day.js";

/** @type {import("./through_day.js").Line["write"]} */
const ratio = (formats, value) => formats.number(value, 3);

/** @type {import("./through_day.js").Line["write"]} */
const strike = (formats, value) => formats.strike(value);

/** @type {import("./through_day.js").Kind} */
const KIND = {
  name: "ratios", title: "PCR and max pain",
  sources: [
    {
      path: "pcr",
      read: (answer) => ({ items: answer.pcr_trend, cursor: answer.cursor }),
      past: (point) => ({ pcr_oi: point.pcr_oi, pcr_volume: point.pcr_volume }),
      live: (head) => ({ pcr_oi: head.pcr_oi, pcr_volume: head.pcr_volume }),
    },
    {
      path: "max-pain",
      read: (answer) => ({ items: answer.history.points, cursor: answer.history.cursor }),
      past: (point) => pain(point.max_pain_interval, point.spot_price),
      live: (head) => pain(head.max_pain_interval, head.spot),
    },
  ],
  panes: [
    { title: "Puts / calls", source: 0, share: 0.45, lines: [
      { key: "pcr_oi", name: "PCR OI", colour: "series-4", write: ratio },
      { key: "pcr_volume", name: "PCR volume", colour: "series-3", dash: "dot", write: ratio },
    ] },
    { title: "Spot and max pain", source: 1, share: 0.45, lines: [
      { key: "spot", name: "Spot", colour: "accent", write: (formats, value) => formats.number(value) },
      { key: "max_pain_low", name: "Max pain", colour: "stale", dash: "dash", steps: true, write: strike },
      { key: "max_pain_high", name: "Max pain, high", beside: "max_pain_low", colour: "stale", dash: "longdash",
        steps: true, write: strike },
    ] },
  ],
  words(head, formats) {
    const ends = [...new Set(head.max_pain_interval ?? [null])].map((/** @type {any} */ end) => formats.strike(end));
    return `Put-call ratio ${formats.number(head.pcr_oi, 3)} by open interest, ${formats.number(head.pcr_volume, 3)} `
      + `by volume. Spot ${formats.number(head.spot)}, max pain ${ends.join(" to ")}.`;
  },
};

/** @param {[number, number]|null} interval @param {number|null} spot */
function pain(interval, spot) {
  return { max_pain_low: interval?.[0] ?? null, max_pain_high: interval?.[1] ?? null, spot };
}

/** @param {import("../core/main.js").Context} context @param {() => void} touch */
export const ratiosChart = (context, touch) => throughDay(context, touch, KIND);
