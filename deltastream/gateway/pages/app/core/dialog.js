// Questions before what cannot be undone, and details that need room: the browser's own dialog, which
// keeps the focus and gives it back, and which Escape leaves.

import { element } from "./dom.js";

const DANGER = /** @type {const} */ ("danger");
let count = 0;

/**
 * Shows a dialog until it is left.
 * @param {string} title
 * @param {Array<any>} content
 * @param {Array<{value: string, label: string, kind?: "primary"|"danger"}>} choices
 * @returns {Promise<string>} the value that was chosen; empty where it was left otherwise
 */
export function ask(title, content, choices) {
  count += 1;
  const id = `dialog-${count}`;
  const buttons = choices.map(({ value, label, kind }) => element("button", { value, class: kind ?? null }, label));
  const dialog = element(
    "dialog", { "aria-labelledby": id },
    element("form", { method: "dialog" },
      element("h2", { id }, title), content, element("div", { class: "choices" }, buttons)),
  );
  const leave = () => dialog.close("");
  addEventListener("hashchange", leave);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      removeEventListener("hashchange", leave);
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * @param {string} title @param {string} text @param {string} action what the button says
 * @returns {Promise<boolean>}
 */
export async function confirmed(title, text, action) {
  const choices = [{ value: "", label: "Cancel" }, { value: "yes", label: action, kind: DANGER }];
  return (await ask(title, [element("p", {}, text)], choices)) === "yes";
}

/** Shows details. @param {string} title @param {Array<any>} content */
export async function details(title, content) {
  await ask(title, content, [{ value: "", label: "Close" }]);
}
