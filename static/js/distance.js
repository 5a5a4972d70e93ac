/** How far from the edge of a live stream a player is, and how it comes to be where it should be. */

import { Pace } from "./pace.js";

/** @typedef {import("../vendor/hls.mjs").default} Hls */

const JUMP_S = 3; // catching up by playing faster would take a minute
const SETTLE_MS = 3_000; // who has just begun to hear does not miss what is skipped
const CALM_MS = 60_000; // without a hole: the distance that holes have added shrinks again

export class Distance {
  #audio;
  #pace = new Pace();
  #stalls = 0;
  #stalledAt = 0;

  /** @param {HTMLAudioElement} audio */
  constructor(audio) {
    this.#audio = audio;
  }

  /** How often the sound ran out since the beginning. */
  get stalls() {
    return this.#stalls;
  }

  /** Somebody begins to listen. */
  begin() {
    this.#stalls = 0;
  }

  /** After a seek, and in another stream: what was before says nothing. */
  forget() {
    this.#pace.reset();
    this.#audio.playbackRate = 1;
  }

  /** The sound has run out. */
  stalled() {
    this.#stalls += 1;
    this.#stalledAt = performance.now();
  }

  /**
   * Stay where the playlist wants a listener to be: faster, slower, or by a jump. Without parts
   * nobody knows to a second where the edge is, so then by a jump alone.
   * @param {Hls} hls
   * @param {number} heardMs  for how long it has been heard
   * @returns {number | null}  where to jump to
   */
  keep(hls, heardMs) {
    const rate = this.#pace.next(excessS(hls));
    const mean = this.#pace.excessS ?? 0;
    const isNew = heardMs < SETTLE_MS && mean > 0.2 && this.#aheadS() > mean + 0.3;
    this.#comeCloser(hls);
    if (isNew || mean > JUMP_S) return hls.liveSyncPosition;
    if (hls.lowLatencyMode && this.#audio.playbackRate !== rate) this.#audio.playbackRate = rate;
    return null;
  }

  /** How much is there to play on with. */
  #aheadS() {
    const { buffered, currentTime } = this.#audio;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  /**
   * Every hole adds to the distance; after a while without one, some of that is given back.
   * @param {Hls} hls
   */
  #comeCloser(hls) {
    const details = hls.latestLevelDetails;
    const now = performance.now();
    if (!this.#stalls || !details || now - this.#stalledAt < CALM_MS) return;
    const least = (hls.lowLatencyMode && details.partHoldBack) || details.holdBack;
    const target = hls.targetLatency ?? least;
    if (least && target > least) hls.targetLatency = Math.max(least, target - 0.16);
    this.#stalledAt = now;
  }
}

/**
 * How much further from the edge than the playlist wants.
 * @param {Hls} hls
 */
export function excessS(hls) {
  return hls.targetLatency && hls.latency ? hls.latency - hls.targetLatency : 0;
}
