/** How fast a live player plays, so that it keeps its distance from the edge: the two clocks differ. */

const SMOOTHING = 0.2; // at four looks a second what a late playlist adds is gone after one
const TOO_FAR_S = 0.08; // away from where it should be
const NEAR_S = 0.01;
const FAR_S = 0.6;
/** The rates; the tempo of music changes by more in any performance. */
const RATES = { gently: 1.02, faster: 1.06, slower: 0.98 };

export class Pace {
  /** @type {number | null} */
  #mean = null;
  #rate = 1;

  /** The mean of what was said lately, in seconds; null before the first. */
  get excessS() {
    return this.#mean;
  }

  /** After a seek: what was before says nothing. */
  reset() {
    this.#mean = null;
    this.#rate = 1;
  }

  /**
   * Say how much further from the edge than wanted the player is; negative: too close.
   * @param {number} excessS
   * @returns {number} the playback rate from now on
   */
  next(excessS) {
    this.#mean = this.#mean === null ? excessS : this.#mean + SMOOTHING * (excessS - this.#mean);
    const mean = this.#mean;
    const isThere = this.#rate > 1 ? mean < NEAR_S : mean > -NEAR_S;
    if (this.#rate !== 1 && isThere) this.#rate = 1;
    if (mean > FAR_S) this.#rate = RATES.faster;
    else if (this.#rate === RATES.faster || (this.#rate === 1 && mean > TOO_FAR_S)) this.#rate = RATES.gently;
    else if (this.#rate === 1 && mean < -TOO_FAR_S) this.#rate = RATES.slower;
    return this.#rate;
  }
}
