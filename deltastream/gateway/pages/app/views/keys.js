// API keys: those there are, a new one whose text is shown this once, and their end.

import { ask, confirmed } from "../core/dialog.js";
import { element, setAttribute, setText } from "../core/dom.js";
import { field, form } from "../core/fields.js";
import { MISSING, microseconds } from "../core/format.js";
import { Problem } from "../core/session.js";
import { formatsOf } from "./letters.js";

const LIST = "api/user/keys";
const COLUMNS = ["Name", "Begins with", "May", "Made", "Expires", "Last used", "State", ""];
const NONE = "None yet. Programs that read this host each get a key of their own.";
const DAYS = [["30", "30 days"], ["90", "90 days"], ["180", "180 days"], ["366", "366 days"]];

/** What a scope allows, in words. @type {Record<string, string>} */
const SCOPES = {
  "read:market": "the market as it is now", "read:history": "the market as it was",
  "write:alerts": "alerts", "read:system": "how the host is doing", admin: "everything, in an administrator's name",
};
/** @type {Record<string, Array<string>>} */
const OF_ROLE = { user: ["read:market", "read:history", "write:alerts"], admin: Object.keys(SCOPES) };

export class Keys {
  /** @param {import("../core/main.js").Context} context @param {AbortSignal} signal of the view's end */
  constructor(context, signal) {
    this.context = context;
    this.signal = signal;
    /** @type {Map<string, any>} */
    this.rows = new Map();
    this.state = element("p", { class: "soft" }, "One moment …");
    this.body = element("tbody");
    const heads = COLUMNS.map((name) => (name === "" ? element("td") : element("th", { scope: "col" }, name)));
    const table = element("table", {}, element("caption", { class: "hidden-text" }, "API keys"),
      element("thead", {}, element("tr", {}, heads)), this.body);
    this.scroller = element("div", {
      class: "wide", tabindex: 0, role: "region", "aria-label": "API keys", hidden: true,
    }, table);
    this.maker = element("details", {}, element("summary", {}, "Make a key"), this.#form());
    this.node = element("section", { class: "card keys", "aria-labelledby": "keys-title" },
      element("h2", { id: "keys-title" }, "API keys"), this.state, this.scroller, this.maker);
    void this.load();
  }

  async load() {
    try {
      const { keys } = await this.context.session.call(LIST, { signal: this.signal });
      for (const key of keys) this.#show(key);
      setText(this.state, keys.length === 0 ? NONE : "");
      this.scroller.hidden = keys.length === 0;
    } catch (error) {
      if (this.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      setText(this.state, error.message);
    }
  }

  #show(/** @type {any} */ key) {
    const formats = formatsOf(this.context);
    const time = (/** @type {string|null} */ iso) => (iso === null ? MISSING : formats.instant(microseconds(iso)));
    const expired = (microseconds(key.expires) ?? 0) < this.context.market.now();
    const state = key.revoked !== null ? `revoked ${time(key.revoked)}` : expired ? "expired" : "good";
    let row = this.rows.get(key.id);
    if (row === undefined) {
      const cells = COLUMNS.slice(1, -1).map((_, index) => element("td", { class: index === 1 ? null : "number" }));
      const end = element("button", {
        type: "button", "aria-label": `Revoke the key ${key.name}`, click: () => void this.#revoke(key),
      }, "Revoke …");
      const node = element("tr", { "data-key": key.id },
        element("th", { scope: "row" }, key.name), cells, element("td", {}, end));
      row = { node, cells, end };
      this.rows.set(key.id, row);
      this.body.prepend(node);
    }
    [key.prefix, key.scopes.join(", "), time(key.created), time(key.expires), time(key.last_used), state]
      .forEach((text, index) => setText(row.cells[index], text));
    row.end.hidden = state !== "good";
    setAttribute(row.node, "data-ended", state === "good" ? null : "");
  }

  #form() {
    const name = element("input", { name: "name", type: "text", maxlength: 100, required: true, autocomplete: "off" });
    const days = element("select", { name: "days" },
      DAYS.map(([value, text]) => element("option", { value, selected: value === "90" }, text)));
    const allowed = OF_ROLE[this.context.session.user?.role ?? "user"] ?? [];
    const boxes = allowed.map((scope) =>
      element("input", { type: "checkbox", value: scope, checked: scope === "read:market" }));
    const scopes = element(
      "fieldset", { name: "scopes", id: "key-scopes", "aria-describedby": "key-scopes-problem", class: "field" },
      element("legend", {}, "May read or do"),
      boxes.map((box) => element("label", { class: "check" }, box, element("code", {}, box.value),
        element("span", { class: "soft" }, SCOPES[box.value]))),
      element("p", { class: "field-problem", id: "key-scopes-problem" }),
    );
    return form({ id: "key-form", "aria-label": "Make an API key" }, [
      field("Name", name, "What the key is for, so that you know it again."),
      scopes,
      field("Expires after", days),
      element("div", {}, element("button", { type: "submit", class: "primary" }, "Make the key")),
    ], async (self) => {
      const body = {
        name: name.value, days: Number(days.value), scopes: boxes.filter((box) => box.checked).map((box) => box.value),
      };
      const { token, key } = await this.context.session.call(LIST, { method: "POST", body });
      self.reset();
      this.maker.open = false;
      this.scroller.hidden = false;
      setText(this.state, "");
      this.#show(key);
      await told(key, token);
    });
  }

  async #revoke(/** @type {any} */ { id, name }) {
    const text = "Whatever uses it is refused at once. There is no way back.";
    if (!(await confirmed(`Revoke the key ${name}?`, text, "Revoke"))) return;
    try {
      await this.context.session.call(`${LIST}/${id}`, { method: "DELETE" });
      this.context.say(`The key ${name} is revoked.`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.context.say(error.message, "problem");
    }
    await this.load();
  }
}

// The text of a key is in this dialog and nowhere else: with it, it is gone.
async function told(/** @type {any} */ key, /** @type {string} */ token) {
  const state = element("p", { role: "status" });
  const shown = element("code", { id: "key-token" }, token);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(token);
      setText(state, "Copied.");
    } catch {
      getSelection()?.selectAllChildren(shown);
      setText(state, "The browser does not let the page copy: it is selected, copy it yourself.");
    }
  };
  await ask(`The key ${key.name}`, [
    element("p", {}, "This is its text. It is shown this once: keep it where only the program finds it."),
    element("div", { class: "secret" }, shown,
      element("button", { type: "button", id: "key-copy", click: () => void copy() }, "Copy")),
    state,
    element("p", { class: "soft" }, "Sent as X-API-Key, or as Authorization: Bearer …"),
  ], [{ value: "", label: "I have it", kind: "primary" }]);
}
