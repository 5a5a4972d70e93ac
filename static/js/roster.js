/** The list of people, kept up to date by changes (docs/protocol.md, “People”). */

/** @typedef {import("./calloptions.js").Person} Person */

export class Roster {
  #version = -1;
  /** @type {Map<string, Person>} */
  #people = new Map();

  get list() {
    return [...this.#people.values()];
  }

  /**
   * Begin anew with a whole list.
   * @param {{version: number, snapshot: Person[]}} told
   */
  reset({ version, snapshot }) {
    this.#version = version;
    this.#people = new Map(snapshot.map((one) => [one.userId, one]));
  }

  /**
   * Apply one change.
   * @param {{version: number, changes: (Person & {gone?: boolean})[]}} told
   * @returns {boolean} false if something was missed in between: ask for the whole list
   */
  apply({ version, changes }) {
    if (version <= this.#version) return true; // a list asked for meanwhile had it already
    if (version !== this.#version + 1) return false;
    this.#version = version;
    for (const one of changes) {
      if (one.gone) this.#people.delete(one.userId);
      else this.#people.set(one.userId, one);
    }
    return true;
  }
}
