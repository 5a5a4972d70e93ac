/** The sounds of one room's card: choosing and playing a file, and what is being played. */

import * as api from "./api.js";
import { fromTemplate, part, say, show } from "./dom.js";
import { explainError } from "./sentences.js";

const FOLLOW_MS = 500; // a progress bar that moves, without a socket of its own

export class Sounds {
  /** What is shown, by id. @type {Map<string, HTMLElement>} */
  #items = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  /** Those that were over when the page came, or were dismissed. @type {Set<string> | null} */
  #old = null;
  /** Begun on this page. @type {Set<string>} */
  #own = new Set();
  /** @type {File | null} */
  #file = null;

  /**
   * @param {HTMLElement} card
   * @param {string} roomId
   * @param {(text: string) => void} announce  for those who cannot see the page
   */
  constructor(card, roomId, announce) {
    this.card = card;
    this.roomId = roomId;
    this.announce = announce;
    const input = part(card, "play-file", HTMLInputElement);
    part(card, "play-choose", HTMLButtonElement).addEventListener("click", () => input.click());
    input.addEventListener("change", () => this.#choose(input.files?.[0] ?? null));
    const volume = part(card, "play-volume", HTMLInputElement);
    volume.addEventListener("input", () => say(part(card, "play-gain", HTMLOutputElement), decibels(volume)));
    part(card, "play-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#play();
    });
  }

  /** Something is played: show it until nothing is. */
  follow() {
    if (this.#next === undefined) this.#lookIn(0);
  }

  /** The card is gone. */
  end() {
    clearTimeout(this.#next);
    this.#next = undefined;
  }

  /** @param {File | null} file */
  #choose(file) {
    if (!file) return; // the dialogue was closed
    this.#file = file;
    say(part(this.card, "play-name", HTMLElement), file.name);
    const start = part(this.card, "play-start", HTMLButtonElement);
    start.disabled = false;
    start.focus();
  }

  async #play() {
    const problem = part(this.card, "play-problem", HTMLElement);
    const start = part(this.card, "play-start", HTMLButtonElement);
    if (!this.#file || start.disabled) return;
    const form = new FormData();
    form.set("gainDb", part(this.card, "play-volume", HTMLInputElement).value);
    form.set("loop", String(part(this.card, "play-loop", HTMLInputElement).checked));
    form.set("file", this.#file);
    show(problem, null);
    start.disabled = true;
    say(start, "Sending…");
    try {
      const begun = await api.playSound(this.roomId, form);
      this.#own.add(begun.announcementId);
      this.announce(`${begun.name} is being played`);
    } catch (error) {
      show(problem, why(error));
    }
    start.disabled = false;
    say(start, "Play");
    this.follow();
  }

  /** @param {number} ms */
  #lookIn(ms) {
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#look(), ms);
  }

  async #look() {
    /** @type {api.Announcement[]} */
    let found = [];
    try {
      found = await api.listSounds(this.roomId);
    } catch (error) {
      if (error instanceof api.Refusal && !error.retryable) return this.end();
      return this.#lookIn(4 * FOLLOW_MS);
    }
    this.#draw(found);
    if (found.some(isOn)) this.#lookIn(FOLLOW_MS);
    else this.end();
  }

  /** @param {api.Announcement[]} found */
  #draw(found) {
    const isOld = (/** @type {api.Announcement} */ one) => !isOn(one) && !this.#own.has(one.announcementId);
    this.#old ??= new Set(found.filter(isOld).map((one) => one.announcementId));
    // What ended is over; what failed stays until somebody has seen why.
    const shown = found.filter((one) => isOn(one) || (one.state === "failed" && !this.#old?.has(one.announcementId)));
    const ids = new Set(shown.map((one) => one.announcementId));
    const list = part(this.card, "playing", HTMLUListElement);
    for (const [id, item] of this.#items) {
      if (ids.has(id)) continue;
      if (item.contains(document.activeElement)) this.#focusNear(item);
      item.remove();
      this.#items.delete(id);
    }
    for (const one of shown) {
      let item = this.#items.get(one.announcementId);
      if (!item) {
        this.#items.set(one.announcementId, (item = this.#make(one)));
        list.append(item);
      }
      update(item, one);
    }
    list.hidden = shown.length === 0;
  }

  /** @param {HTMLElement} item  that goes, and has the focus */
  #focusNear(item) {
    const other = item.nextElementSibling ?? item.previousElementSibling;
    const target = other?.querySelector("button") ?? this.card.querySelector("summary");
    if (target instanceof HTMLElement) target.focus();
  }

  /** @param {api.Announcement} one */
  #make(one) {
    const item = fromTemplate("sound-template");
    const name = one.name || "A sound";
    say(part(item, "sound-name", HTMLElement), name);
    part(item, "sound-progress", HTMLProgressElement).setAttribute("aria-label", `How far ${name} is`);
    const volume = part(item, "sound-volume", HTMLInputElement);
    volume.value = String(one.gainDb);
    volume.setAttribute("aria-label", `Volume of ${name}`);
    volume.addEventListener("input", () => say(part(item, "sound-gain", HTMLOutputElement), decibels(volume)));
    volume.addEventListener("change", () => {
      api
        .setSoundGain(this.roomId, one.announcementId, Number(volume.value))
        .catch((error) => show(part(item, "sound-reason", HTMLElement), why(error)));
    });
    say(part(item, "sound-gain", HTMLOutputElement), decibels(volume));
    const stop = part(item, "sound-stop", HTMLButtonElement);
    stop.setAttribute("aria-label", `Stop ${name}`);
    stop.addEventListener("click", async () => {
      this.#old?.add(one.announcementId);
      try {
        await api.stopSound(this.roomId, one.announcementId);
        this.announce(`${name} stops`);
      } catch (error) {
        if (!(error instanceof api.Refusal && error.status === 404)) this.announce(why(error));
      }
      this.#lookIn(0);
    });
    return item;
  }
}

/** @param {api.Announcement} one */
const isOn = (one) => one.state === "playing" || one.state === "stopping";

/**
 * @param {HTMLElement} item
 * @param {api.Announcement} one
 */
function update(item, one) {
  const progress = part(item, "sound-progress", HTMLProgressElement);
  if (one.length) progress.value = Math.min(1, one.position / one.length);
  else progress.removeAttribute("value");
  const length = one.length ? ` of ${clock(one.length)}` : "";
  say(part(item, "sound-time", HTMLElement), `${clock(one.position)}${length}${one.loop ? ", again and again" : ""}`);
  const failed = one.state === "failed";
  progress.hidden = failed;
  part(item, "sound-loudness", HTMLElement).hidden = failed;
  if (failed) {
    show(part(item, "sound-reason", HTMLElement), `It broke off. ${one.reason}.`);
    const dismiss = part(item, "sound-stop", HTMLButtonElement);
    say(dismiss, "Dismiss");
    dismiss.setAttribute("aria-label", `Dismiss ${one.name || "the sound"}`);
  }
}

/** @param {HTMLInputElement} slider */
const decibels = (slider) => `${Number(slider.value) > 0 ? "+" : ""}${Math.round(Number(slider.value))} dB`;

/** @param {number} seconds */
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** @param {unknown} error */
function why(error) {
  if (error instanceof api.Refusal && ["bad_sound", "too_large", "too_many"].includes(error.code))
    return `It is not played. ${error.message}.`.replace(/\.+$/, ".");
  const { title, text } = explainError(error);
  return `It is not played. ${title}. ${text}`;
}
