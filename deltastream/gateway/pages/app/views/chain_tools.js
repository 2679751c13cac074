// What the reader may choose of the chain: how many strikes, which columns; and to take it along.

import { element } from "../core/dom.js";
import { closesItself } from "../core/popover.js";
import { prefer, preference } from "../core/preferences.js";
import { OPTIONAL } from "./chain_columns.js";

const AROUND = [5, 10, 15, 25, 0];

/** @param {{centre: () => void, download: () => void}} does @returns {HTMLElement} */
export function chainTools({ centre, download }) {
  const chosen = preference("strikes");
  const counts = AROUND.includes(chosen) ? AROUND : [...AROUND, chosen];
  const options = counts.map((count) =>
    element("option", { value: count, selected: count === chosen }, count === 0 ? "All" : `±${count}`));
  const strikes = element("select", {
    id: "strikes", change: () => prefer("strikes", Number(strikes.value)),
  }, options);
  const columns = element("details", { class: "popover columns" }, element("summary", { id: "columns" }, "Columns"),
    element("div", { class: "panel card" }, element("fieldset", {}, element("legend", {}, "Shown beside IV"),
      OPTIONAL.map(({ key, label }) => element("label", {}, element("input", {
        type: "checkbox", name: "column", value: key, checked: preference("greeks").includes(key),
        change: (/** @type {Event} */ event) => want(key, /** @type {HTMLInputElement} */ (event.target).checked),
      }), label)))));
  closesItself(columns);
  return element("div", { class: "chain-tools" },
    element("label", { class: "strikes" }, element("span", {}, "Strikes"), strikes),
    columns,
    action("to-atm", "To ATM", "Bring the ATM strike to the middle", centre),
    action("chain-csv", "CSV", "Download the shown strikes", download));
}

/** @param {string} key @param {boolean} wanted */
function want(key, wanted) {
  const others = preference("greeks").filter((name) => name !== key);
  prefer("greeks", wanted ? [...others, key] : others);
}

/** @param {string} id @param {string} text @param {string} title @param {() => void} click */
function action(id, text, title, click) {
  return element("button", { type: "button", id, title, click }, text);
}
