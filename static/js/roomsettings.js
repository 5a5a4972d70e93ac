/** One room's settings as a form: a field is called what the wire calls it. */

import { Channels } from "./channels.js";
import { part, say } from "./dom.js";

/**
 * @typedef {import("./api.js").Room} Room
 * @typedef {{text: string, field: HTMLElement}} Mistake
 *
 * @typedef {object} Field
 * @property {(value: any) => void} fill
 * @property {() => unknown} read  undefined: nothing is said of it
 * @property {() => string | null} [mistake]  what the server would refuse
 */

const SAVED_MS = 3000;
const LANGUAGES = "Captions are in languages like en, de or pt-BR.";
const MANY = "A number of people, or nothing for all of them.";

export class RoomSettings {
  #form;
  #channels;
  /** @type {Record<string, Field>} */
  #fields;
  /** What each field was last filled with: the same again touches nothing. @type {Record<string, string>} */
  #filled = {};
  /** What each field read then: one that reads otherwise is being edited, and not overwritten. @type {Record<string, string>} */
  #untouched = {};
  /** The channels as they were filled in: what the room lost meanwhile is not sent as "none". */
  #aired = "";

  /**
   * @param {HTMLFormElement} form
   * @param {string} roomId
   * @param {(change: object) => Promise<Room | null>} save  the room as it is then; null: it was not saved
   * @param {(mistake: string) => void} onMistake
   */
  constructor(form, roomId, save, onMistake) {
    this.#form = form;
    this.#channels = new Channels(part(form, "channels", HTMLElement), roomId);
    this.#fields = {
      name: text(form, "name"),
      pin: { ...text(form, "pin"), mistake: () => badPin(input(form, "pin").value.trim()) },
      profile: choice(form, "profile", "voice"),
      maxAnchors: number(form, "maxAnchors", null),
      loudest: number(form, "loudest", 0),
      automix: check(form, "automix", false),
      locked: check(form, "locked", false),
      broadcast: check(form, "broadcast", true),
      title: text(form, "title"),
      broadcastNames: check(form, "broadcastNames", false),
      radio: check(form, "radio", true),
      upload: upload(form),
      liveListeners: number(form, "liveListeners", null),
      captions: languages(form, "captions"),
      dvrSeconds: span(form, "dvrSeconds"),
      holdMusic: music(form),
      record: choice(form, "record", ""),
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const wrong = this.#mistake();
      if (wrong) {
        onMistake(wrong.text);
        return wrong.field.focus();
      }
      const change = this.#read();
      const room = await save(change);
      if (room) this.#saved(room, change);
    });
  }

  /**
   * Show the room as it is, but for what somebody has changed here and not saved.
   * @param {Room} room
   */
  fill(room) {
    for (const [name, field] of Object.entries(this.#fields)) {
      const value = /** @type {any} */ (room)[name];
      if (this.#isFilled(name, value) || this.#isEdited(name, field.read())) continue;
      field.fill(value);
      this.#note(name, value, field.read());
    }
    const { buses = [], broadcastBuses = [] } = room;
    const isSettled =
      this.#isFilled("broadcastBuses", broadcastBuses) || this.#isEdited("broadcastBuses", this.#channels.read());
    // A list of other buses is drawn anew in any case: what is not there any more cannot be saved.
    if (isSettled && this.#isFilled("buses", buses)) return;
    this.#channels.fill(buses, broadcastBuses);
    this.#note("buses", buses, buses);
    this.#note("broadcastBuses", broadcastBuses, this.#channels.read());
    this.#aired = JSON.stringify(this.#channels.read());
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  #isFilled(name, value) {
    return this.#filled[name] === JSON.stringify(value ?? null);
  }

  /**
   * @param {string} name
   * @param {unknown} read
   */
  #isEdited(name, read) {
    return name in this.#untouched && this.#untouched[name] !== JSON.stringify(read);
  }

  /**
   * @param {string} name
   * @param {unknown} value  as the room has it
   * @param {unknown} read
   */
  #note(name, value, read) {
    this.#filled[name] = JSON.stringify(value ?? null);
    this.#untouched[name] = JSON.stringify(read);
  }

  /** What shall be, as the wire has it. @returns {Record<string, unknown>} */
  #read() {
    const values = Object.entries(this.#fields).map(([name, field]) => [name, field.read()]);
    const change = Object.fromEntries(values.filter(([, value]) => value !== undefined));
    const aired = this.#channels.read();
    return JSON.stringify(aired) === this.#aired ? change : { ...change, broadcastBuses: aired };
  }

  /** @returns {Mistake | null} */
  #mistake() {
    for (const [name, field] of Object.entries(this.#fields)) {
      const wrong = field.mistake?.();
      if (wrong) return { text: wrong, field: input(this.#form, name) };
    }
    return this.#channels.mistake();
  }

  /**
   * @param {Room} room
   * @param {Record<string, unknown>} change  what was sent
   */
  #saved(room, change) {
    for (const [name, value] of Object.entries(change)) this.#untouched[name] = JSON.stringify(value);
    this.fill(room);
    const word = part(this.#form, "saved", HTMLElement);
    say(word, "Saved");
    setTimeout(() => say(word, ""), SAVED_MS);
  }
}

// Kinds of fields -----------------------------------------------------------

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
const input = (form, name) => part(form, name, HTMLInputElement);

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Field}
 */
function text(form, name) {
  const field = input(form, name);
  return {
    fill: (value) => (field.value = value ?? ""),
    read: () => field.value.trim(),
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {number | null} none  what an empty field stands for
 * @returns {Field}
 */
function number(form, name, none) {
  const field = input(form, name);
  return {
    fill: (value) => (field.value = String((value === none ? "" : value) ?? "")),
    read: () => (field.value.trim() === "" ? none : Number(field.value.trim())),
    mistake: () => (/^\d*$/.test(field.value.trim()) ? null : MANY),
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {boolean} usual
 * @returns {Field}
 */
function check(form, name, usual) {
  const field = input(form, name);
  return {
    fill: (value) => (field.checked = value ?? usual),
    read: () => field.checked,
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {string} usual  "" is null on the wire
 * @returns {Field}
 */
function choice(form, name, usual) {
  const field = part(form, name, HTMLSelectElement);
  return {
    fill: (value) => (field.value = value ?? usual),
    read: () => field.value || null,
  };
}

/**
 * A choice of seconds, with whatever else the room was given by another way.
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Field}
 */
function span(form, name) {
  const field = part(form, name, HTMLSelectElement);
  return {
    fill: (value) => {
      const wanted = String(value ?? "");
      if (![...field.options].some((one) => one.value === wanted)) field.add(new Option(`${wanted} seconds`, wanted));
      field.value = wanted;
    },
    read: () => (field.value === "" ? null : Number(field.value)),
  };
}

/**
 * Whether the room is uploaded: null where the server uploads nothing, and then nobody is asked.
 * @param {HTMLFormElement} form
 * @returns {Field}
 */
function upload(form) {
  const box = part(form, "upload-field", HTMLElement);
  const field = input(form, "upload");
  return {
    fill: (value) => {
      box.hidden = typeof value !== "boolean";
      field.checked = value ?? true;
    },
    read: () => (box.hidden ? undefined : field.checked),
  };
}

/**
 * Tags of languages, with commas or spaces between them.
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Field}
 */
function languages(form, name) {
  const field = input(form, name);
  const read = () => field.value.split(/[\s,;]+/).filter(Boolean);
  return {
    fill: (value) => (field.value = (value ?? []).join(", ")),
    read,
    mistake: () => (read().every((one) => /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,2}$/.test(one)) ? null : LANGUAGES),
  };
}

/**
 * Hold music: null is as the server says, "" silence, else a file.
 * @param {HTMLFormElement} form
 * @returns {Field}
 */
function music(form) {
  const kind = part(form, "hold", HTMLSelectElement);
  const file = input(form, "holdMusic");
  const ask = () => (part(form, "hold-field", HTMLElement).hidden = kind.value !== "file");
  kind.addEventListener("change", ask);
  const isUnnamed = () => kind.value === "file" && file.value.trim() === "";
  return {
    fill: (value) => {
      kind.value = value ? "file" : value === "" ? "silence" : "";
      file.value = value ?? "";
      ask();
    },
    read: () => (kind.value === "" ? null : kind.value === "silence" ? "" : file.value.trim()),
    mistake: () =>
      isUnnamed() ? "Name a file of the server's folder of sounds, or let listeners hear silence." : null,
  };
}

/** @param {string} pin */
function badPin(pin) {
  const isFit = pin === "" || /^[A-Za-z0-9]{6}$/.test(pin);
  return isFit ? null : "A PIN is exactly six letters or digits. Leave it empty for none.";
}
