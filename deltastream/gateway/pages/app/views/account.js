import { element } from "../core/dom.js";

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function accountView(context) {
  const node = element("section", {}, element("h1", {}, "Account"), element("pre", {}, context.product()));
  return { title: "Account", node, rooms: (product) => [`chain:${product}`], moved: () => {}, close: () => {} };
}
