// JSON schemas, as people read them: a type in a few words, and its fields one below the other.

import { element, phrase } from "./dom.js";

const DEEP = 1; // fields deeper than this are folded

const LIMITS = {
  minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<",
  minLength: "characters ≥", maxLength: "characters ≤", minItems: "items ≥", maxItems: "items ≤",
  pattern: "matches",
};

export class Schemas {
  constructor(components) {
    this.components = components;
  }

  // The schema itself, or the component it refers to, and that one's name.
  resolve(schema) {
    const name = schema.$ref?.split("/").pop();
    return name === undefined ? [schema, undefined] : [this.components[name], name];
  }

  // The type in a few words.
  words(schema) {
    const [whole, name] = this.resolve(schema);
    if (whole.anyOf) return whole.anyOf.map((each) => this.words(each)).join(" or ");
    if (whole.allOf) return whole.allOf.map((each) => this.words(each)).filter(Boolean).join(" and ");
    if (name !== undefined && whole.type === "object") return name;
    if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(" | ");
    if ("const" in whole) return JSON.stringify(whole.const);
    if (whole.prefixItems) return `[${whole.prefixItems.map((each) => this.words(each)).join(", ")}]`;
    if (whole.type === "array") return `list of ${this.words(whole.items ?? {}) || "anything"}`;
    if (whole.type === "object" && typeof whole.additionalProperties === "object")
      return `object of ${this.words(whole.additionalProperties) || "anything"}`;
    return [whole.type, whole.format && `(${whole.format})`].filter(Boolean).join(" ");
  }

  // Limits, default and examples in a few words.
  limits(schema) {
    const [whole] = this.resolve(schema);
    const said = Object.entries(LIMITS)
      .filter(([rule]) => rule in whole)
      .map(([rule, sign]) => `${sign} ${whole[rule]}`);
    if ("default" in schema) said.push(`default ${JSON.stringify(schema.default)}`);
    for (const example of whole.examples ?? []) said.push(`such as ${JSON.stringify(example)}`);
    return said.join(", ");
  }

  // The objects within a schema: itself, those in a list, those to choose from.
  objects(schema) {
    const [whole, name] = this.resolve(schema);
    if (whole.properties) return [[whole, name]];
    const inner = [...(whole.anyOf ?? []), ...(whole.allOf ?? []), ...(whole.prefixItems ?? [])];
    if (whole.items) inner.push(whole.items);
    if (typeof whole.additionalProperties === "object") inner.push(whole.additionalProperties);
    return inner.flatMap((each) => this.objects(each));
  }

  // All of a schema; an object within itself is named and not repeated.
  view(schema, within = []) {
    const head = element("p", {}, element("code", {}, this.words(schema) || "anything"), " ",
      phrase(this.limits(schema)));
    return [head, ...this.fields(schema, within)];
  }

  fields(schema, within) {
    return this.objects(schema).flatMap(([whole, name]) => {
      if (name !== undefined && within.includes(name)) return [];
      const path = [...within, name];
      const required = new Set(whole.required ?? []);
      const rows = Object.entries(whole.properties).map(([field, each]) =>
        this.field(field, each, required.has(field), path));
      const title = this.objects(schema).length > 1 ? [element("p", {}, element("code", {}, name ?? "object"))] : [];
      return [...title, element("ul", { class: "fields" }, rows)];
    });
  }

  field(name, schema, required, path) {
    const line = [
      element("code", { class: required ? "required" : null }, name), " ",
      element("code", { class: "soft" }, this.words(schema)), " ",
      phrase([schema.description, this.limits(schema)].filter(Boolean).join(" · ")),
    ];
    const inner = this.fields(schema, path);
    if (inner.length === 0) return element("li", {}, line);
    return element("li", {},
      element("details", { open: path.length <= DEEP }, element("summary", {}, line), inner));
  }

  // A value that fits, to begin with: what is required, and what the schema shows of it.
  example(schema, within = []) {
    const [whole, name] = this.resolve(schema);
    if (whole.examples) return whole.examples[0];
    if ("default" in whole) return whole.default;
    if ("const" in whole) return whole.const;
    if (whole.enum) return whole.enum[0];
    if (whole.anyOf) return this.example(whole.anyOf[0], within);
    if (whole.properties) {
      if (name !== undefined && within.includes(name)) return {};
      const required = new Set(whole.required ?? []);
      return Object.fromEntries(Object.entries(whole.properties)
        .filter(([field]) => required.has(field))
        .map(([field, each]) => [field, this.example(each, [...within, name])]));
    }
    if (whole.type === "array") return [this.example(whole.items ?? {}, within)];
    return { integer: whole.minimum ?? 1, number: whole.minimum ?? 1, boolean: false, object: {} }[whole.type] ?? "";
  }
}
