/** What of a room listeners can choose among: its buses, each with a language and a label. */

import { fromTemplate, part, say } from "./dom.js";

/** @typedef {{bus: string, language: string, label: string}} AirBus */

const FLOOR = "floor"; // what everybody speaks to who was not sent elsewhere
const MOST = 8;
const LANGUAGE = /^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3})?$/; // RFC 5646, roughly, as the server checks it

/** @type {readonly AirBus[]} */
const FLOOR_ALONE = [{ bus: FLOOR, language: "", label: "" }];

export class Channels {
  #list;
  #group;
  /** @type {Row[]} */
  #rows = [];

  /**
   * @param {HTMLElement} list
   * @param {string} group  a word of this room's own, for its radio buttons
   */
  constructor(list, group) {
    this.#list = list;
    this.#group = group;
  }

  /**
   * Show a room's buses, those on air first and in their order.
   * @param {readonly string[]} buses  beside the floor
   * @param {readonly AirBus[]} onAir  none: the floor alone
   */
  fill(buses, onAir) {
    const known = [FLOOR, ...buses];
    const aired = (onAir.length > 0 ? onAir : FLOOR_ALONE).filter(({ bus }) => known.includes(bus));
    const silent = known.filter((name) => !aired.some(({ bus }) => bus === name));
    this.#rows = [
      ...aired.map((one) => new Row(one, this.#group, { isOnAir: true })),
      ...silent.map((bus) => new Row({ bus, language: "", label: "" }, this.#group, { isOnAir: false })),
    ];
    const first = this.#rows.find(({ isOnAir }) => isOnAir) ?? this.#rows[0];
    if (first) first.isFirst = true;
    this.#list.classList.toggle("alone", this.#rows.length === 1); // there is nothing to choose
    this.#list.replaceChildren(...this.#rows.map(({ element }) => element));
  }

  /** What is ticked as the wire has it, the one that is played unasked first. @returns {AirBus[]} */
  read() {
    const ticked = this.#rows.filter(({ isOnAir }) => isOnAir);
    ticked.sort((one, other) => Number(other.isFirst) - Number(one.isFirst));
    const found = ticked.map(({ bus }) => bus);
    return JSON.stringify(found) === JSON.stringify(FLOOR_ALONE) ? [] : found;
  }

  /**
   * The first thing the server would refuse.
   * @returns {{text: string, field: HTMLElement} | null}
   */
  mistake() {
    const ticked = this.#rows.filter(({ isOnAir }) => isOnAir);
    const [floor] = this.#rows;
    if (ticked.length === 0 && floor)
      return { text: "Tick what listeners hear: one channel at least.", field: floor.tick };
    const many = ticked[MOST];
    if (many) return { text: `Up to ${MOST} channels can be on air.`, field: many.tick };
    const foreign = ticked.find(({ bus }) => !LANGUAGE.test(bus.language));
    if (foreign) return { text: "A language is a tag such as fr or pt-BR, or nothing.", field: foreign.language };
    const quoted = ticked.find(({ bus }) => bus.label.includes('"'));
    return quoted ? { text: "A label has no quotation marks.", field: quoted.label } : null;
  }
}

class Row {
  #name;
  #first;
  element = fromTemplate("channel-template");

  /**
   * @param {AirBus} bus
   * @param {string} group
   * @param {{isOnAir: boolean}} state
   */
  constructor({ bus, language, label }, group, { isOnAir }) {
    this.#name = bus;
    this.tick = part(this.element, "on-air", HTMLInputElement);
    this.language = part(this.element, "language", HTMLInputElement);
    this.label = part(this.element, "label", HTMLInputElement);
    this.#first = part(this.element, "first", HTMLInputElement);
    say(part(this.element, "bus", HTMLElement), bus);
    this.tick.checked = isOnAir;
    this.language.value = language;
    this.label.value = label;
    this.#first.name = `first-of-${group}`;
    this.#first.setAttribute("aria-label", `Played first: ${bus}`);
    this.language.setAttribute("aria-label", `Language of ${bus}`);
    this.label.setAttribute("aria-label", `What listeners see of ${bus}`);
    this.tick.addEventListener("change", () => this.#draw());
    this.#draw();
  }

  get bus() {
    return { bus: this.#name, language: this.language.value.trim(), label: this.label.value.trim() };
  }
  get isOnAir() {
    return this.tick.checked;
  }
  get isFirst() {
    return this.#first.checked;
  }
  set isFirst(isFirst) {
    this.#first.checked = isFirst;
  }

  /** What is not on air has no language, label or place. */
  #draw() {
    for (const field of [this.language, this.label, this.#first]) field.disabled = !this.isOnAir;
  }
}
