// Elements, and as few changes of them as possible. No text is ever read as markup.

/**
 * An element with attributes, listeners (functions) and children; null and false are left out.
 * @param {string} name
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|null|undefined|false|Array<any>)} children
 * @returns {any}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  append(made, children);
  return made;
}

/** @param {Element} parent @param {Array<any>} children */
export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
}

/** Facts under their names. @param {Array<[name: string, fact: any]>} pairs */
export function facts(pairs) {
  return element("dl", { class: "facts" }, pairs.map(([name, fact]) => [element("dt", {}, name), element("dd", {}, fact)]));
}

/** An element of a drawing. @param {string} name @param {Object<string, any>} [attributes] @param {...any} children @returns {any} */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  append(made, children);
  return made;
}

/** Shows a text; tells whether it is another than before. @param {Node} node @param {string} text */
export function setText(node, text) {
  const first = node.firstChild;
  if (first !== null && first.nodeType === Node.TEXT_NODE && first === node.lastChild) {
    if (/** @type {Text} */ (first).data === text) return false;
    /** @type {Text} */ (first).data = text;
    return true;
  }
  if (first === null && text === "") return false;
  node.textContent = text;
  return true;
}

/** Sets an attribute, or takes it away with null. @param {Element} node @param {string} name @param {string|null} value */
export function setAttribute(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** Gives a file to the browser to keep. @param {string} name @param {string} media @param {BlobPart} content */
export function download(name, media, content) {
  const address = URL.createObjectURL(new Blob([content], { type: media }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Rows as CSV (RFC 4180); null is empty. @param {Array<Array<any>>} rows */
export function csv(rows) {
  const cell = (/** @type {any} */ value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}
