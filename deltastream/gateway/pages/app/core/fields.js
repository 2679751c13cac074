// Forms whose problems stand at their fields.

import { element, setText } from "./dom.js";
import { Problem } from "./session.js";

let count = 0;

/**
 * A labelled control with room for what is wrong with it.
 * @param {string} label @param {HTMLInputElement|HTMLSelectElement} control with a name @param {string} [hint]
 */
export function field(label, control, hint = "") {
  count += 1;
  const id = `field-${count}`;
  control.id = id;
  control.setAttribute("aria-describedby", hint === "" ? `${id}-problem` : `${id}-hint ${id}-problem`);
  return element(
    "div", { class: "field" },
    element("label", { for: id }, label),
    control,
    hint !== "" && element("p", { class: "hint soft", id: `${id}-hint` }, hint),
    element("p", { class: "field-problem", id: `${id}-problem` }),
  );
}

/**
 * A form that works for as long as its work takes, then says at its fields what was wrong.
 * @param {Object<string, any>} attributes
 * @param {Array<any>} content
 * @param {(form: HTMLFormElement) => Promise<void>} work
 * @returns {HTMLFormElement}
 */
export function form(attributes, content, work) {
  const elsewhere = element("p", { class: "field-problem", role: "alert" });
  /** @type {HTMLFormElement} */
  const made = element("form", attributes, content, elsewhere);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (made.querySelector("[type=submit]"));
    clear(made);
    button.disabled = true;
    try {
      await work(made);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setText(elsewhere, explained(made, error));
    } finally {
      button.disabled = false;
    }
    /** @type {HTMLElement|null} */ (made.querySelector("[aria-invalid]"))?.focus();
  });
  return made;
}

/** Says at a control what is wrong with it. @param {Element} control @param {string} message */
export function refuse(control, message) {
  control.setAttribute("aria-invalid", "true");
  const place = document.getElementById(`${control.id}-problem`);
  if (place !== null) setText(place, message);
}

function clear(/** @type {HTMLFormElement} */ made) {
  for (const place of made.querySelectorAll(".field-problem")) setText(place, "");
  for (const control of made.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

// What has no field here is told as a whole.
function explained(/** @type {HTMLFormElement} */ made, /** @type {Problem} */ problem) {
  const rest = [];
  for (const { field: pointer, message } of problem.errors) {
    const name = pointer.split("/")[1] ?? pointer;
    const control = /** @type {Element|null} */ (made.querySelector(`[name="${CSS.escape(name)}"]`));
    if (control !== null && control.id !== "") refuse(control, message);
    else rest.push(message);
  }
  return rest.join(" ") || (problem.errors.length > 0 ? "" : problem.message);
}
