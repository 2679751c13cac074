import { element } from "../core/dom.js";

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function chainView(context) {
  const node = element("section", {}, element("h1", {}, "Chain"), element("pre", {}, context.product()));
  return { title: "Chain", node, rooms: (product) => [`chain:${product}`], moved: () => {}, close: () => {} };
}
