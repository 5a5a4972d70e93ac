/** How loud this page's person wants to hear each of the others, for their own ears only. */

const SEND_MS = 100; // a slider that is dragged says more than the server need hear

/** @typedef {{gainDb: number, muted: boolean}} Volume */

/** @type {Volume} */
export const AS_ALL = Object.freeze({ gainDb: 0, muted: false });

export class Volumes {
  #send;
  /** All that was asked for, back to usual too: the server may have missed it. @type {Map<string, Volume>} */
  #wanted = new Map();
  /** Who is to be told to the server when the time has come. @type {Set<string>} */
  #due = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(userId: string, volume: Volume) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {string} userId
   * @returns {Volume}
   */
  get(userId) {
    return this.#wanted.get(userId) ?? AS_ALL;
  }

  /**
   * Hear somebody so from now on; the server is told at once, then ten times a second at most.
   * @param {string} userId
   * @param {Volume} volume
   */
  set(userId, volume) {
    this.#wanted.set(userId, volume);
    this.#due.add(userId);
    if (this.#timer === undefined) this.#flush();
  }

  /** Say everything again: the server knows nothing of an earlier stay, nor of what was said to a broken line. */
  repeat() {
    for (const [userId, volume] of this.#wanted) this.#send(userId, volume);
    this.#due.clear();
  }

  #flush() {
    this.#timer = undefined;
    if (this.#due.size === 0) return;
    for (const userId of this.#due) this.#send(userId, this.get(userId));
    this.#due.clear();
    this.#timer = setTimeout(() => this.#flush(), SEND_MS);
  }
}
