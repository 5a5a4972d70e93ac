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

const CONNECT_MS = 8_000; // a handshake takes a tenth of a second, a relay's detour one
const PATIENCE_MS = 4_000; // a short hole in a network heals by itself
const TRIES = 3; // before it has ever played
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
  #hasPlayed = false;
  #tries = 0;
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {LiveOptions} options */
  constructor(options) {
    this.#options = options;
    addEventListener("pagehide", () => this.#drop());
  }

  get state() {
    return this.#state;
  }
  get hls() {
    return null;
  }
  /** @returns {import("./player.js").Trouble} */
  get trouble() {
    return "";
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
    this.#tries = 0;
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

  /** @returns {import("./player.js").Channel[]} */
  channels() {
    return [];
  }

  choose() {}

  /** They are the broadcast's. @returns {import("./captions.js").Language[]} */
  captions() {
    return [];
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
    peer.addTransceiver("audio", { direction: "recvonly" });
    peer.ontrack = ({ track }) => {
      this.#options.audio.srcObject = new MediaStream([track]);
      this.#options.audio.play().catch((error) => {
        if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
        this.isBlocked = true;
        this.pause();
      });
    };
    peer.onconnectionstatechange = () => this.#watch(peer);
    this.#after(CONNECT_MS);
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

  /** @param {RTCPeerConnection} peer */
  #watch(peer) {
    if (peer !== this.#peer) return;
    clearTimeout(this.#timer);
    if (peer.connectionState === "connected") {
      this.#hasPlayed = true;
      this.#tries = 0;
      this.#step("live");
    } else if (peer.connectionState === "disconnected") this.#after(PATIENCE_MS);
    else if (peer.connectionState === "failed" || peer.connectionState === "closed") this.#again();
    else this.#after(CONNECT_MS);
  }

  /**
   * Begin anew, unless something happens within this time.
   * @param {number} ms
   */
  #after(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), ms);
  }

  #again() {
    if (!this.#wanted) return;
    this.#tries += 1;
    if (!this.#hasPlayed && this.#tries >= TRIES) return this.#unable();
    if (this.#state === "live") this.#step("reconnecting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(), backoffMs(this.#tries));
  }

  /** @param {unknown} error */
  #refused(error) {
    const refusal = error instanceof Refusal ? error : null;
    if (refusal && FINAL.has(refusal.code)) {
      this.#stop();
      this.#step("ended", refusal);
    } else if (refusal && !refusal.retryable) this.#unable();
    else this.#again();
  }

  #unable() {
    const wanted = this.#wanted;
    this.#stop();
    this.#state = "stopped";
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
