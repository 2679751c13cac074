// Elements and prose. What the document says becomes text and is never read as markup.

// An element with attributes and children; what is null or undefined is left out.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const MARKS = /(``.+?``|`.+?`|\*\*.+?\*\*)/s;

// One line of CommonMark, as far as descriptions here use it: code and strong text.
function inline(text) {
  return text.split(MARKS).map((part) => {
    if (/^``.+``$/s.test(part)) return element("code", {}, part.slice(2, -2));
    if (/^`.+`$/s.test(part)) return element("code", {}, part.slice(1, -1));
    if (/^\*\*.+\*\*$/s.test(part)) return element("strong", {}, part.slice(2, -2));
    return part;
  });
}

// Paragraphs of a description.
export function prose(text) {
  return (text ?? "").split(/\n{2,}/).filter(Boolean).map((each) => element("p", {}, inline(each)));
}

// A description within a line.
export function phrase(text) {
  return element("span", { class: "soft" }, inline(text ?? ""));
}
