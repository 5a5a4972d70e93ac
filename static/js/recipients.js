/** Whom a message is for: everybody, or one person, who stays chosen until another is. */

import { say } from "./dom.js";

const MAX_WRITERS = 20; // of those who are not on the stage: nobody tells who is still there

export class Recipients {
  #select;
  #me;
  /** @type {Map<string, string>} */
  #present = new Map();
  /** @type {Map<string, string>} */
  #writers = new Map();

  /**
   * @param {HTMLSelectElement} select  with one option: everybody
   * @param {() => string} me  this page's person
   */
  constructor(select, me) {
    this.#select = select;
    this.#me = me;
  }

  /** Who it is for; null: everybody. */
  get chosen() {
    return this.#select.value || null;
  }

  /** Whether there is anybody to choose. */
  get any() {
    return this.#select.options.length > 1;
  }

  /** @param {string} userId */
  name(userId) {
    return this.#present.get(userId) || this.#writers.get(userId) || "Guest";
  }

  /** @param {Iterable<{ userId: string, displayName?: string }>} people  those on the stage */
  present(people) {
    this.#present = new Map([...people].map(({ userId, displayName }) => [userId, displayName ?? ""]));
    this.#draw();
  }

  /**
   * Somebody wrote, who may be anywhere.
   * @param {string} userId
   * @param {string} name
   */
  wrote(userId, name) {
    this.#writers.delete(userId);
    this.#writers.set(userId, name);
    if (this.#writers.size > MAX_WRITERS) this.#writers.delete([...this.#writers.keys()][0] ?? "");
    this.#draw();
  }

  /** Begin anew; who is on the stage is told apart from this. */
  clear() {
    this.#writers.clear();
    this.#select.value = "";
    this.#draw();
  }

  #draw() {
    const chosen = this.#select.value;
    const known = new Set([...this.#present.keys(), ...this.#writers.keys(), chosen]);
    known.delete("");
    known.delete(this.#me());
    const wanted = [...known]
      .map((userId) => ({ userId, name: `${this.name(userId)} alone` }))
      .sort((one, other) => one.name.localeCompare(other.name));
    const options = [...this.#select.options].slice(1);
    if (wanted.every(({ userId }, n) => options[n]?.value === userId) && options.length === wanted.length) {
      wanted.forEach(({ name }, n) => say(/** @type {HTMLOptionElement} */ (options[n]), name));
      return; // as it was: an open list is not disturbed
    }
    for (const option of options) option.remove();
    for (const { userId, name } of wanted) this.#select.append(new Option(name, userId));
    this.#select.value = chosen;
  }
}
