/** The bar that goes back in time, where the stream reaches back far enough. */

import { byId, say } from "./dom.js";

const LARGE_STEP_S = 15;

export class Timeshift {
  #row = byId("shift-row", HTMLElement);
  #bar = byId("shift", HTMLInputElement);
  #words = byId("shift-words", HTMLElement);
  #back = byId("shift-back", HTMLButtonElement);
  #on = byId("shift-on", HTMLButtonElement);
  #window;
  #seek;
  #isHeld = false;

  /**
   * @param {() => import("./player.js").Window | null} window  as it is now; null: there is nothing to go back in
   * @param {(at: number) => void} seek  takes seconds of the stream
   */
  constructor(window, seek) {
    this.#window = window;
    this.#seek = seek;
    // Moved by hand it says where one would be, let go it goes there; a key does both.
    this.#bar.addEventListener("input", () => {
      this.#isHeld = true;
      this.#say(-Number(this.#bar.value));
    });
    this.#bar.addEventListener("change", () => {
      this.#isHeld = false;
      this.#go(Number(this.#bar.value));
    });
    // Moved and brought back there is no change.
    for (const end of ["pointerup", "pointercancel", "blur"])
      this.#bar.addEventListener(end, () => (this.#isHeld = false));
    this.#back.addEventListener("click", () => this.step(-LARGE_STEP_S));
    this.#on.addEventListener("click", () => this.step(LARGE_STEP_S));
  }

  /** Go so many seconds on, or back. @param {number} seconds */
  step(seconds) {
    const window = this.#window();
    if (window) this.#go(window.at - window.edge + seconds);
  }

  /**
   * @param {boolean} isWaiting  the stream may come back: what is shown stays, and cannot be used
   */
  draw(isWaiting) {
    const window = this.#window();
    if (!isWaiting || window) this.#row.hidden = window === null;
    this.#bar.disabled = this.#back.disabled = this.#on.disabled = window === null;
    if (!window || this.#isHeld) return;
    const behind = Math.max(0, window.edge - window.at);
    this.#bar.min = String(-Math.floor(window.edge - window.start));
    this.#bar.value = String(-Math.round(behind));
    this.#on.disabled = behind < 2;
    this.#say(behind);
  }

  /** @param {number} position  0 is live, -60 a minute ago */
  #go(position) {
    const window = this.#window();
    if (window) this.#seek(window.edge + Math.min(0, position));
  }

  /** @param {number} behind */
  #say(behind) {
    const seconds = Math.round(behind);
    const text = seconds < 2 ? "Live" : `-${clock(seconds)}`;
    say(this.#words, text);
    this.#bar.setAttribute("aria-valuetext", seconds < 2 ? "live" : `${spoken(seconds)} ago`);
  }
}

/** @param {number} seconds */
function clock(seconds) {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** @param {number} seconds */
function spoken(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = seconds % 60;
  return [minutes ? `${minutes} min` : "", rest || !minutes ? `${rest} s` : ""].filter(Boolean).join(" ");
}
