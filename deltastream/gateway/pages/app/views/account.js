// Who is logged in: their password, their keys, what they prefer, and the ways out.

import { confirmed } from "../core/dialog.js";
import { element, facts, setText } from "../core/dom.js";
import { field, form, refuse } from "../core/fields.js";
import { prefer, preference } from "../core/preferences.js";
import { Problem } from "../core/session.js";
import { Keys } from "./keys.js";

const ROLES = /** @type {Record<string, string>} */ ({ admin: "administrator", user: "user" });

/** @param {import("../core/main.js").Context} context @returns {import("../core/main.js").View} */
export function accountView(context) {
  const ended = new AbortController();
  const keys = new Keys(context, ended.signal);
  const node = element(
    "section", { class: "account" },
    element("h1", {}, "Account"), who(context), password(context), choices(), keys.node,
  );
  return { title: "Account", node, rooms: () => [], moved: () => {}, close: () => ended.abort() };
}

/** @param {import("../core/main.js").Context} context */
function who({ session, say }) {
  const user = /** @type {import("../core/session.js").User} */ (session.user);
  /** @param {() => Promise<void>} work */
  const attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message, "problem");
    }
  };
  const everywhere = async () => {
    const text = "Every browser and program that you have logged in from is logged out, this one too. API keys stay.";
    if (!(await confirmed("Log out everywhere?", text, "Log out everywhere"))) return;
    await session.logoutEverywhere();
  };
  return element(
    "section", { class: "card", "aria-labelledby": "who-title" },
    element("h2", { id: "who-title" }, "Logged in"),
    facts([["Name", user.name], ["Email", user.email], ["Role", ROLES[user.role] ?? user.role]]),
    element(
      "div", { class: "choices" },
      element("button", { type: "button", id: "logout", click: () => void attempt(() => session.logout()) }, "Log out"),
      element("button", {
        type: "button", id: "logout-everywhere", click: () => void attempt(everywhere),
      }, "Log out everywhere …"),
    ),
  );
}

/** @param {import("../core/main.js").Context} context */
function password({ session, say }) {
  const title = element("h2", { id: "password-title" });
  /** @param {string} name @param {Object<string, any>} more */
  const secret = (name, more) => element("input", { name, type: "password", ...more });
  const present = secret("current_password", { autocomplete: "current-password", maxlength: 1024 });
  const chosen = secret("password", { autocomplete: "new-password", minlength: 8, required: true });
  const repeated = secret("repeated", { autocomplete: "new-password", required: true });
  const presentField = field("Present password", present,
    "Not needed within ten minutes of coming by a one-time link.");
  const show = () => {
    const has = session.user?.has_password ?? false;
    setText(title, has ? "Change the password" : "Set a password");
    presentField.hidden = !has;
  };
  const made = form({ id: "password-form", "aria-labelledby": "password-title" }, [
    element("input", {
      name: "username", type: "text", autocomplete: "username", readonly: true, hidden: true, value: session.user?.email,
    }),
    presentField,
    field("New password", chosen, "8 characters or more; a few words are easy to keep."),
    field("New password again", repeated),
    element("div", {}, element("button", { type: "submit", class: "primary" }, "Set password")),
  ], async (self) => {
    if (chosen.value !== repeated.value) {
      refuse(repeated, "This is not the same.");
      return;
    }
    await session.changePassword(chosen.value, present.value === "" ? null : present.value);
    self.reset();
    show();
    say("The password is set. Every other session of yours has ended.");
  });
  show();
  return element("section", { class: "card", "aria-labelledby": "password-title" }, title, made);
}

function choices() {
  return element(
    "section", { class: "card", "aria-labelledby": "preferences-title" },
    element("h2", { id: "preferences-title" }, "Preferences"),
    element(
      "form", { id: "preferences" },
      choice("theme", "Colours", [["auto", "As the system has them"], ["light", "Light"], ["dark", "Dark"]]),
      choice("grouping", "Digits of Indian products",
        [["market", "Lakhs: 12,34,567"], ["western", "Thousands: 1,234,567"]]),
    ),
    element("p", { class: "soft" }, "Kept in this browser."),
  );
}

/** @param {"theme"|"grouping"} key @param {string} label @param {Array<[value: string, name: string]>} options */
function choice(key, label, options) {
  const chosen = preference(key);
  const made = element(
    "select", { name: key, change: () => prefer(key, made.value) },
    options.map(([value, name]) => element("option", { value, selected: value === chosen }, name)),
  );
  return field(label, made);
}
