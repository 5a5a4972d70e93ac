/** What a stream offers to choose from: languages to hear, languages to read. */

/**
 * @typedef {import("../vendor/hls.mjs").default} Hls
 * @typedef {{id: number, name: string, language: string, isChosen: boolean}} Channel
 */

export class Tracks {
  #audio;
  #hls;
  #heard = "";
  #read = "";

  /**
   * @param {HTMLAudioElement} audio
   * @param {() => Hls | null} hls  null where the browser plays by itself, and while nothing plays
   */
  constructor(audio, hls) {
    this.#audio = audio;
    this.#hls = hls;
    audio.textTracks.addEventListener("addtrack", () => this.#restoreNativeCaptions());
  }

  /** The languages or buses to choose from; empty where there is one. @returns {Channel[]} */
  channels() {
    const hls = this.#hls();
    const tracks = hls?.audioTracks ?? [];
    if (!hls || tracks.length < 2) return [];
    return tracks.map((track, id) => ({
      id,
      name: track.name,
      language: track.lang ?? "",
      isChosen: id === hls.audioTrack,
    }));
  }

  /** @param {Channel} channel */
  choose(channel) {
    this.#heard = channel.language || channel.name;
    const hls = this.#hls();
    if (hls) hls.audioTrack = channel.id;
  }

  /** What a new stream of hls.js is to begin with. @returns {Partial<import("../vendor/hls.mjs").HlsConfig>} */
  preference() {
    return this.#read ? { subtitlePreference: { lang: this.#read } } : {};
  }

  /** Hear what was chosen, now that it is known what there is. */
  restoreChannel() {
    const wanted = this.channels().find((one) => [one.language, one.name].includes(this.#heard));
    if (this.#heard && wanted && !wanted.isChosen) this.choose(wanted);
  }

  /** The languages that can be read; empty while nothing plays. @returns {import("./captions.js").Language[]} */
  captions() {
    const hls = this.#hls();
    if (hls) return hls.subtitleTracks.map(({ lang }, id) => ({ language: lang ?? "", isChosen: id === hls.subtitleTrack }));
    return this.#nativeCaptions().map(({ language, mode }) => ({ language, isChosen: mode !== "disabled" }));
  }

  /** Have captions in a language, now or as soon as there are any; "" for none. @param {string} language */
  showCaptions(language) {
    this.#read = language;
    const hls = this.#hls();
    if (hls) hls.subtitleTrack = language ? hls.subtitleTracks.findIndex(({ lang }) => lang === language) : -1;
    else this.#restoreNativeCaptions();
  }

  #nativeCaptions() {
    const tracks = this.#audio.paused || this.#hls() ? [] : [...this.#audio.textTracks];
    return tracks.filter(({ kind }) => kind === "subtitles" || kind === "captions");
  }

  #restoreNativeCaptions() {
    for (const track of this.#nativeCaptions())
      track.mode = this.#read && track.language === this.#read ? "hidden" : "disabled";
  }
}
