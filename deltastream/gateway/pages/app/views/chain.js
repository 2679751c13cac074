// The option chain as traders know it: calls, strikes, puts, by expiry.

import { words } from "../core/codes.js";
import { download, element, setAttribute, setText } from "../core/dom.js";
import { age } from "../core/format.js";
import { changed, preference } from "../core/preferences.js";
import { ContractDetail } from "./chain_detail.js";
import { chainFile } from "./chain_csv.js";
import { ChainTable } from "./chain_table.js";
import { ExpiryTabs } from "./chain_tabs.js";
import { chainTools } from "./chain_tools.js";

const CADENCES = { live: "live", "3min": "every 3 minutes", daily: "daily" };

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function chainView(context) {
  const { market, router } = context;
  const title = element("h1", { class: "hidden-text" });
  const table = new ChainTable(choose);
  const detail = new ContractDetail(unchoose);
  const tabs = new ExpiryTabs(table.node.id, ({ product, root, expiry }) => router.go({ product, root, expiry }));
  const tools = chainTools({ centre: () => table.toAtm(), download: save });
  const waiting = element("p", { class: "chain-waiting soft", id: "chain-waiting", role: "status" });
  const facts = element("p", { class: "chain-facts soft", id: "chain-facts" });
  const node = element("section", { class: "chain-view", id: "chain-view" }, title,
    element("div", { class: "chain-bar" }, tabs.node, tools),
    element("div", { class: "chain-body" }, table.node, detail.node), waiting, facts);
  let refusal = "";
  let product = "";

  /** What is looked at, where it is all there. */
  function whole() {
    const chain = context.chain();
    return chain === null || chain.columns === null ? null : chain;
  }

  function show() {
    const name = context.product();
    const known = market.products.get(name);
    if (known === undefined) return;
    if (name !== product) {
      product = name;
      refusal = "";
      table.clear();
      detail.close();
    }
    believe();
    setText(title, `Option chain of ${known.name}`);
    const chain = context.chain();
    tabs.update(market.chainsOf(name), chain, known, market.now());
    if (chain !== null) setAttribute(table.node, "aria-labelledby", tabs.idOf(chain.key));
    const there = whole();
    setText(waiting, there !== null ? "" : refusal || `Waiting for the chain of ${name} …`);
    waiting.hidden = there !== null;
    setAttribute(node, "data-waiting", there === null ? "" : null);
    if (there === null) return;
    table.show(there, known, preference("strikes"));
    detail.update(there, known);
    tell();
  }

  const believe = () => setAttribute(node, "data-level", market.freshness(product, context.chain()?.ts).level);

  // What is to be known of the chain as a whole.
  function tell() {
    const chain = whole();
    const known = market.products.get(product);
    if (chain === null || known === undefined) return;
    const { formats } = known;
    const { head } = chain;
    const now = market.now();
    const taken = head.oi_as_of === null ? "" : ` as of ${formats.moment(head.oi_as_of, now)}`;
    setText(facts, [
      `Chain of ${formats.moment(chain.ts, now)} ${formats.zoneName(chain.ts)}, ${age((now - chain.ts) / 1e6)} old`,
      `open interest in ${head.oi_unit}${taken}, ${/** @type {any} */ (CADENCES)[head.oi_cadence] ?? head.oi_cadence}`,
      `volume in ${head.volume_unit}`, `${head.exercise}, ${head.settlement}`, ...head.flags.map(words),
    ].join(" · "));
  }

  function choose(/** @type {number} */ strike) {
    table.select(strike);
    detail.show(strike);
    const chain = whole();
    const known = market.products.get(product);
    if (chain !== null && known !== undefined) detail.update(chain, known);
    detail.focus();
  }

  function unchoose() {
    const { strike } = detail;
    table.select(NaN);
    if (detail.node.contains(document.activeElement) || document.activeElement === document.body) table.focus(strike);
  }

  function save() {
    const chain = whole();
    if (chain === null) return;
    const file = chainFile(chain, preference("strikes"));
    download(file.name, "text/csv", file.content);
  }

  const fit = () => node.style.setProperty("--above", `${Math.ceil(table.node.offsetTop)}px`);
  const sizes = new ResizeObserver(fit);
  for (const above of [document.querySelector(".page-header"), node.querySelector(".chain-bar")]) {
    if (above !== null) sizes.observe(above);
  }

  const listening = [
    market.changed.listen(({ products, chains, connection }) => {
      if (connection || chains.size > 0 || products.has(context.product())) show();
    }),
    market.second.listen(() => {
      const known = market.products.get(product);
      if (known !== undefined) tabs.update(market.chainsOf(product), context.chain(), known, market.now());
      believe();
      tell();
    }),
    changed.listen((key) => {
      if (key === "greeks") table.columnsChanged();
      if (key === "greeks" || key === "grouping" || key === "strikes") show();
    }),
    market.socket.refused.listen(({ room, message }) => {
      if (room !== `chain:${context.product()}`) return;
      refusal = message;
      show();
    }),
  ];
  const frame = requestAnimationFrame(show);

  return {
    title: "Chain",
    node,
    rooms: (name) => [`chain:${name}`],
    moved: show,
    close() {
      cancelAnimationFrame(frame);
      sizes.disconnect();
      for (const unlisten of listening) unlisten();
      table.close();
    },
  };
}
