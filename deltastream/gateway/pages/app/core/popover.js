// What opens over the page, and goes away by itself.

/** Closes what is open by Escape, and when the reader goes elsewhere. @param {HTMLDetailsElement} node */
export function closesItself(node) {
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    node.open = false;
    node.querySelector("summary")?.focus();
    event.stopPropagation();
  });
  node.addEventListener("focusout", (event) => {
    const to = /** @type {Node|null} */ (event.relatedTarget);
    if (to !== null && !node.contains(to)) node.open = false;
  });
  const outside = (/** @type {Event} */ event) => {
    if (!node.contains(/** @type {Node} */ (event.target))) node.open = false;
  };
  node.addEventListener("toggle", () => {
    if (node.open) document.addEventListener("pointerdown", outside);
    else document.removeEventListener("pointerdown", outside);
  });
}
