/** The sign that a room is being recorded: a red dot, words, and how long already. */

import { byId, say } from "./dom.js";

/**
 * What everybody in a room may know of its recording.
 * @typedef {object} RecordingNotice
 * @property {string} name
 * @property {"recording" | "paused" | "stopping" | "done" | "failed"} state
 * @property {number} seconds  without pauses
 * @property {string} [reason]  why it failed
 */

/** @param {RecordingNotice | null | undefined} notice */
export const isRunning = (notice) => notice?.state === "recording" || notice?.state === "paused";

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const tail = `${String(Math.floor(whole / 60) % 60).padStart(whole >= 3600 ? 2 : 1, "0")}:${String(whole % 60).padStart(2, "0")}`;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${tail}` : tail;
}

/**
 * The sentence on a recording that failed.
 * @param {string} what
 * @param {string | undefined} reason
 */
export const brokeOff = (what, reason) => `${what} broke off. ${reason ?? ""}.`.replace(/[. ]+$/, ".");

export class RecordingSign {
  #chip;
  #announce;
  /** @type {RecordingNotice | null} */
  #notice = null;
  #toldAt = 0;

  /**
   * @param {string} id  of a `.chip` with the parts `rec-word` and `rec-time`
   * @param {(text: string) => void} [announce]  for screen readers, once for each change
   */
  constructor(id, announce) {
    this.#chip = byId(id, HTMLElement);
    this.#announce = announce;
    setInterval(() => this.#tick(), 1000);
  }

  get notice() {
    return this.#notice;
  }

  /** @param {RecordingNotice | null | undefined} told */
  draw(told) {
    const before = this.#notice;
    const now = isRunning(told) ? (told ?? null) : null;
    this.#notice = now;
    this.#toldAt = performance.now();
    this.#chip.hidden = now === null;
    this.#chip.classList.toggle("paused", now?.state === "paused");
    say(this.#part("rec-word"), now?.state === "paused" ? "Recording paused" : "Recording");
    this.#tick();
    const sentence = whatChanged(before, now, told);
    if (sentence) this.#announce?.(sentence);
  }

  #tick() {
    if (!this.#notice) return;
    const since = this.#notice.state === "recording" ? (performance.now() - this.#toldAt) / 1000 : 0;
    say(this.#part("rec-time"), clock(this.#notice.seconds + since));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#chip.querySelector(`[data-part="${name}"]`));
  }
}

/**
 * What to say of a change; nothing if it is none.
 * @param {RecordingNotice | null} before
 * @param {RecordingNotice | null} now
 * @param {RecordingNotice | null | undefined} told
 */
function whatChanged(before, now, told) {
  if (told?.state === "failed") return brokeOff("The recording", told.reason);
  if (before?.state === now?.state && before?.name === now?.name) return null;
  if (now?.state === "paused") return "The recording is paused";
  if (now) return before?.name === now.name ? "The recording goes on" : "This room is being recorded";
  return "This room is not being recorded any more";
}
