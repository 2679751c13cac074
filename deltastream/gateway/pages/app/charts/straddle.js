// What the straddle at the money costs through the day, and which strike that was.

import { throughDay } from "./through_day.js";

/** @param {any} from @param {number|null} spot */
function values({ atm_straddle_price: straddle = null, atm_strike: strike = null }, spot) {
  return { straddle, strike, spot };
}

/** @type {import("./through_day.js").Kind} */
const KIND = {
  name: "straddle", title: "ATM straddle",
  sources: [{
    path: "straddle",
    read: (answer) => ({ items: answer.history.points, cursor: answer.history.cursor }),
    past: (point) => values(point, point.spot_price),
    live: (head) => values(head, head.spot),
  }],
  panes: [
    { title: "Premium, call and put", source: 0, share: 0.56, lines: [
      { key: "straddle", name: "Straddle", colour: "series-5", write: (formats, value) => formats.number(value) },
    ] },
    { title: "Spot and ATM strike", source: 0, share: 0.34, lines: [
      { key: "spot", name: "Spot", colour: "accent", write: (formats, value) => formats.number(value) },
      { key: "strike", name: "ATM strike", colour: "soft", dash: "dot", steps: true,
        write: (formats, value) => formats.strike(value) },
    ] },
  ],
  words: (head, formats) => `Call and put at ${formats.strike(head.atm_strike)} cost `
    + `${formats.money(head.atm_straddle_price)} together; spot is ${formats.number(head.spot)}. `
    + "The strike is another where the money has moved.",
};

/** @param {import("../core/main.js").Context} context @param {() => void} touch */
export const straddleChart = (context, touch) => throughDay(context, touch, KIND);
