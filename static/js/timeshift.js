/** The bar that goes back in time, where the stream reaches back far enough. */

import { byId, say } from "./dom.js";

const LARGE_STEP_S = 15;

export class Timeshift {
  #row = byId("shift-row", HTMLElement);
  #bar = byId("shift", HTMLInputElement);
  #words = byId("shift-words", HTMLElement);
  #on = byId("shift-on", HTMLButtonElement);
  #seek;
  #isHeld = false;
  /** @type {import("./player.js").Window | null} */
  #window = null;

  /** @param {(at: number) => void} seek  takes seconds of the stream */
  constructor(seek) {
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
    byId("shift-back", HTMLButtonElement).addEventListener("click", () => this.step(-LARGE_STEP_S));
    this.#on.addEventListener("click", () => this.step(LARGE_STEP_S));
  }

  /** Go so many seconds on, or back. @param {number} seconds */
  step(seconds) {
    if (this.#window) this.#go(this.#window.at - this.#window.edge + seconds);
  }

  /** @param {import("./player.js").Window | null} window  null: there is nothing to go back in */
  draw(window) {
    this.#window = window;
    this.#row.hidden = window === null;
    if (!window || this.#isHeld) return;
    const behind = Math.max(0, window.edge - window.at);
    this.#bar.min = String(-Math.floor(window.edge - window.start));
    this.#bar.value = String(-Math.round(behind));
    this.#on.disabled = behind < 2;
    this.#say(behind);
  }

  /** @param {number} position  0 is live, -60 a minute ago */
  #go(position) {
    if (this.#window) this.#seek(this.#window.edge + Math.min(0, position));
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
