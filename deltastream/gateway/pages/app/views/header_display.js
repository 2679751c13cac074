// How the page looks: light or dark, and how digits are grouped where the market has its own way.

import { element } from "../core/dom.js";
import { closesItself } from "../core/popover.js";
import { prefer, preference } from "../core/preferences.js";

const THEMES = [["auto", "As the device"], ["light", "Light"], ["dark", "Dark"]];
const GROUPINGS = [["market", "1,00,000 (lakh)"], ["western", "100,000"]];

export class Display {
  constructor() {
    this.grouping = choice("grouping", "Digits", GROUPINGS);
    this.summary = element("summary", { id: "display" }, "Display");
    this.node = element("details", { class: "popover display" },
      this.summary, element("div", { class: "panel card" }, choice("theme", "Colours", THEMES), this.grouping));
    closesItself(this.node);
  }

  /** @param {boolean} indian whether the product's market counts in lakhs */
  update(indian) {
    this.grouping.hidden = !indian;
  }
}

/**
 * @param {"theme"|"grouping"} key @param {string} name @param {Array<Array<string>>} values
 * @returns {HTMLFieldSetElement}
 */
function choice(key, name, values) {
  return element("fieldset", {}, element("legend", {}, name), values.map(([value, text]) => element("label", {},
    element("input", {
      type: "radio", name: key, value, checked: preference(key) === value,
      change: () => prefer(key, /** @type {any} */ (value)),
    }), text)));
}
