/**
 * The listener's player: plays a room's live stream and finds its way back after every loss.
 *
 * hls.js plays it where Media Source Extensions exist; iPhones play it themselves. Pausing lets go
 * of the stream, since a live one cannot be paused: playing again starts at the live edge.
 */

import Hls from "../vendor/hls.mjs";
import { expiryMs, Refusal, serverNow } from "./api.js";

/**
 * @typedef {"stopped" | "starting" | "off_air" | "live" | "reconnecting" | "ended"} State
 *
 * @typedef {object} PlayerOptions
 * @property {HTMLAudioElement} audio
 * @property {() => Promise<import("./api.js").ListenTicket>} trade  a fresh token
 * @property {(state: State, reason: Refusal | null) => void} onState
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

const RETRY_MS = 2_000;
const LOOK_MS = 1_000;
const STALL_MS = 3_000; // two segments come late now and then
const REBUILD_MS = 9_000; // hls.js had its chance
const STARTING_MS = 12_000; // the first segments of a room take about six seconds
const DOUBT_MS = 8_000; // while nothing plays, ask this often whether the room is still there
const BEHIND_MS = 4_000; // beyond the target, two segments: heard as "late"

/** A room that is gone, or a right that is: trying on would not help. */
const FINAL = new Set(["room_not_found", "bad_invite", "wrong_pin", "forbidden", "unauthorized"]);

export class Player {
  #audio;
  #trade;
  #onState;
  /** @type {State} */
  #state = "stopped";
  /** @type {import("./api.js").ListenTicket | null} */
  #ticket = null;
  /** @type {Hls | null} */
  #hls = null;
  #wanted = false;
  #startedAt = 0;
  #movedAt = 0;
  #lastTime = 0;
  #recoveredAt = -Infinity;
  #tradedAt = 0;
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #lookTimer;

  /** @param {PlayerOptions} options */
  constructor({ audio, trade, onState }) {
    this.#audio = audio;
    this.#trade = trade;
    this.#onState = onState;
    audio.addEventListener("pause", () => this.#pausedFromOutside());
    audio.addEventListener("ended", () => this.#streamEnded());
    audio.addEventListener("error", () => {
      if (!this.#hls && this.#wanted) this.#retryLater(0);
    });
  }

  get state() {
    return this.#state;
  }
  get hls() {
    return this.#hls;
  }

  /** Fetch the first token, so that the click on Play needs no waiting. Throws Refusal. */
  async prepare() {
    this.#ticket = await this.#trade();
    this.#renewInTime();
  }

  /** Start at the live edge; call it from a click. */
  play() {
    if (this.#wanted) return;
    this.#wanted = true;
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
    const edge = this.#hls ? this.#hls.liveSyncPosition : null;
    const end = this.#audio.seekable.length > 0 ? this.#audio.seekable.end(0) : null;
    const target = edge ?? end;
    if (target !== null) this.#audio.currentTime = target;
    this.#audio.play().catch(() => undefined);
  }

  /** How long ago the sound that plays now was made, in milliseconds; null where nothing says. */
  latencyMs() {
    if (this.#state !== "live") return null;
    const made = this.#hls ? this.#hls.playingDate?.getTime() : nativeDate(this.#audio);
    if (made) return Math.max(0, serverNow() - made);
    return this.#hls && this.#hls.latency > 0 ? this.#hls.latency * 1000 : null;
  }

  /** Whether the live edge is audibly ahead. */
  isBehind() {
    if (!this.#hls || this.#state !== "live") return false;
    const target = (this.#hls.targetLatency ?? 0) * 1000;
    return target > 0 && this.#hls.latency * 1000 > target + BEHIND_MS;
  }

  // Playing ---------------------------------------------------------------

  async #begin() {
    const turn = ++this.#turn;
    this.#dropStream();
    this.#movedAt = performance.now();
    if (!this.#ticket || expiryMs(this.#ticket.expiresAt) <= serverNow()) {
      if (!(await this.#renew())) return;
      if (turn !== this.#turn || !this.#wanted) return;
    }
    if (playsNatively()) this.#beginNative();
    else this.#beginHls();
    this.#audio.play().catch((error) => this.#playRefused(error));
  }

  #beginNative() {
    const { hlsUrl, token } = /** @type {import("./api.js").ListenTicket} */ (this.#ticket);
    const url = new URL(hlsUrl, location.origin);
    url.searchParams.set("token", token); // the player can send no header
    this.#audio.src = url.href;
  }

  #beginHls() {
    const hls = new Hls({
      enableWorker: false, // audio needs no transmuxing thread, and CSP stays simple
      liveSyncDurationCount: 2, // two segments of 1.92 s: about four seconds behind
      liveSyncOnStallIncrease: 1,
      maxLiveSyncPlaybackRate: 1.04, // faster is heard in music
      backBufferLength: 30,
      liveDurationInfinity: true,
      xhrSetup: (xhr, url) => this.#authorise(xhr, url),
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (hls !== this.#hls || !data.fatal) return;
      const soon = performance.now() - this.#recoveredAt > 10_000;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && soon) {
        this.#recoveredAt = performance.now();
        hls.recoverMediaError();
      } else {
        this.#retryLater(data.response?.code ?? 0, data.type === Hls.ErrorTypes.NETWORK_ERROR ? hls : null);
      }
    });
    hls.loadSource(new URL(/** @type {string} */ (this.#ticket?.hlsUrl), location.origin).href);
    hls.attachMedia(this.#audio);
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
    if (error instanceof DOMException && error.name === "NotAllowedError") this.pause();
  }

  /** The system's own pause (lock screen, headset, another call). */
  #pausedFromOutside() {
    if (this.#wanted && this.#state === "live" && !this.#audio.ended) this.pause();
  }

  #streamEnded() {
    if (!this.#wanted) return;
    this.#stop();
    this.#step("ended");
  }

  // Coming back -----------------------------------------------------------

  /**
   * What is still buffered plays on meanwhile where hls.js only has to load again.
   * @param {number} status  HTTP status of what failed, 0 for a dead line
   * @param {Hls | null} [reloadable]
   */
  #retryLater(status, reloadable = null) {
    if (!this.#wanted) return;
    const noStream = status === 404 || status === 503;
    if (this.#state === "live" && !noStream) this.#movedAt = Math.min(this.#movedAt, performance.now());
    else if (noStream && performance.now() - this.#startedAt > STARTING_MS) this.#step("off_air");
    else if (this.#state !== "starting" && this.#state !== "off_air") this.#step("reconnecting");
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(async () => {
      const refused = status === 401 || status === 403 || status === 404;
      const doubtful = refused || performance.now() - this.#tradedAt > DOUBT_MS;
      if (doubtful && !(await this.#renew())) return;
      if (!this.#wanted) return;
      const loaded = reloadable === this.#hls && this.#state === "live" && reloadable?.levels.length;
      if (loaded) reloadable.startLoad();
      else this.#begin();
    }, RETRY_MS);
  }

  /** Once a second: does the sound move? */
  #look() {
    const now = performance.now();
    const time = this.#audio.currentTime;
    const moves = time !== this.#lastTime && !this.#audio.paused && !this.#audio.seeking;
    this.#lastTime = time;
    if (moves && this.#audio.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.#movedAt = now;
      if (this.#state !== "live") this.#step("live");
      return;
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
      this.#ticket = await this.#trade();
      this.#renewInTime();
      return true;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal("unexpected", String(error));
      if (FINAL.has(refusal.code)) {
        this.#stop();
        if (this.#state !== "ended") this.#step("ended", refusal);
      } else {
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

  /**
   * @param {State} next
   * @param {Refusal | null} [reason]
   */
  #step(next, reason = null) {
    if (next === this.#state) return;
    if (!LEGAL[this.#state].includes(next)) throw new Error(`illegal transition: ${this.#state} to ${next}`);
    this.#state = next;
    this.#onState(next, reason);
  }
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
