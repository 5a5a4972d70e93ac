/** How far a server's clock is ahead of ours, from the `Date` of its answers: whole seconds, but many. */

export class ServerClock {
  #least = -Infinity;
  #most = Infinity;

  /** Milliseconds; 0 as long as the two may agree, else the least that explains every answer. */
  get aheadMs() {
    return Math.min(Math.max(0, this.#least), this.#most);
  }

  /**
   * An answer whose `Date` is `dateMs`, asked for at `beganMs` and here at `cameMs` of our clock.
   * @param {number} dateMs
   * @param {number} beganMs
   * @param {number} cameMs
   */
  note(dateMs, beganMs, cameMs) {
    const least = dateMs - cameMs;
    const most = dateMs + 1000 - beganMs;
    if (least > this.#most || most < this.#least) {
      // One of the clocks was set.
      this.#least = least;
      this.#most = most;
    } else {
      this.#least = Math.max(this.#least, least);
      this.#most = Math.min(this.#most, most);
    }
  }
}
