/** The body of one call on the interface page: text, a file, or a form, as the document has it. */

import { fromTemplate, part, say } from "./dom.js";

/**
 * @typedef {object} Schema
 * @property {string} [type]
 * @property {string} [format]
 * @property {string[]} [required]
 * @property {Record<string, Schema>} [properties]
 *
 * @typedef {object} Media
 * @property {Schema & { $ref?: string }} [schema]
 * @property {unknown} [example]
 */

export const JSON_TYPE = "application/json";
const FORM_TYPE = "multipart/form-data";

export class RequestBody {
  #root;
  #content;
  #id;
  #kind;
  #text;
  /** @type {Map<string, HTMLInputElement>} */
  #fields = new Map();

  /**
   * @param {HTMLElement} root  the part of the call that is about its body
   * @param {Record<string, Media>} content
   * @param {string} id  what the ids of its fields begin with
   * @param {(kind: string) => void} changed  told which kind is chosen
   */
  constructor(root, content, id, changed) {
    this.#root = root;
    this.#content = content;
    this.#id = id;
    this.#text = part(root, "body", HTMLTextAreaElement);
    this.#kind = part(root, "kind", HTMLSelectElement);
    this.#text.id = part(root, "body-label", HTMLLabelElement).htmlFor = `${id}-body`;
    this.#kind.id = part(root, "kind-label", HTMLLabelElement).htmlFor = `${id}-kind`;
    const kinds = Object.keys(content).sort((one, other) => Number(other === JSON_TYPE) - Number(one === JSON_TYPE));
    for (const kind of kinds) this.#kind.append(new Option(kind, kind));
    part(root, "kind-field", HTMLElement).hidden = kinds.length < 2;
    root.hidden = false;
    this.#kind.addEventListener("change", () => this.#draw(changed));
    this.#draw(changed);
  }

  /**
   * What to send; a form says its own type, with the boundary.
   * @returns {{ type: string | null, body: BodyInit }}
   */
  made() {
    const kind = this.#kind.value;
    if (kind === FORM_TYPE) return { type: null, body: this.#form() };
    const file = this.#fields.get("")?.files?.[0];
    if (this.#isFile(kind)) return { type: file?.type || kind, body: file ?? "" };
    return { type: kind, body: this.#text.value };
  }

  #form() {
    const form = new FormData();
    for (const [name, input] of this.#fields) {
      if (input.type !== "file" && input.value) form.append(name, input.value);
    }
    for (const [name, input] of this.#fields) {
      for (const file of input.files ?? []) form.append(name, file);
    }
    return form;
  }

  /** @param {string} kind */
  #isFile(kind) {
    return this.#content[kind]?.schema?.format === "binary";
  }

  /** @param {(kind: string) => void} changed */
  #draw(changed) {
    const kind = this.#kind.value;
    const media = this.#content[kind];
    const box = part(this.#root, "fields", HTMLElement);
    box.replaceChildren();
    this.#fields.clear();
    const isText = kind !== FORM_TYPE && !this.#isFile(kind);
    part(this.#root, "text-field", HTMLElement).hidden = !isText;
    say(part(this.#root, "body-label", HTMLLabelElement), kind === JSON_TYPE ? "Body (JSON)" : `Body (${kind})`);
    if (kind === JSON_TYPE) this.#text.value = JSON.stringify(media?.example ?? {}, null, 2);
    else if (isText) this.#text.value = "";
    else if (kind === FORM_TYPE) this.#drawForm(box, media?.schema ?? {});
    else this.#drawField(box, "", "The file", true);
    changed(kind);
  }

  /**
   * @param {HTMLElement} box
   * @param {Schema} schema
   */
  #drawForm(box, schema) {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const label = schema.required?.includes(name) ? name : `${name} (may be empty)`;
      this.#drawField(box, name, label, field.format === "binary");
    }
  }

  /**
   * @param {HTMLElement} box
   * @param {string} name
   * @param {string} words
   * @param {boolean} isFile
   */
  #drawField(box, name, words, isFile) {
    const field = fromTemplate("place");
    const label = part(field, "label", HTMLLabelElement);
    const input = part(field, "input", HTMLInputElement);
    if (isFile) input.type = "file";
    input.id = label.htmlFor = `${this.#id}-field-${name}`;
    say(label, words);
    this.#fields.set(name, input);
    box.append(field);
  }
}
