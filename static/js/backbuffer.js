/**
 * What was played is let go of while nothing is being loaded.
 *
 * hls.js 1.7 would do that whenever the next segment begins to play. If a part is just being appended
 * then, it takes the parts before it for lost, and loads nothing more until they have left the
 * playlist: a hole of five seconds.
 */

import Hls from "../vendor/hls.mjs";

const KEPT_S = 30;
const MOST_S = 60;
const IDLE = new Set(["IDLE", "STOPPED"]); // as hls.js calls it; STOPPED: there is no such track

export class BackBuffer {
  #hls;
  #keptS;
  #mostS;

  /**
   * Look after the buffer of a player whose `backBufferLength` is infinite.
   * @param {Hls} hls
   * @param {{keptS?: number, mostS?: number}} [options]  how much is left, once there is more than the most
   */
  constructor(hls, { keptS = KEPT_S, mostS = MOST_S } = {}) {
    this.#hls = hls;
    this.#keptS = keptS;
    this.#mostS = mostS;
    hls.on(Hls.Events.FRAG_BUFFERED, () => this.#trim());
  }

  #trim() {
    const { media, inFlightFragments } = this.#hls;
    const isIdle = Object.values(inFlightFragments).every((one) => !one || IDLE.has(one.state));
    if (!media?.buffered.length || !isIdle) return;
    if (media.currentTime - media.buffered.start(0) < this.#mostS) return;
    const endOffset = media.currentTime - this.#keptS;
    this.#hls.trigger(Hls.Events.BUFFER_FLUSHING, { startOffset: 0, endOffset, type: "audio" });
  }
}
