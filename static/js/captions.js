/** Captions: what is said now, for whoever wants to read it. */

import { byId, say } from "./dom.js";
import { recall, remember } from "./memory.js";

const MOST_CUES = 3; // what comes late may stand beside what comes in time

/**
 * @typedef {{language: string, isChosen: boolean}} Language
 *
 * @typedef {object} Source
 * @property {() => Language[]} languages  what there is to read; empty while nothing plays
 * @property {(language: string) => void} choose  "" is none
 * @property {() => {language: string, lines: string[]}} reading  what is to be read now
 */

export class Captions {
  #source;
  #row = byId("captions-row", HTMLElement);
  #button = byId("captions-on", HTMLButtonElement);
  #list = byId("captions-language", HTMLSelectElement);
  #shown = byId("captions", HTMLElement);
  #text = byId("captions-text", HTMLElement);
  /** The languages that the list shows now. */
  #listed = "";

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
    this.#button.addEventListener("click", () => this.#choose(this.#isOn() ? "" : this.#list.value));
    this.#list.addEventListener("change", () => this.#choose(this.#list.value));
    source.choose(recall("local", "captions") ?? "");
  }

  draw() {
    const languages = this.#source.languages();
    this.#row.hidden = languages.length === 0;
    this.#list.hidden = languages.length < 2;
    this.#button.setAttribute("aria-pressed", String(this.#isOn()));
    const wanted = languages.map(({ language }) => language);
    if (String(wanted) !== this.#listed) {
      this.#listed = String(wanted);
      this.#list.replaceChildren(...wanted.map((language) => new Option(nameOf(language), language)));
      this.#list.value = preferred(wanted);
    }
    const chosen = languages.find(({ isChosen }) => isChosen);
    if (chosen) this.#list.value = chosen.language;
    this.#shown.hidden = !chosen;
    this.drawText();
  }

  #isOn() {
    return this.#source.languages().some(({ isChosen }) => isChosen);
  }

  /** @param {string} language */
  #choose(language) {
    remember("local", "captions", language);
    if (language) remember("local", "captions-language", language);
    this.#source.choose(language);
    this.draw();
  }

  /** Another thing is to be read. */
  drawText() {
    const { language, lines } = this.#source.reading();
    this.#shown.lang = language;
    say(this.#text, lines.slice(-MOST_CUES).join("\n"));
  }
}

/**
 * Whether a broadcast can be read along, without playing it.
 * @param {string} hlsUrl
 */
export async function hasCaptions(hlsUrl) {
  const answer = await fetch(hlsUrl.replace(/[^/]+$/, "master.m3u8")).catch(() => null);
  return answer?.ok === true && (await answer.text()).includes("TYPE=SUBTITLES");
}

/**
 * What the text tracks of a stream say.
 * @param {HTMLAudioElement} audio
 * @param {() => void} changed
 * @returns {Source["reading"]}
 */
export function tracksOf({ textTracks }, changed) {
  textTracks.addEventListener("addtrack", ({ track }) => track?.addEventListener("cuechange", changed));
  return () => {
    const track = [...textTracks].find(({ kind, mode }) => kind !== "metadata" && mode !== "disabled");
    const cues = /** @type {VTTCue[]} */ ([...(track?.activeCues ?? [])]);
    return { language: track?.language ?? "", lines: cues.map(textOf) };
  };
}

/** @param {VTTCue} cue */
const textOf = (cue) => cue.getCueAsHTML().textContent ?? "";

/**
 * The language that was read last, else one that the browser's owner reads, else the first.
 * @param {string[]} languages
 */
function preferred(languages) {
  const wishes = [recall("local", "captions-language") ?? "", ...navigator.languages];
  const base = (/** @type {string} */ language) => language.toLowerCase().split("-")[0];
  for (const wish of wishes) {
    const found = languages.find((one) => one === wish) ?? languages.find((one) => base(one) === base(wish));
    if (found) return found;
  }
  return languages[0] ?? "";
}

/** @param {string} language  what a language calls itself, where the browser knows it */
function nameOf(language) {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(language) ?? language;
  } catch {
    return language;
  }
}
