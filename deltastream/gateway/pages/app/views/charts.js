import { element } from "../core/dom.js";

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function chartsView(context) {
  const node = element("section", {}, element("h1", {}, "Charts"), element("pre", {}, context.product()));
  return { title: "Charts", node, rooms: (product) => [`chain:${product}`], moved: () => {}, close: () => {} };
}
