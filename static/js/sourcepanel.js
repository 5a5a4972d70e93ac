/** The choice of what others hear: the panel that stands in the lobby and later in the room. */

import { byId, say, show } from "./dom.js";
import { recall, remember } from "./memory.js";
import { FLOOR_DBFS, measure } from "./meter.js";
import { listMicrophones, openFile, openMicrophone, openTab, SourceProblem } from "./source.js";

/** @typedef {import("./source.js").Source} Source */

const SILENCE_DBFS = -57; // a working microphone's own noise is above this
const SILENCE_MS = 5_000;
const METER_FALL_DB = 2.5; // per look, some 40 dB a second: up at once, down as the eye follows

const problem = byId("source-problem", HTMLElement);
const meter = byId("meter", HTMLElement);
const nothing = byId("nothing", HTMLElement);
const microphones = byId("mic", HTMLSelectElement);
const raw = byId("raw", HTMLInputElement);
const loop = byId("file-loop", HTMLInputElement);
const playButton = byId("file-play", HTMLButtonElement);

export class SourcePanel {
  /** @type {Source | null} */
  #source = null;
  #stopMeter = () => {};
  #onChange;
  #onAir = false;
  #muted = false;
  #heardAt = 0;
  #shownDbfs = FLOOR_DBFS;
  #defaultGroup = "";
  /** Only the newest of several openings counts. */
  #opening = 0;

  /** @param {(source: Source | null) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    raw.checked = new URLSearchParams(location.search).has("raw") || recall("local", "raw") === "1";
    for (const input of this.#kinds()) input.addEventListener("change", () => this.#showKind());
    byId("mic-allow", HTMLButtonElement).addEventListener("click", () => this.openMicrophone());
    microphones.addEventListener("change", () => this.#chooseMicrophone());
    raw.addEventListener("change", () => {
      remember("local", "raw", raw.checked ? "1" : "0");
      this.openMicrophone();
    });
    byId("tab-share", HTMLButtonElement).addEventListener("click", () => this.#open(openTab()));
    const file = byId("file", HTMLInputElement);
    byId("file-pick", HTMLButtonElement).addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const picked = file.files?.[0];
      if (picked) this.#open(openFile(picked));
      file.value = ""; // the same file may be picked again
    });
    playButton.addEventListener("click", () => this.#togglePlayer());
    loop.addEventListener("change", () => {
      if (this.#source?.player) this.#source.player.loop = loop.checked;
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#devicesChanged());
  }

  get source() {
    return this.#source;
  }

  /** The chosen source, opened now if it was not; null where that failed and the panel says why. */
  async ensure() {
    if (this.#source) return this.#source;
    const kind = this.#kind();
    if (kind === "microphone") await this.openMicrophone();
    else show(problem, kind === "tab" ? "Choose a tab to share first." : "Choose a file to play first.");
    return this.#source;
  }

  /** From now on others hear it: a file starts from its beginning. */
  goOnAir() {
    this.#onAir = true;
    const player = this.#source?.player;
    if (!player) return;
    player.currentTime = 0;
    player.play().catch(() => undefined);
  }

  /** Give the device back; the choice stays. */
  release() {
    this.#onAir = false;
    this.#use(null);
  }

  /** @param {boolean} muted  a muted microphone's silence is no fault */
  setMuted(muted) {
    this.#muted = muted;
    this.#heardAt = performance.now();
  }

  openMicrophone() {
    return this.#open(openMicrophone(recall("local", "microphone") ?? "", raw.checked).catch(useDefaultIfGone(raw)));
  }

  #kinds() {
    return [...document.querySelectorAll("input[name=source]")].filter((one) => one instanceof HTMLInputElement);
  }

  #kind() {
    return this.#kinds().find(({ checked }) => checked)?.value ?? "microphone";
  }

  /** Show the controls of the chosen kind; in the lobby another kind's source is let go. */
  #showKind() {
    const kind = this.#kind();
    show(problem, null);
    for (const panel of document.querySelectorAll("[data-source]"))
      if (panel instanceof HTMLElement) panel.hidden = panel.dataset["source"] !== kind;
    if (this.#source && this.#source.kind !== kind && !this.#onAir) this.#use(null);
    this.#drawMeterRow();
  }

  /** @param {Promise<Source>} opening */
  async #open(opening) {
    const turn = ++this.#opening;
    show(problem, null);
    try {
      const source = await opening;
      if (turn !== this.#opening) {
        source.stop();
        return;
      }
      this.#use(source);
      if (source.kind === "microphone") await this.#listMicrophones();
    } catch (error) {
      if (turn !== this.#opening) return;
      if (!(error instanceof SourceProblem)) console.error("the source did not open", error);
      show(problem, error instanceof SourceProblem ? error.message : "That did not start. Try again.");
    }
  }

  /** @param {Source | null} source */
  #use(source) {
    const old = this.#source;
    this.#stopMeter();
    this.#source = source;
    if (source) {
      source.track.addEventListener("ended", () => this.#ended(source));
      this.#heardAt = performance.now();
      this.#stopMeter = measure(source.track, (level) => this.#drawLevel(level));
      if (source.player) this.#preparePlayer(source.player);
    } else {
      this.#stopMeter = () => {};
    }
    byId("mic-ask", HTMLElement).hidden = source?.kind === "microphone";
    byId("mic-chosen", HTMLElement).hidden = source?.kind !== "microphone";
    say(byId("file-pick-word", HTMLElement), source?.player ? "Choose another file" : "Choose a file");
    show(byId("file-name", HTMLElement), source?.player ? source.label : null);
    playButton.hidden = !source?.player;
    this.#drawMeterRow();
    this.#onChange(source);
    old?.stop();
    if (this.#onAir) this.goOnAir();
  }

  /** @param {Source} source */
  #ended(source) {
    if (source !== this.#source) return; // replaced on purpose
    if (source.kind === "microphone") {
      this.#microphoneGone(source.label);
      return;
    }
    this.#use(null);
    show(problem, "The shared tab ended. Choose another one, or go back to the microphone.");
  }

  // Microphones -----------------------------------------------------------

  async #listMicrophones() {
    const devices = await listMicrophones();
    const chosen = recall("local", "microphone") ?? "";
    const options = devices.map(({ deviceId, label }, at) => new Option(label || `Microphone ${at + 1}`, deviceId));
    if (!devices.some(({ deviceId }) => deviceId === "default")) options.unshift(new Option("System default", ""));
    microphones.replaceChildren(...options);
    const known = options.some(({ value }) => value === chosen);
    microphones.value = known ? chosen : (options[0]?.value ?? "");
    this.#defaultGroup = devices.find(({ deviceId }) => deviceId === "default")?.groupId ?? "";
  }

  #chooseMicrophone() {
    remember("local", "microphone", microphones.value);
    this.openMicrophone();
  }

  /** A device came or went, or the system's default is another one now. */
  async #devicesChanged() {
    if (this.#source?.kind !== "microphone") return;
    const before = this.#defaultGroup;
    const chosen = microphones.value;
    const label = this.#source.label;
    await this.#listMicrophones();
    const followsDefault = chosen === "" || chosen === "default";
    const gone = ![...microphones.options].some(({ value }) => value === chosen);
    if (gone) await this.#microphoneGone(label);
    else if (followsDefault && this.#defaultGroup !== before) await this.openMicrophone();
  }

  /** @param {string} label */
  async #microphoneGone(label) {
    remember("local", "microphone", "");
    this.#use(null);
    await this.openMicrophone();
    // openMicrophone says so itself when no other one is left
    const next = /** @type {Source | null} */ (this.#source);
    if (next) show(problem, `“${label}” is gone. “${next.label}” is used instead.`);
  }

  // File ------------------------------------------------------------------

  /** @param {HTMLAudioElement} player */
  #preparePlayer(player) {
    player.loop = loop.checked;
    const draw = () => say(playButton, player.paused ? "Play" : "Pause");
    player.onplay = player.onpause = player.onended = draw;
    draw();
  }

  #togglePlayer() {
    const player = this.#source?.player;
    if (!player) return;
    if (player.paused) player.play().catch(() => undefined);
    else player.pause();
  }

  // Meter -----------------------------------------------------------------

  #drawMeterRow() {
    byId("meter-row", HTMLElement).hidden = this.#source?.kind !== this.#kind();
    say(nothing, "");
  }

  /** @param {number} level */
  #drawLevel(level) {
    this.#shownDbfs = Math.max(level, this.#shownDbfs - METER_FALL_DB, FLOOR_DBFS);
    meter.style.setProperty("--level", String(1 - this.#shownDbfs / FLOOR_DBFS));
    const now = performance.now();
    if (level > SILENCE_DBFS || this.#muted || this.#source?.kind !== "microphone") this.#heardAt = now;
    const silent = now - this.#heardAt > SILENCE_MS;
    meter.setAttribute("aria-valuenow", String(Math.round(level)));
    meter.setAttribute("aria-valuetext", level > SILENCE_DBFS ? `${Math.round(level)} decibels` : "silent");
    say(
      nothing,
      silent
        ? "We hear nothing from this microphone. Is it switched off or muted on the device? Try another one above."
        : "",
    );
  }
}

/**
 * A remembered microphone may be another computer's: then take the default one.
 * @param {HTMLInputElement} rawInput
 * @returns {(error: unknown) => Promise<Source>}
 */
const useDefaultIfGone = (rawInput) => (error) => {
  if (!recall("local", "microphone")) throw error;
  remember("local", "microphone", "");
  return openMicrophone("", rawInput.checked);
};
