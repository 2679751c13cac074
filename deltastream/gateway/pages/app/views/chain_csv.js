// The shown part of a chain as a file: every number as the API has it, codes by their names.

import { buildupName, ivStatus } from "../core/codes.js";
import { csv } from "../core/dom.js";
import { strikeRange } from "./chain_strikes.js";

/** @type {Record<string, (value: any) => any>} */
const NAMED = {
  iv_status: (code) => ivStatus(code)?.name ?? null,
  buildup: buildupName,
  last_trade_us: (us) => (us === null ? null : new Date(us / 1000).toISOString()),
};
const HEADS = new Map([["last_trade_us", "last_trade"]]);

/**
 * @param {import("../core/market.js").Chain} chain with its columns
 * @param {number} around strikes on either side of the ATM strike; 0: all
 * @returns {{name: string, content: string}}
 */
export function chainFile(chain, around) {
  const columns = /** @type {Record<string, Array<any>>} */ (chain.columns);
  const sides = Object.keys(columns).filter((name) => name.startsWith("call_")).map((name) => name.slice(5));
  const places = [...sides.map((key) => ["call", key]), ["", "strike"], ...sides.map((key) => ["put", key])];
  const names = places.map(([side, key]) => (side === "" ? key : `${side}_${HEADS.get(key) ?? key}`));
  const sources = places.map(([side, key]) => ({
    values: columns[side === "" ? key : `${side}_${key}`], write: NAMED[key] ?? ((/** @type {any} */ value) => value),
  }));
  const [first, end] = strikeRange(columns.strike, chain.head.atm_strike ?? chain.head.spot, around);
  const time = new Date(chain.ts / 1000).toISOString();
  const rows = [];
  for (let at = first; at < end; at += 1) {
    rows.push([time, chain.root, chain.expiry, ...sources.map(({ values, write }) => write(values[at]))]);
  }
  return {
    name: `${chain.root}-${chain.expiry}-${time.slice(0, 19).replaceAll(/[-:]/g, "")}Z.csv`,
    content: csv([["time", "root", "expiry", ...names], ...rows]),
  };
}
