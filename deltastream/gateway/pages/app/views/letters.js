// Messages that a group could not process, for administrators: shown, handed over once more, or forgotten.

import { confirmed, details } from "../core/dialog.js";
import { element, facts, setText } from "../core/dom.js";
import { bytes, microseconds } from "../core/format.js";
import { Problem } from "../core/session.js";

const LIST = "api/system/dead-letters";
const COLUMNS = ["Given up", "Group", "Topic", "Seq", "Attempts", "Error", "Size", "Actions"];
const LONGEST = 200_000; // characters of a message that are shown

export class Letters {
  /** @param {import("../core/main.js").Context} context @param {() => void} acted */
  constructor(context, acted) {
    this.context = context;
    this.acted = acted;
    /** @type {Map<string, any>} rows by the letter's id, newest first */
    this.rows = new Map();
    this.body = element("tbody");
    this.state = element("p", { class: "soft" }, "One moment …");
    const heads = COLUMNS.map((name) =>
      element("th", { scope: "col", class: /Seq|Attempts|Size/.test(name) && "number-head" }, name));
    const table = element("table", {}, element("caption", { class: "hidden-text" }, "Dead letters"),
      element("thead", {}, element("tr", {}, heads)), this.body);
    this.scroller = element("div", {
      class: "wide", tabindex: 0, role: "region", "aria-label": "Dead letters", hidden: true,
    }, table);
    this.node = element("section", { class: "card letters", "aria-labelledby": "letters-title" },
      element("h2", { id: "letters-title" }, "Dead letters"), this.state, this.scroller);
  }

  /** Asks which there are. @param {AbortSignal} signal */
  async load(signal) {
    const { dead_letters: letters } = await this.context.session.call(LIST, { signal });
    const ids = new Set(letters.map((/** @type {any} */ letter) => letter.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    for (const letter of letters) {
      if (this.rows.has(letter.id)) continue;
      const row = this.#row(letter);
      this.rows.set(letter.id, row);
      this.body.prepend(row);
    }
    setText(this.state, letters.length === 0 ? "None: every message was processed."
      : `${letters.length === 1000 ? "The newest 1,000" : letters.length}: messages that a group could not process.`);
    this.scroller.hidden = letters.length === 0;
  }

  #row(/** @type {any} */ letter) {
    const { formats } = this;
    const act = (/** @type {string} */ name, /** @type {() => Promise<void>} */ work) => element("button", {
      type: "button", "aria-label": `${name} the dead letter ${letter.seq} of ${letter.topic}`,
      click: () => void this.#try(work),
    }, name);
    return element(
      "tr", { "data-letter": letter.id },
      element("td", { class: "number" }, formats.instant(microseconds(letter.time))),
      element("td", {}, letter.group), element("td", {}, letter.topic),
      element("td", { class: "number" }, formats.count(letter.seq)),
      element("td", { class: "number" }, formats.count(letter.attempts)),
      element("td", { class: "error" }, letter.error),
      element("td", { class: "number" }, bytes(letter.bytes)),
      element("td", { class: "actions" },
        act("Show", () => this.#show(letter)),
        act("Replay", () => this.#replay(letter)),
        act("Drop", () => this.#drop(letter))),
    );
  }

  get formats() {
    return formatsOf(this.context);
  }

  async #show(/** @type {any} */ { id }) {
    const letter = await this.context.session.call(`${LIST}/${id}`);
    const message = letter.message === null ? letter.message_error : JSON.stringify(letter.message, null, 2);
    const known = facts([
      ["Group", letter.group], ["Topic", letter.topic], ["Epoch and seq", `${letter.epoch} ${letter.seq}`],
      ["Given up", `${this.formats.instant(microseconds(letter.time))} ${this.formats.zoneName()}`],
      ["Attempts", letter.attempts], ["Error", letter.error],
    ]);
    const cut = message.length > LONGEST ? `${message.slice(0, LONGEST)}\n…` : message;
    await details("Dead letter", [
      known,
      element("h3", {}, "Trace"),
      element("pre", { tabindex: 0, role: "region", "aria-label": "Trace" }, letter.trace),
      element("h3", {}, letter.message === null ? "The message cannot be read" : "Message"),
      element("pre", { tabindex: 0, role: "region", "aria-label": "Message" }, cut),
    ]);
  }

  async #replay(/** @type {any} */ letter) {
    const sure = await confirmed("Replay the dead letter?",
      `${letter.group} is handed message ${letter.seq} of ${letter.topic} once more.`, "Replay");
    if (!sure) return;
    await this.context.session.call(`${LIST}/${letter.id}/replay`, { method: "POST" });
    this.context.say(`Message ${letter.seq} of ${letter.topic} was handed to ${letter.group} once more.`);
    this.acted();
  }

  async #drop(/** @type {any} */ letter) {
    const sure = await confirmed("Drop the dead letter?",
      `Message ${letter.seq} of ${letter.topic} is never processed by ${letter.group}. There is no way back.`, "Drop");
    if (!sure) return;
    await this.context.session.call(`${LIST}/${letter.id}`, { method: "DELETE" });
    this.context.say(`Message ${letter.seq} of ${letter.topic} was dropped.`);
    this.acted();
  }

  async #try(/** @type {() => Promise<void>} */ work) {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.context.say(error.message, "problem");
      this.acted(); // somebody else may have been faster
    }
  }
}

/** Times as the market that is looked at has them. @param {import("../core/main.js").Context} context */
export function formatsOf({ market, product }) {
  const { formats } = /** @type {import("../core/market.js").Product} */ (market.products.get(product()));
  return formats;
}
