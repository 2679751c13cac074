// The actors of the host as a tree of rows: each poll changes what has changed, and an actor that was
// started again says so for a while.

import { details } from "../core/dialog.js";
import { element, setAttribute, setText } from "../core/dom.js";
import { MISSING, age, bytes } from "../core/format.js";

const COLUMNS = ["Actor", "State", "Restarts", "Up", "In hand", "Behind", "Reason or last error"];
const NUMERIC = new Set(["Restarts", "Up", "In hand", "Behind"]);
const SHOWN_MS = 30_000; // for which a restart is marked

/** Colour is never the only sign. @type {Record<string, [sign: string, level: string]>} */
const STATES = {
  "running": ["●", "live"], "starting": ["◌", "stale"], "degraded": ["▲", "stale"], "backing off": ["↻", "stale"],
  "stopping": ["■", "closed"], "stopped": ["■", "closed"], "stuck": ["✕", "lost"], "failed": ["✕", "lost"],
};

/**
 * @typedef {Object} Row
 * @property {any} node
 * @property {Record<string, any>} cells
 * @property {any} actor as it was last told
 * @property {number} restarted when, milliseconds; 0: not seen
 *
 * @typedef {{level: number, position: number, size: number}} Place among its siblings
 */

export class Actors {
  /** @param {(sentence: string) => void} say what has happened */
  constructor(say) {
    this.say = say;
    /** @type {Map<string, Row>} by path, in order */
    this.rows = new Map();
    /** @type {Set<string>} paths of supervisors whose rows are hidden */
    this.folded = new Set();
    const heads = COLUMNS.map((name) =>
      element("th", { scope: "col", class: NUMERIC.has(name) && "number-head" }, name));
    this.body = element("tbody");
    this.node = element(
      "table", { role: "treegrid", class: "actors", "aria-label": "Actors of the host" },
      element("thead", {}, element("tr", {}, heads)), this.body,
    );
    this.body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.body.addEventListener("focusin", (/** @type {FocusEvent} */ event) => this.#rove(this.#rowOf(event.target)));
  }

  /**
   * @param {any} tree @param {any} bus as the host told of it; null where it could not
   * @param {number} now milliseconds
   */
  show(tree, bus, now) {
    /** @type {Set<string>} */
    const seen = new Set();
    const poll = { seen, bus, behind: byGroup(bus?.groups ?? []), now };
    this.#place(tree, { level: 1, position: 1, size: 1 }, poll);
    for (const [path, row] of this.rows) {
      if (seen.has(path)) continue;
      row.node.remove();
      this.rows.delete(path);
    }
    this.#hide();
    if (this.body.querySelector('[tabindex="0"]') === null) this.#rove(this.rows.values().next().value ?? null);
  }

  #place(/** @type {any} */ actor, /** @type {Place} */ { level, position, size }, /** @type {any} */ poll) {
    const { seen, now } = poll;
    let row = this.rows.get(actor.path);
    if (row === undefined) {
      row = this.#make(actor, level);
      this.rows.set(actor.path, row);
    } else if (again(row.actor, actor)) {
      row.restarted = now;
      this.say(`${actor.name} was started again.`);
    }
    const next = this.body.children[seen.size] ?? null;
    if (next !== row.node) this.body.insertBefore(row.node, next);
    seen.add(actor.path);
    setAttribute(row.node, "aria-posinset", String(position));
    setAttribute(row.node, "aria-setsize", String(size));
    row.actor = actor;
    this.#fill(row, poll);
    actor.children.forEach((/** @type {any} */ child, /** @type {number} */ index) => {
      this.#place(child, { level: level + 1, position: index + 1, size: actor.children.length }, poll);
    });
  }

  /** @returns {Row} */
  #make(/** @type {any} */ actor, /** @type {number} */ level) {
    const inner = actor.strategy !== null;
    const fold = inner && element("span", {
      class: "fold", "aria-hidden": "true", click: () => this.#fold(actor.path),
    });
    /** @type {Record<string, any>} */
    const cells = {};
    for (const name of COLUMNS.slice(1)) {
      cells[name] = element("td", { role: "gridcell", class: NUMERIC.has(name) ? "number" : null });
    }
    cells.sign = element("span", { "aria-hidden": "true" });
    cells.state = element("span");
    cells.State.append(cells.sign, " ", cells.state);
    cells.again = element("span", { class: "again", hidden: true }, "just now");
    cells.restarts = element("span");
    cells.Restarts.append(cells.again, " ", cells.restarts);
    cells.error = element("button", {
      type: "button", class: "link", hidden: true, click: () => void this.#explain(actor.path),
    });
    cells.reason = element("span");
    cells["Reason or last error"].append(cells.reason, " ", cells.error);
    const node = element(
      "tr", { "aria-level": level, "aria-expanded": inner ? "true" : null, tabindex: -1, "data-path": actor.path },
      element("th", { scope: "row", role: "rowheader" }, fold, actor.name), COLUMNS.slice(1).map((name) => cells[name]),
    );
    node.style.setProperty("--level", String(level - 1));
    return { node, cells, actor, restarted: 0 };
  }

  #fill(/** @type {Row} */ { node, cells, actor, restarted }, /** @type {any} */ { bus, behind: all, now }) {
    const behind = all.get(actor.name);
    const [sign, level] = STATES[actor.state] ?? ["?", "stale"];
    setAttribute(node, "data-state", level);
    setText(cells.sign, sign);
    setText(cells.state, actor.state);
    setText(cells.restarts, String(actor.restarts));
    cells.again.hidden = restarted === 0 || now - restarted > SHOWN_MS;
    setAttribute(node, "data-restarted", cells.again.hidden ? null : "");
    const waits = actor.restart_in_s !== null;
    setText(cells.Up, waits ? `in ${age(actor.restart_in_s)}` : age(actor.uptime_s ?? NaN));
    setAttribute(cells.Up, "title", waits ? "until it is started again" : null);
    const held = [...inHand(actor, behind, bus)];
    setText(cells["In hand"], held.map(([count]) => count).join(" ") || MISSING);
    setAttribute(cells["In hand"], "title", held.map(([, words]) => words).join("\n") || null);
    setText(cells.Behind, behind === undefined ? MISSING : String(behind.lag));
    setAttribute(cells.Behind, "title", behind === undefined ? null
      : `messages, on ${behind.topics} topics; ${behind.retrying} tried again, ${behind.dead} dead`);
    setText(cells.reason, actor.reason ?? "");
    const error = actor.last_error;
    cells.error.hidden = error === null;
    setText(cells.error, error === null ? "" : `${error.type.split(".").pop()}: ${error.message}`);
  }

  async #explain(/** @type {string} */ path) {
    const actor = this.rows.get(path)?.actor;
    if (actor === undefined || actor.last_error === null) return;
    const { type, message, traceback } = actor.last_error;
    await details(`Last error of ${actor.name}`, [
      element("p", {}, element("strong", {}, type), `: ${message}`),
      element("pre", { tabindex: 0, role: "region", "aria-label": "Traceback" }, traceback),
    ]);
  }

  #fold(/** @type {string} */ path, folded = !this.folded.has(path)) {
    if (folded) this.folded.add(path);
    else this.folded.delete(path);
    this.#hide();
  }

  #hide() {
    for (const [path, { node, actor }] of this.rows) {
      if (actor.strategy !== null) setAttribute(node, "aria-expanded", String(!this.folded.has(path)));
      node.hidden = [...this.folded].some((above) => path.startsWith(`${above}/`));
      if (node.hidden && node.tabIndex === 0) this.#rove(this.#above(path));
    }
  }

  #above(/** @type {string} */ path) {
    let above = path;
    while (above.includes("/")) {
      above = above.slice(0, above.lastIndexOf("/"));
      const row = this.rows.get(above);
      if (row !== undefined && !row.node.hidden) return row;
    }
    return null;
  }

  #rowOf(/** @type {any} */ target) {
    return this.rows.get(target.closest("tr")?.dataset.path) ?? null;
  }

  // One row is in the order of Tab; arrows lead to the others.
  #rove(/** @type {Row|null} */ row) {
    if (row === null || row.node.tabIndex === 0) return;
    for (const { node } of this.rows.values()) node.tabIndex = -1;
    row.node.tabIndex = 0;
  }

  #key(/** @type {KeyboardEvent} */ event) {
    const row = this.#rowOf(event.target);
    if (row === null || event.target !== row.node || event.altKey || event.ctrlKey || event.metaKey) return;
    const shown = [...this.rows.values()].filter(({ node }) => !node.hidden);
    const at = shown.indexOf(row);
    const { path, strategy, last_error: error } = row.actor;
    const open = strategy !== null && !this.folded.has(path);
    switch (event.key) {
      case "ArrowDown": shown[at + 1]?.node.focus(); break;
      case "ArrowUp": shown[at - 1]?.node.focus(); break;
      case "Home": shown[0]?.node.focus(); break;
      case "End": shown.at(-1)?.node.focus(); break;
      case "ArrowRight":
        if (strategy !== null && !open) this.#fold(path, false);
        else if (open) shown[at + 1]?.node.focus();
        break;
      case "ArrowLeft":
        if (open) this.#fold(path, true);
        else this.#above(path)?.node.focus();
        break;
      case "Enter":
        if (error !== null) void this.#explain(path);
        else if (strategy !== null) this.#fold(path);
        break;
      default: return;
    }
    event.preventDefault();
  }
}

/** Whether an actor was started again between two polls. @param {any} before @param {any} now */
function again(before, now) {
  return now.restarts > before.restarts || now.incarnation > before.incarnation
    || (now.uptime_s !== null && before.uptime_s !== null && now.uptime_s < before.uptime_s);
}

// An actor and the group by which it reads the bus have one name.
function byGroup(/** @type {Array<any>} */ groups) {
  const found = new Map();
  for (const { group, lag, in_flight: flying, retrying, dead } of groups) {
    const sum = found.get(group) ?? { topics: 0, lag: 0, flying: 0, retrying: 0, dead: 0 };
    found.set(group, {
      topics: sum.topics + 1, lag: sum.lag + lag, flying: sum.flying + flying,
      retrying: sum.retrying + retrying, dead: sum.dead + dead,
    });
  }
  return found;
}

/**
 * What an actor has been given and is not done with, wherever it is kept: what the bus has handed to it, what the
 * bus itself has still to write, and mailboxes of its own.
 * @param {any} actor @param {any} group of its name @param {any} bus
 * @returns {Generator<[count: string, words: string]>}
 */
function* inHand({ path, mailboxes }, group, bus) {
  if (group !== undefined) yield [String(group.flying), "messages that the bus has handed to it, not settled yet"];
  if (path === "host/bus" && bus !== null) {
    yield [String(bus.pending), `messages accepted and not written yet, ${bytes(bus.pending_bytes)}`];
  }
  for (const { name, depth, capacity, peak, received, dropped, conflated } of mailboxes) {
    yield [`${depth}/${capacity}`, `mailbox ${name}: ${depth} of ${capacity}, at most ${peak} so far;`
      + ` ${received} taken, ${dropped} dropped, ${conflated} replaced`];
  }
}
