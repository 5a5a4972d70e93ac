/**
 * The listener's player: plays a room's live stream and finds its way back after every loss.
 *
 * hls.js plays it where Media Source Extensions exist; iPhones play it themselves. Pausing lets go
 * of the stream, since a live one cannot be paused: playing again starts at the live edge.
 */

import Hls from "../vendor/hls.mjs";
import { expiryMs, Refusal, serverNow } from "./api.js";
import { BackBuffer } from "./backbuffer.js";
import { backoffMs } from "./backoff.js";
import { creditsAt, NO_CREDITS } from "./credits.js";
import { CLASSIC, LOW_LATENCY } from "./hlsconfig.js";
import { Pace } from "./pace.js";

/**
 * @typedef {"stopped" | "starting" | "off_air" | "live" | "reconnecting" | "ended"} State
 * @typedef {"" | "network" | "server" | "right" | "sound"} Trouble  why it does not play, if it is known
 * @typedef {{id: number, name: string, language: string, isChosen: boolean}} Channel
 * @typedef {{start: number, edge: number, at: number}} Window  in seconds of the stream
 *
 * @typedef {object} PlayerOptions
 * @property {HTMLAudioElement} audio
 * @property {() => Promise<import("./api.js").ListenTicket>} trade  a fresh token
 * @property {(state: State, reason: Refusal | null) => void} onState
 * @property {boolean} [classic]  whole segments, for networks that do not let requests wait
 */

/** @type {Record<State, readonly State[]>} */
const LEGAL = {
  stopped: ["starting", "ended"],
  starting: ["live", "off_air", "reconnecting", "stopped", "ended"],
  off_air: ["live", "reconnecting", "stopped", "ended"],
  live: ["reconnecting", "off_air", "stopped", "ended"],
  reconnecting: ["live", "off_air", "stopped", "ended"],
  ended: ["starting"],
};

const LOOK_MS = 250;
const STALL_MS = 3_000; // two segments come late now and then
const REBUILD_MS = 9_000; // hls.js had its chance
const STARTING_MS = 4_000; // a room that has just been made has something to play at once
const DOUBT_MS = 8_000; // while nothing plays, ask this often whether the room is still there
const BEHIND_MS = 4_000; // beyond the target: heard as "late"
const JUMP_S = 3; // catching up by playing faster would take a minute
const SETTLE_MS = 3_000; // who has just begun to hear does not miss what is skipped
const CALM_MS = 60_000; // without a hole: the distance that holes have added shrinks again
const LEAST_SHIFT_S = 30; // a shorter window is no place to look around in

/** A room that is gone, or a right that is: trying on would not help. */
const FINAL = new Set(["room_not_found", "bad_invite", "wrong_pin", "forbidden", "unauthorized"]);

export class Player {
  #options;
  #audio;
  /** @type {State} */
  #state = "stopped";
  /** @type {Trouble} */
  #trouble = "";
  /** @type {import("./api.js").ListenTicket | null} */
  #ticket = null;
  /** @type {Hls | null} */
  #hls = null;
  #pace = new Pace();
  #wanted = false;
  /** The browser wants another press before anything sounds. */
  isBlocked = false;
  #follows = true; // the edge, and not what somebody looked for in the past
  #language = "";
  #readIn = ""; // the language of the captions
  #startedAt = 0;
  #heardAt = -Infinity;
  #movedAt = 0;
  #stalledAt = 0;
  #stalls = 0;
  #lastTime = 0;
  #recoveredAt = -Infinity;
  #tradedAt = 0;
  #tries = 0;
  #failedAt = -Infinity;
  #isOver = false; // it was heard to its end; as long as nothing is added it is not heard again
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {(() => void) | null} */
  #retryNow = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #lookTimer;

  /** @param {PlayerOptions} options */
  constructor(options) {
    this.#options = options;
    this.#audio = options.audio;
    this.#audio.addEventListener("pause", () => this.#pausedFromOutside());
    this.#audio.addEventListener("ended", () => this.#streamEnded());
    this.#audio.addEventListener("error", () => {
      if (!this.#hls && this.#wanted) this.#retryLater(0);
    });
    this.#audio.textTracks.addEventListener("addtrack", () => {
      if (!this.#hls) this.#restoreNativeCaptions();
    });
    addEventListener("online", () => this.#retryNow?.());
  }

  get state() {
    return this.#state;
  }
  get trouble() {
    return this.#trouble;
  }
  get hls() {
    return this.#hls;
  }
  /** How often the sound ran out since play was pressed. */
  get stalls() {
    return this.#stalls;
  }

  /** Fetch the first token, so that the click on Play needs no waiting. Throws Refusal. */
  async prepare() {
    this.#ticket = await this.#options.trade();
    this.#renewInTime();
  }

  /** Start at the live edge; call it from a click. */
  play() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.isBlocked = false;
    this.#stalls = 0;
    this.#tries = 0;
    this.#isOver = false;
    this.#startedAt = performance.now();
    this.#step("starting");
    this.#lookTimer = setInterval(() => this.#look(), LOOK_MS);
    this.#begin();
  }

  pause() {
    if (!this.#wanted) return;
    this.#stop();
    this.#step("stopped");
  }

  /** Jump to the live edge. */
  goLive() {
    const window = this.#window();
    this.#follows = true;
    if (window) this.#seek(window.edge);
  }

  /**
   * Play from a moment of the past on, in seconds of the stream; at the edge it is live again.
   * @param {number} at
   */
  seek(at) {
    const window = this.#window();
    if (!window) return;
    if (at >= window.edge - 1) return this.goLive();
    this.#follows = false;
    this.#seek(Math.max(at, window.start + 1)); // what is at the very beginning leaves the window now
  }

  /** How long ago the sound that plays now was made, in milliseconds; null where nothing says. */
  latencyMs() {
    if (this.#state !== "live") return null;
    const made = this.#madeAt();
    if (made) return Math.max(0, serverNow() - made);
    return this.#hls && this.#hls.latency > 0 ? this.#hls.latency * 1000 : null;
  }

  /** Whether the live edge is audibly ahead. */
  isBehind() {
    if (this.#state !== "live") return false;
    return !this.#follows || this.#excessS() * 1000 > BEHIND_MS;
  }

  /** Where one may go, if the stream reaches back far enough for that. @returns {Window | null} */
  shift() {
    const window = this.#state === "live" ? this.#window() : null;
    return window && window.edge - window.start >= LEAST_SHIFT_S ? window : null;
  }

  /** The languages or buses to choose from; empty where there is one. @returns {Channel[]} */
  channels() {
    const hls = this.#hls;
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
    this.#language = channel.language || channel.name;
    if (this.#hls) this.#hls.audioTrack = channel.id;
  }

  /** The languages that can be read; empty while nothing plays. @returns {import("./captions.js").Language[]} */
  captions() {
    const hls = this.#hls;
    if (hls) return hls.subtitleTracks.map(({ lang }, id) => ({ language: lang ?? "", isChosen: id === hls.subtitleTrack }));
    return this.#nativeCaptions().map(({ language, mode }) => ({ language, isChosen: mode !== "disabled" }));
  }

  /** Have captions in a language, now or as soon as there are any; "" for none. @param {string} language */
  showCaptions(language) {
    this.#readIn = language;
    const hls = this.#hls;
    if (hls) hls.subtitleTrack = language ? hls.subtitleTracks.findIndex(({ lang }) => lang === language) : -1;
    else this.#restoreNativeCaptions();
  }

  /** What the stream says of what is heard now. */
  credits() {
    const made = this.#state === "live" ? this.#madeAt() : undefined;
    const ranges = this.#hls?.latestLevelDetails?.dateRanges;
    return made && ranges ? creditsAt(Object.values(ranges), made) : NO_CREDITS;
  }

  // Playing ---------------------------------------------------------------

  async #begin() {
    const turn = ++this.#turn;
    this.#dropStream();
    this.#follows = true;
    this.#movedAt = performance.now();
    if (!this.#ticket || expiryMs(this.#ticket.expiresAt) <= serverNow()) {
      if (!(await this.#renew())) return;
      if (turn !== this.#turn || !this.#wanted) return;
    }
    if (playsNatively()) this.#beginNative();
    else this.#beginHls();
    this.#audio.play().catch((error) => this.#playRefused(error));
  }

  /** The multivariant playlist: the player chooses the bit rate. */
  #address() {
    const url = new URL(/** @type {string} */ (this.#ticket?.hlsUrl), location.origin);
    const name = this.#options.classic ? "classic.m3u8" : "master.m3u8";
    url.pathname = url.pathname.replace(/[^/]+$/, name);
    return url;
  }

  #beginNative() {
    const url = this.#address();
    url.searchParams.set("token", /** @type {string} */ (this.#ticket?.token)); // it can send no header
    this.#audio.src = url.href;
  }

  #beginHls() {
    const config = this.#options.classic ? CLASSIC : LOW_LATENCY;
    const hls = new Hls({
      ...config,
      ...(this.#readIn ? { subtitlePreference: { lang: this.#readIn } } : {}),
      xhrSetup: (xhr, url) => this.#authorise(xhr, url),
    });
    hls.subtitleDisplay = false; // the page draws them: nothing is seen of an audio element
    this.#hls = hls;
    this.#pace.reset();
    new BackBuffer(hls);
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => this.#restoreChannel(hls));
    hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
      if (hls !== this.#hls || !this.#isOver) return;
      if (details.live) this.#isOver = false;
      else this.#retryLater(503);
    });
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (hls !== this.#hls) return;
      if (data.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) this.#stalled();
      if (data.fatal || isDenied(data)) this.#failed(hls, data);
    });
    hls.loadSource(this.#address().href);
    hls.attachMedia(this.#audio);
  }

  /** @param {Hls} hls */
  #restoreChannel(hls) {
    const wanted = this.channels().find((one) => [one.language, one.name].includes(this.#language));
    if (this.#language && wanted && !wanted.isChosen) hls.audioTrack = wanted.id;
  }

  #nativeCaptions() {
    const tracks = this.#wanted ? [...this.#audio.textTracks] : [];
    return tracks.filter(({ kind }) => kind === "subtitles" || kind === "captions");
  }

  #restoreNativeCaptions() {
    for (const track of this.#nativeCaptions())
      track.mode = this.#readIn && track.language === this.#readIn ? "hidden" : "disabled";
  }

  /**
   * The token goes to keys only; playlists and segments are open.
   * @param {XMLHttpRequest} xhr
   * @param {string} url
   */
  #authorise(xhr, url) {
    if (xhr.readyState === XMLHttpRequest.UNSENT) xhr.open("GET", url, true);
    if (new URL(url, location.origin).pathname.endsWith("/enc.key"))
      xhr.setRequestHeader("Authorization", `Bearer ${this.#ticket?.token}`);
  }

  /** @param {unknown} error */
  #playRefused(error) {
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    this.isBlocked = true;
    this.pause();
  }

  /** The system's own pause (lock screen, headset, another call). */
  #pausedFromOutside() {
    if (this.#wanted && this.#state === "live" && !this.#audio.ended) this.pause();
  }

  /** The room is gone, which the next token tells, or its broadcast is off and may come back. */
  async #streamEnded() {
    if (!this.#wanted) return;
    this.#isOver = true;
    this.#dropStream();
    if (await this.#renew()) this.#retryLater(503);
  }

  // Where in the stream ----------------------------------------------------

  /** @returns {Window | null} */
  #window() {
    const { seekable, currentTime: at } = this.#audio;
    const details = this.#hls?.latestLevelDetails;
    if (this.#hls && details) {
      const edge = this.#hls.liveSyncPosition ?? details.edge;
      return { start: details.fragmentStart, edge, at };
    }
    if (this.#hls || seekable.length === 0) return null;
    return { start: seekable.start(0), edge: seekable.end(seekable.length - 1), at };
  }

  /** The date of what is heard. */
  #madeAt() {
    return this.#hls ? this.#hls.playingDate?.getTime() : nativeDate(this.#audio);
  }

  /** @param {number} at */
  #seek(at) {
    this.#audio.currentTime = at;
    this.#pace.reset();
    this.#audio.playbackRate = 1;
    this.#movedAt = performance.now();
    this.#audio.play().catch(() => undefined);
  }

  /** How much further from the edge than the playlist wants. */
  #excessS() {
    const hls = this.#hls;
    return hls?.targetLatency && hls.latency ? hls.latency - hls.targetLatency : 0;
  }

  /**
   * Stay where the playlist wants a listener to be: faster, slower, or by a jump. Without parts
   * nobody knows to a second where the edge is, so then by a jump alone.
   * @param {number} now
   */
  #keepPace(now) {
    const hls = this.#hls;
    if (!hls || !this.#follows || !hls.latestLevelDetails?.live) return;
    const excess = this.#excessS();
    const rate = this.#pace.next(excess);
    const mean = this.#pace.excessS ?? 0;
    const isNew = now - this.#heardAt < SETTLE_MS && mean > 0.2 && this.#aheadS() > mean + 0.3;
    if (isNew || mean > JUMP_S) {
      const edge = hls.liveSyncPosition;
      if (edge !== null) this.#seek(edge);
    } else if (hls.lowLatencyMode && this.#audio.playbackRate !== rate) this.#audio.playbackRate = rate;
    this.#comeCloser(hls, now);
  }

  /** How much is there to play on with. */
  #aheadS() {
    const { buffered, currentTime } = this.#audio;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  #stalled() {
    this.#stalls += 1;
    this.#stalledAt = performance.now();
  }

  /**
   * Every hole adds to the distance; after a while without one, some of that is given back.
   * @param {Hls} hls
   * @param {number} now
   */
  #comeCloser(hls, now) {
    const details = hls.latestLevelDetails;
    if (!this.#stalls || !details || now - this.#stalledAt < CALM_MS) return;
    const least = (hls.lowLatencyMode && details.partHoldBack) || details.holdBack;
    const target = hls.targetLatency ?? least;
    if (least && target > least) hls.targetLatency = Math.max(least, target - 0.16);
    this.#stalledAt = now;
  }

  // Coming back -----------------------------------------------------------

  /**
   * @param {Hls} hls
   * @param {import("../vendor/hls.mjs").ErrorData} data
   */
  #failed(hls, data) {
    if (this.#retryNow) return;
    const first = performance.now() - this.#recoveredAt > 10_000;
    const isKey = data.details === Hls.ErrorDetails.FRAG_DECRYPT_ERROR;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && first && !isKey) {
      this.#recoveredAt = performance.now();
      hls.recoverMediaError();
    } else {
      const isNetwork = data.type === Hls.ErrorTypes.NETWORK_ERROR;
      this.#note(isDenied(data) ? "right" : isNetwork ? (data.response?.code ? "server" : "network") : "sound");
      this.#retryLater(data.response?.code ?? 0, isNetwork ? hls : null);
    }
  }

  /**
   * What is still buffered plays on meanwhile where hls.js only has to load again.
   * @param {number} status  HTTP status of what failed, 0 for a dead line
   * @param {Hls | null} [reloadable]
   */
  #retryLater(status, reloadable = null) {
    if (!this.#wanted) return;
    this.#failedAt = performance.now();
    const noStream = status === 404 || status === 503;
    if (noStream && performance.now() - this.#startedAt > STARTING_MS) this.#step("off_air");
    else if (this.#state !== "starting" && this.#state !== "off_air" && this.#state !== "live") this.#step("reconnecting");
    const retry = async () => {
      clearTimeout(this.#retryTimer);
      this.#retryNow = null;
      const refused = status === 401 || status === 403 || status === 404;
      const doubtful = refused || performance.now() - this.#tradedAt > DOUBT_MS;
      if (doubtful && !(await this.#renew())) return;
      if (!this.#wanted) return;
      const loaded = reloadable === this.#hls && this.#state === "live" && reloadable?.levels.length;
      if (loaded) reloadable.startLoad();
      else this.#begin();
    };
    clearTimeout(this.#retryTimer);
    this.#retryNow = retry;
    this.#retryTimer = setTimeout(retry, backoffMs(this.#tries++));
  }

  /** Four times a second: does the sound move, and at the right distance? */
  #look() {
    const now = performance.now();
    const time = this.#audio.currentTime;
    const moves = time !== this.#lastTime && !this.#audio.paused && !this.#audio.seeking;
    this.#lastTime = time;
    if (moves && this.#audio.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.#movedAt = now;
      if (now - this.#failedAt > DOUBT_MS) this.#tries = 0;
      if (this.#state !== "live") {
        this.#heardAt = now;
        this.#trouble = "";
        this.#step("live");
      }
      return this.#keepPace(now);
    }
    const still = now - this.#movedAt;
    if (this.#state === "live" && still > STALL_MS) this.#step("reconnecting");
    if (still > REBUILD_MS) {
      this.#movedAt = now;
      this.#renew().then((good) => {
        if (good && this.#wanted) this.#begin();
      });
    }
  }

  /**
   * Trade the invite again; also the way to learn that a room is gone.
   * @returns {Promise<boolean>} false: it is over, or the server is away and another try is set
   */
  async #renew() {
    this.#tradedAt = performance.now();
    try {
      this.#ticket = await this.#options.trade();
      this.#renewInTime();
      return true;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal("unexpected", String(error));
      if (FINAL.has(refusal.code)) {
        this.#stop();
        if (this.#state !== "ended") this.#step("ended", refusal);
      } else {
        this.#note(refusal.code === "unreachable" ? "network" : "right");
        if (this.#state === "live" && this.#audio.paused) this.#step("reconnecting");
        this.#retryLater(0, this.#hls);
      }
      return false;
    }
  }

  #renewInTime() {
    clearTimeout(this.#renewTimer);
    if (!this.#ticket) return;
    const left = expiryMs(this.#ticket.expiresAt) - serverNow();
    // Longer waits than this overflow a browser's timer, and no token lives a fortnight.
    const wait = Math.min(Math.max(5_000, left * 0.8), 86_400_000);
    this.#renewTimer = setTimeout(() => this.#renew(), wait);
  }

  // Ending ----------------------------------------------------------------

  #stop() {
    this.#wanted = false;
    this.#turn += 1;
    this.#retryNow = null;
    clearTimeout(this.#retryTimer);
    clearInterval(this.#lookTimer);
    this.#dropStream();
  }

  #dropStream() {
    const native = this.#hls === null && this.#audio.hasAttribute("src");
    this.#hls?.destroy();
    this.#hls = null;
    if (!this.#wanted) this.#audio.pause();
    if (native) {
      this.#audio.removeAttribute("src");
      this.#audio.load();
    }
  }

  /** @param {Trouble} trouble */
  #note(trouble) {
    this.#trouble = trouble === "server" && !navigator.onLine ? "network" : trouble;
  }

  /**
   * @param {State} next
   * @param {Refusal | null} [reason]
   */
  #step(next, reason = null) {
    if (next === this.#state) return;
    if (!LEGAL[this.#state].includes(next)) throw new Error(`illegal transition: ${this.#state} to ${next}`);
    this.#state = next;
    this.#options.onState(next, reason);
  }
}

/**
 * A key that is refused: hls.js would go on asking with the same right.
 * @param {import("../vendor/hls.mjs").ErrorData} data
 */
function isDenied({ details, response }) {
  return details === Hls.ErrorDetails.KEY_LOAD_ERROR && [401, 403].includes(response?.code ?? 0);
}

/** iPhones play a stream on with the screen locked only by themselves, never through a script. */
function playsNatively() {
  if ("MediaSource" in window && Hls.isSupported()) return false;
  return new Audio().canPlayType("application/vnd.apple.mpegurl") !== "";
}

/** Whether this browser can play at all. */
export const canPlay = () => playsNatively() || Hls.isSupported();

/**
 * Safari's date of what plays now.
 * @param {HTMLAudioElement} audio
 */
function nativeDate(audio) {
  const start = /** @type {any} */ (audio).getStartDate?.()?.getTime();
  return Number.isFinite(start) ? start + audio.currentTime * 1000 : undefined;
}
