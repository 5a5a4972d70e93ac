/** The interface page: `/openapi.json` as calls to read and to send. */

import { byId, fromTemplate, part, say, show } from "./dom.js";
import { RequestBody } from "./requestbody.js";

/**
 * @typedef {object} Parameter
 * @property {string} name
 * @property {"path" | "query" | "header"} in
 * @property {boolean} required
 * @property {unknown} [example]
 *
 * @typedef {object} Operation
 * @property {string} summary
 * @property {string[]} tags
 * @property {object[]} security
 * @property {Parameter[]} [parameters]
 * @property {{ content: Record<string, import("./requestbody.js").Media> }} [requestBody]
 * @property {Record<string, { description: string }>} responses
 *
 * @typedef {object} Description
 * @property {{ name: string }[]} tags
 * @property {Record<string, Record<string, Operation>>} paths
 * @property {{ schemas: Record<string, unknown> }} components
 */

const LONGEST = 100_000; // characters of an answer that are shown

/** @param {Operation} operation */
function needs(operation) {
  const free = operation.security.some((one) => Object.keys(one).length === 0);
  if (!free) return "Needs the admin.";
  return operation.security.length > 1 ? "Needs the admin, a token, or an invite." : "Open to everybody.";
}

/**
 * The address with what was typed into the form.
 * @param {string} path
 * @param {Parameter[]} parameters
 * @param {Map<string, HTMLInputElement>} inputs
 */
function address(path, parameters, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, in: where } of parameters) {
    const value = inputs.get(name)?.value ?? "";
    if (where === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value));
    else if (where === "query" && value) query.set(name, value);
  }
  return query.size ? `${filled}?${query}` : filled;
}

/** @param {Response} response */
async function told(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) return "(a stream)";
  if (!/json|text|mpegurl/.test(type)) return `(${(await response.arrayBuffer()).byteLength} bytes of ${type || "nothing"})`;
  const text = await response.text();
  if (!type.includes("json")) return text.slice(0, LONGEST);
  try {
    return JSON.stringify(JSON.parse(text), null, 2).slice(0, LONGEST);
  } catch {
    return text.slice(0, LONGEST);
  }
}

/**
 * @param {HTMLElement} call
 * @param {string} method
 * @param {string} where
 * @param {{ type: string | null, body: BodyInit } | null} made
 */
async function send(call, method, where, made) {
  const button = part(call, "send", HTMLButtonElement);
  const headers = new Headers();
  const key = byId("key", HTMLInputElement).value.trim();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  if (made?.type) headers.set("Content-Type", made.type);
  button.disabled = true;
  part(call, "answer", HTMLElement).hidden = false;
  say(part(call, "status", HTMLElement), "One moment…");
  try {
    const began = performance.now();
    const response = await fetch(where, { method, headers, body: made?.body ?? null });
    say(part(call, "text", HTMLElement), (await told(response)) || "(nothing)");
    const took = Math.round(performance.now() - began);
    say(part(call, "status", HTMLElement), `${response.status} ${response.statusText} in ${took} ms`);
  } catch (error) {
    say(part(call, "status", HTMLElement), "The server could not be reached");
    say(part(call, "text", HTMLElement), String(error));
  } finally {
    button.disabled = false;
  }
}

/**
 * @param {HTMLElement} call
 * @param {Parameter[]} parameters
 * @param {string} id
 */
function fillPlaces(call, parameters, id) {
  /** @type {Map<string, HTMLInputElement>} */
  const inputs = new Map();
  const box = part(call, "places", HTMLElement);
  for (const one of parameters) {
    if (one.in === "header") continue;
    const field = fromTemplate("place");
    const label = part(field, "label", HTMLLabelElement);
    const input = part(field, "input", HTMLInputElement);
    input.id = label.htmlFor = `${id}-${one.name}`;
    say(label, one.required ? one.name : `${one.name} (may be empty)`);
    if (one.required && typeof one.example === "string") input.value = one.example;
    inputs.set(one.name, input);
    box.append(field);
  }
  return inputs;
}

/**
 * A schema with what it refers to written out, two levels deep.
 * @param {unknown} schema
 * @param {Record<string, unknown>} known
 * @param {number} [depth]
 * @returns {unknown}
 */
function resolved(schema, known, depth = 0) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, known, depth));
  if (schema === null || typeof schema !== "object") return schema;
  const name = /** @type {{ $ref?: string }} */ (schema).$ref?.split("/").pop();
  if (name !== undefined) return depth > 3 ? name : resolved(known[name], known, depth + 1);
  return Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, resolved(one, known, depth)]));
}

/**
 * @param {string} path
 * @param {string} method
 * @param {Operation} operation
 * @param {Record<string, unknown>} known
 */
function callOf(path, method, operation, known) {
  const call = fromTemplate("call");
  const id = `${method}-${path}`.replace(/[^a-z0-9]+/gi, "-");
  const parameters = operation.parameters ?? [];
  say(part(call, "method", HTMLElement), method);
  part(call, "method", HTMLElement).dataset.method = method;
  say(part(call, "path", HTMLElement), path);
  say(part(call, "summary", HTMLElement), operation.summary);
  say(part(call, "needs", HTMLElement), needs(operation));
  const inputs = fillPlaces(call, parameters, id);
  const content = operation.requestBody?.content;
  const body = content
    ? new RequestBody(part(call, "body-field", HTMLElement), content, id, (kind) => {
        const schema = resolved(content[kind]?.schema, known);
        say(part(call, "schema", HTMLElement), JSON.stringify(schema, null, 2));
      })
    : null;
  if (path === "/ws") {
    part(call, "send", HTMLButtonElement).hidden = true;
    show(part(call, "cannot", HTMLElement), "A WebSocket: a page cannot show it as one answer.");
  }
  for (const [status, { description }] of Object.entries(operation.responses)) {
    const name = document.createElement("dt");
    const what = document.createElement("dd");
    name.textContent = status;
    what.textContent = description;
    part(call, "answers", HTMLElement).append(name, what);
  }
  const form = /** @type {HTMLFormElement} */ (call.querySelector("form"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(call, method, address(path, parameters, inputs), body?.made() ?? null);
  });
  call.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  return call;
}

/** @param {Description} description */
function draw(description) {
  const box = byId("calls", HTMLElement);
  for (const { name } of description.tags) {
    const group = fromTemplate("group");
    say(part(group, "name", HTMLElement), name.charAt(0).toUpperCase() + name.slice(1));
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] !== name) continue;
        const call = callOf(path, method.toUpperCase(), operation, description.components.schemas);
        part(group, "calls", HTMLElement).append(call);
      }
    }
    box.append(group);
  }
  box.removeAttribute("aria-busy");
}

function filter() {
  const wanted = byId("filter", HTMLInputElement).value.trim().toLowerCase();
  let count = 0;
  for (const group of byId("calls", HTMLElement).children) {
    let shown = 0;
    for (const call of group.querySelectorAll("details.call")) {
      const fits = call instanceof HTMLElement && (call.dataset.words ?? "").includes(wanted);
      /** @type {HTMLElement} */ (call).hidden = !fits;
      if (fits) shown += 1;
    }
    /** @type {HTMLElement} */ (group).hidden = shown === 0;
    count += shown;
  }
  say(byId("found", HTMLElement), count === 1 ? "1 call" : `${count} calls`);
}

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`${response.status}`);
  draw(await response.json());
  filter();
  byId("filter", HTMLInputElement).addEventListener("input", filter);
} catch {
  show(byId("trouble", HTMLElement), "The document could not be read. Reload the page to try again.");
}
