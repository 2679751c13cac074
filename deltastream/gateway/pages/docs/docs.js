// The API's documentation: read from its OpenAPI document, searched, and tried out. The token that is
// pasted stays in its field: it is sent with what is tried out and kept nowhere.

import { element, phrase, prose } from "./dom.js";
import { Schemas } from "./schemas.js";
import { form } from "./trying.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);
const token = () => at("token").value.trim();

function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => {
      const operation = { ...item[method], method, path };
      operation.responses = Object.fromEntries(Object.entries(operation.responses).map(([status, response]) =>
        [status, response.$ref ? api.components.responses[response.$ref.split("/").pop()] : response]));
      return operation;
    }));
}

function soughtIn(operation) {
  const names = (operation.parameters ?? []).map(({ name, description }) => `${name} ${description ?? ""}`);
  const { method, path, summary, description, operationId, tags } = operation;
  return [method, path, summary, description, operationId, ...tags, ...names].join(" ").toLowerCase();
}

function parameterTable(operation, schemas) {
  if (!operation.parameters) return [];
  const rows = operation.parameters.map((parameter) => element("tr", {},
    element("th", { scope: "row" }, element("code", { class: parameter.required ? "required" : null }, parameter.name)),
    element("td", {}, parameter.in),
    element("td", {}, element("code", {}, schemas.words(parameter.schema))),
    element("td", {}, phrase([parameter.description, schemas.limits(parameter.schema)].filter(Boolean).join(" · ")))));
  return [element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, rows))];
}

function bodyView(operation, schemas) {
  if (!operation.requestBody) return [];
  const { content, description, required } = operation.requestBody;
  const title = element("h3", {}, required ? "Body" : "Body, which may be left out");
  return [title, ...prose(description), ...Object.values(content).flatMap(({ schema }) => schemas.view(schema))];
}

function responseView([status, response], schemas) {
  const good = status < "400";
  const views = Object.entries(response.content ?? {}).map(([media, { schema }]) =>
    element("div", {}, element("p", {}, element("code", {}, media)), schema ? schemas.view(schema) : null));
  const headers = Object.keys(response.headers ?? {}).join(", ");
  return element("details", { open: good },
    element("summary", {}, element("strong", { class: good ? "post" : "delete" }, status), " ",
      phrase(response.description)),
    headers && element("p", { class: "soft" }, `Headers: ${headers}`), views);
}

function operationView(operation, schemas) {
  return element("div", {},
    prose(operation.description),
    parameterTable(operation, schemas),
    bodyView(operation, schemas),
    element("h3", {}, "Try it"), form(operation, schemas, token),
    element("h3", {}, "Answers"),
    Object.entries(operation.responses).map((each) => responseView(each, schemas)));
}

// An operation, made when it is opened for the first time.
function folded(operation, schemas) {
  const details = element("details", { class: "operation", id: operation.operationId },
    element("summary", {},
      element("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      element("span", { class: "path" }, operation.path),
      element("span", { class: "soft" }, operation.summary)));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(operationView(operation, schemas));
  });
  return details;
}

function show(api) {
  const schemas = new Schemas(api.components.schemas);
  const operations = operationsOf(api);
  const entries = [];
  const chapters = api.tags.map(({ name, description }) => {
    const own = operations.filter(({ tags }) => tags.includes(name));
    const section = element("section", { "aria-label": name }, element("h2", {}, name), prose(description));
    const list = element("ul");
    for (const operation of own) {
      const view = folded(operation, schemas);
      const link = element("li", {}, element("a", { href: `#${operation.operationId}` }, operation.summary));
      section.append(view);
      list.append(link);
      entries.push({ text: soughtIn(operation), view, link });
    }
    const menu = element("div", {}, element("h2", {}, name), list);
    return { section, menu, own: entries.slice(-own.length) };
  });
  at("version").textContent = api.info.version;
  at("about").replaceChildren(element("h1", {}, api.info.title), ...prose(api.info.description));
  at("operations").replaceChildren(...chapters.map(({ section }) => section));
  document.querySelector("nav").replaceChildren(...chapters.map(({ menu }) => menu));
  at("search").addEventListener("input", () => search(entries, chapters));
  search(entries, chapters);
}

function search(entries, chapters) {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) {
    entry.found = words.every((word) => entry.text.includes(word));
    entry.view.hidden = entry.link.hidden = !entry.found;
  }
  for (const { section, menu, own } of chapters) section.hidden = menu.hidden = !own.some(({ found }) => found);
  const found = entries.filter((entry) => entry.found).length;
  at("about").hidden = words.length > 0;
  at("found").textContent = words.length > 0 ? `${found} of ${entries.length} operations` : "";
}

function openNamed() {
  const named = at(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

for (const each of document.querySelectorAll("header form"))
  each.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  event.preventDefault();
  at("search").focus();
});
window.addEventListener("hashchange", openNamed);
try {
  const response = await fetch(new URL("api/docs", document.baseURI));
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  show(await response.json());
  openNamed();
} catch (error) {
  at("notice").textContent = `The documentation cannot be shown: ${error.message}.`;
  at("notice").hidden = false;
}
