/** The captions of a call: what the server tells of what is said now, for whoever wants to read it. */

import { Captions } from "./captions.js";

const LEAST_MS = 2000; // one that comes late is shown so long, as on air

/**
 * @typedef {object} Caption  as the server tells it
 * @property {string} language
 * @property {string} text
 * @property {number} startsInMs  below 0 it is late
 * @property {number} durationMs
 */

export class CallCaptions {
  #ask;
  #captions;
  /** @type {string[]} */
  #languages = [];
  #chosen = "";
  #told = "";
  /** Those that are shown now. @type {{text: string}[]} */
  #shown = [];

  /** @param {(method: string, params: object) => Promise<unknown>} ask */
  constructor(ask) {
    this.#ask = ask;
    this.#captions = new Captions({
      languages: () => this.#languages.map((language) => ({ language, isChosen: language === this.#chosen })),
      choose: (language) => this.#choose(language),
      reading: () => ({ language: this.#chosen, lines: this.#shown.map(({ text }) => text) }),
    });
  }

  /**
   * What can be read from now on, at each join and change; nothing outside the room.
   * @param {string[]} languages
   */
  offer(languages) {
    this.#languages = languages;
    this.#tell();
    this.#captions.draw();
  }

  /** @param {Caption} caption */
  add({ language, text, startsInMs, durationMs }) {
    const wait = Math.max(0, startsInMs);
    const stays = Math.max(startsInMs + durationMs - wait, Math.min(durationMs, LEAST_MS));
    setTimeout(() => this.#show(language, { text }, stays), wait);
  }

  /** @param {string} language */
  #choose(language) {
    this.#chosen = language;
    this.#shown = [];
    this.#tell();
  }

  /** The server forgets who is gone, so it is told at each join. */
  #tell() {
    const language = this.#languages.includes(this.#chosen) ? this.#chosen : "";
    if (this.#languages.length > 0 && (language || this.#told))
      this.#ask("readCaptions", language ? { language } : {}).catch(() => undefined); // the next join asks again
    this.#told = language;
  }

  /**
   * @param {string} language
   * @param {{text: string}} line
   * @param {number} ms
   */
  #show(language, line, ms) {
    if (language !== this.#chosen) return; // they read something else meanwhile, or nothing
    this.#shown.push(line);
    this.#captions.drawText();
    setTimeout(() => {
      this.#shown = this.#shown.filter((one) => one !== line);
      this.#captions.drawText();
    }, ms);
  }
}
