/**
 * The listener's player: plays a room's live stream and finds its way back after every loss.
 *
 * hls.js plays it where Media Source Extensions exist; iPhones play it themselves. A live stream
 * cannot be paused: playing again starts at the live edge, or in the past where it was left.
 */

import Hls from "../vendor/hls.mjs";
import { airOf, askAir } from "./air.js";
import { expiryMs, Refusal, serverNow } from "./api.js";
import { BackBuffer } from "./backbuffer.js";
import { backoffMs } from "./backoff.js";
import { creditsAt, NO_CREDITS } from "./credits.js";
import { Distance, excessS } from "./distance.js";
import { CLASSIC, LOW_LATENCY } from "./hlsconfig.js";
import { nativeStart, positionOf } from "./streamdates.js";
import { Tracks } from "./tracks.js";

/**
 * @typedef {"stopped" | "starting" | "off_air" | "live" | "reconnecting" | "ended"} State
 * @typedef {"" | "network" | "server" | "right" | "sound"} Trouble  why it does not play, if it is known
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
  stopped: ["starting"],
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
const CALM_AGAIN_MS = 8_000; // played so long, a failure is forgotten
const KEPT_MS = 300_000; // paused: a browser that has nothing to play takes its buttons away
const BEHIND_MS = 4_000; // beyond the target: heard as "late"
const LEAST_SHIFT_S = 30; // a shorter window is no place to look around in
const AT_EDGE_S = 2; // so near it is live

/** The list of renditions, and the default one's playlist. */
const PLAYLISTS = {
  master: { lowLatency: "master.m3u8", classic: "classic-master.m3u8" },
  media: { lowLatency: "stream.m3u8", classic: "classic.m3u8" },
};

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
  /** Of a pause: it loads nothing, and is there for the browser's sake. @type {Hls | null} */
  #kept = null;
  #distance;
  #wanted = false;
  /** The browser wants another press before anything sounds. */
  isBlocked = false;
  #follows = true; // the edge, and not what somebody looked for in the past
  /** Of the past that was left: the date, in Unix milliseconds. @type {number | null} */
  #returnTo = null;
  #startedAt = 0;
  #heardAt = -Infinity;
  #movedAt = 0;
  #lastTime = 0;
  #recoveredAt = -Infinity;
  #tries = 0;
  #failedAt = -Infinity;
  #waits = false; // there may be nothing to play, or nothing new: its playlist says when there is
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {(() => void) | null} */
  #retryNow = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #keptTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #lookTimer;

  /** @param {PlayerOptions} options */
  constructor(options) {
    this.#options = options;
    this.#audio = options.audio;
    this.#distance = new Distance(options.audio);
    this.#audio.addEventListener("pause", () => this.#pausedFromOutside());
    this.#audio.addEventListener("ended", () => this.#streamEnded());
    this.#audio.addEventListener("error", () => {
      if (!this.#hls && this.#wanted) this.#retryLater("refused"); // it gives no reason: perhaps a key's
    });
    this.#audio.addEventListener("loadedmetadata", () => this.#returnNatively());
    this.tracks = new Tracks(options.audio, () => this.#hls);
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
    return this.#distance.stalls;
  }

  /** Fetch the first token, so that the click on Play needs no waiting. Throws Refusal. */
  async prepare() {
    this.#ticket = await this.#options.trade();
    this.#renewInTime();
  }

  /** Start at the live edge, or where the past was left; call it from a click. */
  play() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.isBlocked = false;
    this.#distance.begin();
    this.#tries = 0;
    this.#waits = false;
    this.#startedAt = performance.now();
    this.#step("starting");
    this.#lookTimer = setInterval(() => this.#look(), LOOK_MS);
    this.#begin();
  }

  /** Load nothing more; what is there stays for a while, and with it the system's buttons. */
  pause() {
    if (!this.#wanted) return;
    this.#halt();
    this.#keepPlace();
    this.#audio.pause();
    this.#hls?.stopLoad();
    this.#kept = this.#hls;
    this.#hls = null;
    this.#keptTimer = setTimeout(() => this.#dropStream(), KEPT_MS);
    this.#step("stopped");
  }

  /** Jump to the live edge. */
  goLive() {
    const window = this.#window();
    this.#forgetPlace();
    if (window) this.#seek(window.edge);
  }

  /**
   * Play from a moment of the past on, in seconds of the stream; at the edge it is live again.
   * @param {number} at
   */
  seek(at) {
    const window = this.#window();
    if (!window) return;
    if (at >= window.edge - AT_EDGE_S) return this.goLive();
    this.#follows = false;
    this.#returnTo = null;
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
    return !this.#follows || (this.#hls !== null && excessS(this.#hls) * 1000 > BEHIND_MS);
  }

  /** Where one may go, if the stream reaches back far enough for that. @returns {Window | null} */
  shift() {
    const window = this.#state === "live" || this.#state === "reconnecting" ? this.#window() : null;
    return window && window.edge - window.start >= LEAST_SHIFT_S ? window : null;
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
    this.#movedAt = performance.now();
    if (this.#waits && !(await this.#isOnAir(turn))) return;
    if (!this.#ticket || expiryMs(this.#ticket.expiresAt) <= serverNow()) {
      if (!(await this.#renew())) return;
      if (turn !== this.#turn || !this.#wanted) return;
    }
    if (playsNatively()) this.#beginNative(turn);
    else this.#beginHls();
    this.#audio.play().catch((error) => this.#playRefused(error));
  }

  /**
   * Ask the playlist whether there is something to play; else try again later.
   * @param {number} turn
   */
  async #isOnAir(turn) {
    const air = await askAir(this.#address("media"));
    if (turn !== this.#turn || !this.#wanted) return false;
    // Of what is over, the past can still be heard to its end.
    this.#waits = air !== "live" && (air !== "over" || this.#returnTo === null);
    if (!this.#waits) return true;
    this.#noteAir(air);
    this.#retryLater(air);
    return false;
  }

  /** @param {keyof typeof PLAYLISTS} which */
  #address(which) {
    const url = new URL(/** @type {string} */ (this.#ticket?.hlsUrl), location.origin);
    const { lowLatency, classic } = PLAYLISTS[which];
    const isClassic = this.#options.classic || (playsNatively() && isDirect(url));
    url.pathname = url.pathname.replace(/[^/]+$/, isClassic ? classic : lowLatency);
    return url;
  }

  /** @param {number} turn */
  #beginNative(turn) {
    const url = this.#address("master");
    url.searchParams.set("token", /** @type {string} */ (this.#ticket?.token)); // it can send no header
    this.#audio.src = url.href;
    askAir(this.#address("media")).then((air) => {
      if (air === "over" && turn === this.#turn && this.#returnTo === null) this.#streamEnded();
    });
  }

  #returnNatively() {
    const start = this.#hls ? undefined : nativeStart(this.#audio);
    if (start === undefined || this.#returnTo === null) return;
    const { seekable } = this.#audio;
    const least = seekable.length ? seekable.start(0) + 1 : 0;
    this.#audio.currentTime = Math.max(least, (this.#returnTo - start) / 1000);
  }

  #beginHls() {
    const config = this.#options.classic ? CLASSIC : LOW_LATENCY;
    const hls = new Hls({
      ...config,
      ...this.tracks.preference(),
      xhrSetup: (xhr, url) => this.#authorise(xhr, url),
    });
    hls.subtitleDisplay = false; // the page draws them: nothing is seen of an audio element
    this.#hls = hls;
    this.#distance.forget();
    new BackBuffer(hls);
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => this.tracks.restoreChannel());
    let isNew = true;
    hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
      if (hls !== this.#hls) return;
      if (isNew && this.#returnTo !== null) this.#return(hls, details);
      isNew = false;
      // hls.js would play the whole window of what is over, from its beginning.
      if (!details.live && this.#state !== "live" && this.#follows) this.#streamEnded();
    });
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (hls !== this.#hls) return;
      if (data.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) this.#distance.stalled();
      if (data.fatal || isDenied(data)) this.#failed(hls, data);
    });
    hls.loadSource(this.#address("master").href);
    hls.attachMedia(this.#audio);
  }

  /**
   * Go on where the past was left, or at the beginning of the window.
   * @param {Hls} hls
   * @param {import("../vendor/hls.mjs").LevelDetails} details
   */
  #return(hls, details) {
    const at = positionOf(details, this.#returnTo ?? 0);
    if (details.live && at > details.edge - Math.max(AT_EDGE_S, details.holdBack)) this.#forgetPlace();
    else hls.startLoad(Math.max(at, details.fragmentStart + 1));
  }

  /** The place is taken when it is heard, and not before: until then the stream may be lost again. */
  #returned() {
    const details = this.#hls?.latestLevelDetails;
    if (details && this.#returnTo !== null) {
      const at = Math.max(positionOf(details, this.#returnTo), details.fragmentStart + 1);
      if (Math.abs(this.#audio.currentTime - at) > AT_EDGE_S) this.#seek(at); // hls.js had begun at the edge
    }
    this.#returnTo = null;
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
    const { paused, ended, error } = this.#audio;
    const plays = this.#hls !== null || this.#audio.hasAttribute("src");
    if (this.#wanted && plays && paused && !ended && !error) this.pause();
  }

  /** The room is gone, which the next token tells, or its broadcast is off and may come back. */
  async #streamEnded() {
    if (!this.#wanted) return;
    this.#forgetPlace();
    this.#dropStream();
    this.#waits = true;
    const turn = ++this.#turn;
    if ((await this.#renew()) && turn === this.#turn) this.#retryLater("over");
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
    if (this.#hls) return this.#hls.playingDate?.getTime();
    const start = nativeStart(this.#audio);
    return start === undefined ? undefined : start + this.#audio.currentTime * 1000;
  }

  /** Who listens to the past goes on there when the stream has come back. */
  #keepPlace() {
    if (!this.#follows) this.#returnTo ??= this.#madeAt() ?? null;
    this.#follows = this.#returnTo === null;
  }

  #forgetPlace() {
    this.#follows = true;
    this.#returnTo = null;
  }

  /** @param {number} at */
  #seek(at) {
    this.#audio.currentTime = at;
    this.#distance.forget();
    this.#movedAt = performance.now();
    this.#audio.play().catch(() => undefined);
  }

  /** @param {number} now */
  #keepDistance(now) {
    const hls = this.#hls;
    if (!hls || !this.#follows || !hls.latestLevelDetails?.live) return;
    const jump = this.#distance.keep(hls, now - this.#heardAt);
    if (jump !== null) this.#seek(jump);
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
      hls.recoverMediaError(); // a new source, which begins as paused
      this.#audio.play().catch((error) => this.#playRefused(error));
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      const air = airOfError(data);
      this.#noteAir(air);
      if (isDenied(data)) this.#note("right");
      this.#retryLater(air, hls);
    } else {
      this.#note("sound");
      this.#retryLater("server");
    }
  }

  /**
   * What is still buffered plays on meanwhile where hls.js only has to load again.
   * @param {import("./air.js").Air} air
   * @param {Hls | null} [reloadable]
   */
  #retryLater(air, reloadable = null) {
    if (!this.#wanted) return;
    this.#failedAt = performance.now();
    const noStream = air === "off_air" || air === "over";
    if (noStream && performance.now() - this.#startedAt > STARTING_MS) this.#step("off_air");
    else if (this.#state !== "starting" && this.#state !== "off_air" && this.#state !== "live") this.#step("reconnecting");
    const retry = async () => {
      clearTimeout(this.#retryTimer);
      this.#retryNow = null;
      if (air === "refused" && !(await this.#renew())) return;
      if (!this.#wanted) return;
      const loaded = reloadable === this.#hls && this.#state === "live" && reloadable?.levels.length;
      if (loaded) return reloadable.startLoad();
      this.#waits = true;
      this.#begin();
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
      if (now - this.#failedAt > CALM_AGAIN_MS) this.#forgetTrouble();
      if (this.#state !== "live") {
        this.#heardAt = now;
        this.#trouble = "";
        this.#step("live");
      }
      if (this.#returnTo !== null) this.#returned();
      else if (!this.#follows) this.#follows = this.#isAtEdge();
      return this.#keepDistance(now);
    }
    const still = now - this.#movedAt;
    if (this.#state === "live" && still > STALL_MS) this.#step("reconnecting");
    if (still > REBUILD_MS && !this.#retryNow) {
      this.#waits = true;
      this.#begin();
    }
  }

  #forgetTrouble() {
    this.#tries = 0;
    this.#trouble = "";
  }

  /** Where a window has left the past that was heard, hls.js goes to the edge. */
  #isAtEdge() {
    const window = this.#audio.seeking ? null : this.#window();
    return window !== null && window.at > window.edge - AT_EDGE_S;
  }

  /**
   * Trade the invite again; also the way to learn that a room is gone.
   * @returns {Promise<boolean>} false: it is over, or the server is away and another try is set
   */
  async #renew() {
    try {
      this.#ticket = await this.#options.trade();
      this.#renewInTime();
      return true;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal("unexpected", String(error));
      if (!this.#wanted) {
        if (FINAL.has(refusal.code)) this.#ticket = null; // the next play asks again, and says it
      } else if (FINAL.has(refusal.code)) {
        this.#halt();
        this.#forgetPlace();
        this.#dropStream();
        this.#step("ended", refusal);
      } else {
        this.#note(refusal.code === "unreachable" ? "network" : "right");
        if (this.#state === "live" && this.#audio.paused) this.#step("reconnecting");
        this.#retryLater("refused", this.#hls);
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

  #halt() {
    this.#wanted = false;
    this.#turn += 1;
    this.#retryNow = null;
    clearTimeout(this.#retryTimer);
    clearInterval(this.#lookTimer);
  }

  #dropStream() {
    clearTimeout(this.#keptTimer);
    const hls = this.#hls ?? this.#kept;
    const native = hls === null && this.#audio.hasAttribute("src");
    this.#keepPlace();
    hls?.destroy();
    this.#hls = this.#kept = null;
    if (!this.#wanted) this.#audio.pause();
    if (native) {
      this.#audio.removeAttribute("src");
      this.#audio.load();
    }
  }

  /** @param {import("./air.js").Air} air */
  #noteAir(air) {
    if (air === "off_air" || air === "over") this.#trouble = "";
    else this.#note(air === "network" ? "network" : "server");
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

/**
 * What an error of hls.js says of the broadcast: a playlist's tells whether it is on air.
 * @param {import("../vendor/hls.mjs").ErrorData} data
 */
function airOfError({ details, response, networkDetails }) {
  const { MANIFEST_LOAD_ERROR, LEVEL_LOAD_ERROR, AUDIO_TRACK_LOAD_ERROR } = Hls.ErrorDetails;
  const isPlaylist = [MANIFEST_LOAD_ERROR, LEVEL_LOAD_ERROR, AUDIO_TRACK_LOAD_ERROR].some((one) => one === details);
  if (!response?.code) return "network";
  return airOf(response.code, isPlaylist && networkDetails instanceof XMLHttpRequest ? networkDetails.responseText : "");
}

/** iPhones play a stream on with the screen locked only by themselves, never through a script. */
function playsNatively() {
  if ("MediaSource" in window && Hls.isSupported()) return false;
  return new Audio().canPlayType("application/vnd.apple.mpegurl") !== "";
}

/**
 * Whether a stream comes by HTTP/1.1, as without a proxy: Apple's players want HTTP/2 for low latency.
 * @param {URL} url
 */
function isDirect({ origin }) {
  const [page] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  return origin === location.origin && page?.nextHopProtocol === "http/1.1";
}

/** Whether this browser can play at all. */
export const canPlay = () => playsNatively() || Hls.isSupported();
