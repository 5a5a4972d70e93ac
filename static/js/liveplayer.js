/**
 * The listener's player without delay: a room by WebRTC, asked for by WHEP.
 *
 * It looks like the broadcast's player from outside. Where WebRTC cannot be had (the server lets
 * nobody, or nobody more; the network lets nothing through) it says so once, and the broadcast
 * takes over.
 */

import { expiryMs, Refusal, serverNow } from "./api.js";
import { backoffMs } from "./backoff.js";
import { NO_CREDITS } from "./credits.js";

/**
 * @typedef {import("./player.js").State} State
 *
 * @typedef {object} LiveOptions
 * @property {HTMLAudioElement} audio
 * @property {string} room
 * @property {() => Promise<import("./api.js").ListenTicket>} trade  a fresh token
 * @property {(state: State, reason: Refusal | null) => void} onState
 * @property {(wanted: boolean) => void} onUnable  the broadcast's turn; whether it shall play
 */

const FIRST_MS = 3_000; // a handshake takes a tenth of a second, a relay's detour one
const CONNECT_MS = 8_000; // for a network that needed longer
const PATIENCE_MS = 4_000; // a short hole in a network heals by itself
const TRIES = 3; // in a row that were in vain
/** The broadcast would not be heard either. */
const PASSING = new Set(["not_ready", "media_unavailable", "unreachable"]);
const FINAL = new Set(["room_not_found", "bad_invite", "wrong_pin", "forbidden", "unauthorized"]);

export class LivePlayer {
  #options;
  /** @type {State} */
  #state = "stopped";
  /** @type {import("./api.js").ListenTicket | null} */
  #ticket = null;
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** @type {string | null} */
  #address = null;
  #wanted = false;
  /** The browser wants another press before anything sounds. */
  isBlocked = false;
  /** They are the broadcast's. @type {import("./tracks.js").Tracks | null} */
  tracks = null;
  #tries = 0;
  #vain = 0; // of them, those that do not pass by themselves
  /** @type {import("./player.js").Trouble} */
  #trouble = "";
  #hasRenewed = false;
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {LiveOptions} options */
  constructor(options) {
    this.#options = options;
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted && this.#wanted) this.#resume();
    });
    options.audio.addEventListener("pause", () => this.#pausedFromOutside());
  }

  get state() {
    return this.#state;
  }
  get hls() {
    return null;
  }
  get trouble() {
    return this.#trouble;
  }
  get stalls() {
    return 0;
  }

  /** Fetch the first token. Throws Refusal. */
  async prepare() {
    this.#ticket = await this.#options.trade();
  }

  /** Start to listen; call it from a click. */
  play() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.isBlocked = false;
    this.#tries = this.#vain = 0;
    this.#hasRenewed = false;
    this.#step("starting");
    this.#begin();
  }

  pause() {
    if (!this.#wanted) return;
    this.#stop();
    this.#step("stopped");
  }

  goLive() {}

  /** Nothing says it, and it is too little to be told. */
  latencyMs() {
    return null;
  }

  isBehind() {
    return false;
  }

  /** There is no past to go to. */
  seek() {}

  shift() {
    return null;
  }

  credits() {
    return NO_CREDITS;
  }

  async #begin() {
    const turn = ++this.#turn;
    this.#drop();
    try {
      if (!this.#ticket || expiryMs(this.#ticket.expiresAt) <= serverNow()) await this.prepare();
      if (turn !== this.#turn) return;
      await this.#connect(turn, /** @type {import("./api.js").ListenTicket} */ (this.#ticket));
    } catch (error) {
      if (turn === this.#turn) this.#refused(error);
    }
  }

  /**
   * @param {number} turn
   * @param {import("./api.js").ListenTicket} ticket
   */
  async #connect(turn, ticket) {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#peer = peer;
    const { receiver } = peer.addTransceiver("audio", { direction: "recvonly" });
    this.#sound(receiver.track);
    peer.onconnectionstatechange = () => this.#watch(peer);
    this.#after(this.#tries ? CONNECT_MS : FIRST_MS);
    const offer = await peer.createOffer();
    const authorization = { Authorization: `Bearer ${ticket.token}` };
    const made = await fetch(`/whep/${this.#options.room}`, {
      method: "POST",
      headers: { ...authorization, "Content-Type": "application/sdp" },
      body: offer.sdp ?? "",
    });
    if (!made.ok) throw await refusalOf(made);
    const address = new URL(made.headers.get("Location") ?? "", location.origin).pathname;
    if (turn !== this.#turn) return leave(address, ticket.token);
    this.#address = address;
    // Before candidates are looked for, which the next line begins.
    peer.setConfiguration({ bundlePolicy: "max-bundle", iceServers: iceServers(made.headers.get("Link") ?? "") });
    await peer.setLocalDescription(offer);
    await peer.setRemoteDescription({ type: "answer", sdp: await made.text() });
  }

  /**
   * Before anything has come: a phone lets a page play in the very press alone.
   * @param {MediaStreamTrack} track
   */
  #sound(track) {
    const { audio } = this.#options;
    audio.srcObject = new MediaStream([track]);
    audio.play().catch((error) => {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.isBlocked = true;
      this.pause();
    });
  }

  /** The system's own pause (lock screen, headset, another call). */
  #pausedFromOutside() {
    const { audio } = this.#options;
    const plays = this.#state === "live" && this.#peer?.connectionState === "connected";
    if (plays && audio.paused && !audio.ended) this.pause();
  }

  /** The browser put the page away, and the connection ended there. */
  #resume() {
    if (this.#state === "live") this.#step("reconnecting");
    this.#tries = this.#vain = 0;
    this.#begin();
  }

  /** @param {RTCPeerConnection} peer */
  #watch(peer) {
    if (peer !== this.#peer) return;
    clearTimeout(this.#timer);
    if (peer.connectionState === "connected") {
      this.#tries = this.#vain = 0;
      this.#hasRenewed = false;
      this.#step("live");
    } else if (peer.connectionState === "disconnected") this.#after(PATIENCE_MS);
    else if (peer.connectionState === "failed" || peer.connectionState === "closed") this.#inVain();
    else this.#after(this.#tries ? CONNECT_MS : FIRST_MS);
  }

  /**
   * Begin anew, unless something happens within this time.
   * @param {number} ms
   */
  #after(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#inVain(), ms);
  }

  /** Another way is left. */
  #inVain() {
    this.#vain += 1;
    if (this.#wanted && this.#vain >= TRIES) this.#unable();
    else this.#again();
  }

  /** @param {import("./player.js").Trouble} [trouble] */
  #again(trouble = "") {
    if (!this.#wanted) return;
    this.#trouble = trouble;
    this.#tries += 1;
    if (this.#state === "live") this.#step("reconnecting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(), backoffMs(this.#tries));
  }

  /** @param {unknown} error */
  #refused(error) {
    const refusal = error instanceof Refusal ? error : null;
    const isRight = refusal?.code === "unauthorized" || refusal?.code === "forbidden";
    if (isRight && !this.#hasRenewed) {
      this.#hasRenewed = true; // the token's end is not that of the invite
      this.#ticket = null;
      this.#begin();
    } else if (refusal && FINAL.has(refusal.code)) {
      this.#stop();
      this.#step("ended", refusal);
    } else if (refusal && !refusal.retryable) this.#unable();
    else if (refusal && !PASSING.has(refusal.code)) this.#inVain();
    else {
      if (refusal?.code === "not_ready") this.#step("off_air");
      this.#again(refusal?.code === "not_ready" ? "" : refusal?.status ? "server" : "network");
    }
  }

  #unable() {
    const wanted = this.#wanted;
    this.#stop();
    this.#state = "stopped"; // unsaid: the other one says how it goes on
    this.#options.onUnable(wanted);
  }

  #stop() {
    this.#wanted = false;
    this.#turn += 1;
    this.#drop();
  }

  #drop() {
    clearTimeout(this.#timer);
    const peer = this.#peer;
    this.#peer = null;
    peer?.close();
    if (this.#address && this.#ticket) leave(this.#address, this.#ticket.token);
    this.#address = null;
    if (!this.#wanted) {
      this.#options.audio.pause();
      this.#options.audio.srcObject = null;
    }
  }

  /**
   * @param {State} next
   * @param {Refusal | null} [reason]
   */
  #step(next, reason = null) {
    if (next === this.#state) return;
    this.#state = next;
    this.#options.onState(next, reason);
  }
}

/** Whether this browser can listen by WebRTC. */
export const canPlayLive = () => typeof RTCPeerConnection === "function";

/**
 * Say goodbye, also while the page is being left; the server would notice by itself, later.
 * @param {string} address
 * @param {string} token
 */
function leave(address, token) {
  const headers = { Authorization: `Bearer ${token}` };
  fetch(address, { method: "DELETE", headers, keepalive: true }).catch(() => undefined);
}

/** @param {Response} answer */
async function refusalOf(answer) {
  const said = await answer.json().catch(() => ({}));
  const retryable = said.retryable ?? answer.status >= 500;
  return new Refusal(said.code ?? "unexpected", said.error ?? answer.statusText, { status: answer.status, retryable });
}

/**
 * Read the ICE servers of a `Link` header (RFC 9725 §4.6).
 * @param {string} header
 * @returns {RTCIceServer[]}
 */
function iceServers(header) {
  return [...header.matchAll(/<([^>]+)>;\s*rel="ice-server"([^<]*)/g)].map(([, urls = "", rest = ""]) => {
    const username = /username="([^"]*)"/.exec(rest)?.[1];
    const credential = /credential="([^"]*)"/.exec(rest)?.[1];
    return { urls, ...(username === undefined ? {} : { username, credential: credential ?? "" }) };
  });
}
