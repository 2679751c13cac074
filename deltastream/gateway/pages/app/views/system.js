import { element } from "../core/dom.js";

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function systemView(context) {
  const node = element("section", {}, element("h1", {}, "System"), element("pre", {}, context.product()));
  return { title: "System", node, rooms: (product) => [`chain:${product}`], moved: () => {}, close: () => {} };
}
