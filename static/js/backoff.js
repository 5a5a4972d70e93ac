/** How long to wait before trying again, so that a crowd does not come back at once. */

/**
 * 0.5, 1, 2, 4, 8, 8 … seconds, each stretched or shortened by up to a quarter.
 * @param {number} attempt  from 0
 * @param {number} [random]  0..1
 * @returns {number} milliseconds
 */
export function backoffMs(attempt, random = Math.random()) {
  return 500 * 2 ** Math.min(attempt, 4) * (0.75 + random / 2);
}

/**
 * The server's own wish, never earlier and up to half as long again.
 * @param {number} wishedMs
 * @param {number} [random]  0..1
 * @returns {number} milliseconds
 */
export function noEarlierThan(wishedMs, random = Math.random()) {
  return Math.max(0, wishedMs) * (1 + random / 2);
}

/** A wait that can be cut short. */
export class Pause {
  #wake = () => {};

  /** @param {number} ms */
  wait(ms) {
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      })
    );
  }

  wake() {
    this.#wake();
  }
}
