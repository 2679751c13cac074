// A form that sends a request of one operation, and what came back.

import { element } from "./dom.js";

const SHOWN = 200_000; // characters of an answer

// Args: the operation with its method and path, the document's schemas, what gives the token.
export function form(operation, schemas, token) {
  const inputs = (operation.parameters ?? []).map((parameter) => [parameter, input(parameter, schemas)]);
  const media = Object.keys(successful(operation)?.content ?? {});
  const accept = media.length > 1 ? choice(media, false) : null;
  const body = operation.requestBody === undefined ? null : element("textarea", { spellcheck: "false" });
  if (body !== null) {
    const { schema } = operation.requestBody.content["application/json"];
    body.value = JSON.stringify(schemas.example(schema), null, 2);
  }
  const button = element("button", { type: "submit" }, "Send");
  const outcome = element("div", { "aria-live": "polite" });
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const request = requestOf(operation, inputs, accept, body, token());
    try {
      outcome.replaceChildren(...(await answered(request)));
    } catch (error) {
      outcome.replaceChildren(command(request), element("p", { class: "notice" }, `No answer: ${error.message}`));
    }
    button.disabled = false;
  };
  return element("form", { class: "try", submit: send },
    inputs.map(([parameter, field]) => labelled(parameter.name, field, parameter.required)),
    accept === null ? null : labelled("Accept", accept, false),
    body === null ? null : element("label", { class: "wide" }, "Body", body),
    button, outcome);
}

function labelled(name, field, required) {
  return element("label", {}, element("code", { class: required ? "required" : null }, name), field);
}

function input(parameter, schemas) {
  const [schema] = schemas.resolve(parameter.schema);
  if (schema.enum) return choice(schema.enum, true);
  if (schema.type === "boolean") return choice(["true", "false"], true);
  const shown = schema.examples?.[0] ?? schema.default ?? schemas.words(schema);
  return element("input", { type: "text", placeholder: `${shown}`, spellcheck: "false", autocomplete: "off" });
}

function choice(values, empty) {
  const options = values.map((value) => element("option", { value: `${value}` }, `${value}`));
  if (empty) options.unshift(element("option", { value: "" }, ""));
  return element("select", {}, options);
}

function successful(operation) {
  return Object.entries(operation.responses).find(([status]) => status.startsWith("2"))?.[1];
}

function requestOf(operation, inputs, accept, body, token) {
  let path = operation.path;
  const query = new URLSearchParams();
  for (const [parameter, field] of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(field.value));
    else if (field.value !== "") query.append(parameter.name, field.value);
  }
  const headers = {};
  if (token !== "") headers.Authorization = `Bearer ${token}`;
  if (accept !== null) headers.Accept = accept.value;
  if (body !== null && body.value.trim() !== "") headers["Content-Type"] = "application/json";
  const url = new URL(path.slice(1), document.baseURI);
  url.search = query;
  return {
    url: url.href,
    options: {
      method: operation.method.toUpperCase(), headers, redirect: "error", cache: "no-store",
      body: "Content-Type" in headers ? body.value : undefined,
    },
  };
}

async function answered(request) {
  const began = performance.now();
  const response = await fetch(request.url, request.options);
  const blob = await response.blob();
  const taken = Math.round(performance.now() - began);
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const type = response.headers.get("Content-Type") ?? "";
  return [
    command(request),
    element("p", {}, element("strong", {}, `${response.status} ${response.statusText}`),
      ` · ${blob.size.toLocaleString()} bytes · ${taken} ms`),
    element("details", {}, element("summary", {}, "Headers"), element("pre", {}, headers)),
    /json|^text\//.test(type) ? element("pre", {}, readable(await blob.text(), type)) : download(blob),
  ];
}

function readable(text, type) {
  let shown = text;
  if (/json/.test(type)) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // shown as it came
    }
  }
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}\n… and more` : shown;
}

function download(blob) {
  if (blob.size === 0) return null;
  return element("p", {}, element("a", { href: URL.createObjectURL(blob), download: "answer" }, "Keep the answer"));
}

// The same request for a terminal; the token stays out of it.
function command({ url, options }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl", "-i"];
  if (options.method !== "GET") parts.push("-X", options.method);
  for (const [name, value] of Object.entries(options.headers))
    parts.push("-H", name === "Authorization" ? '"Authorization: Bearer $TOKEN"' : quoted(`${name}: ${value}`));
  if (options.body !== undefined) parts.push("--data-binary", quoted(options.body));
  parts.push(quoted(url));
  return element("pre", {}, parts.join(" "));
}
