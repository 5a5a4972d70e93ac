/**
 * A call's media: one RTCPeerConnection at a time, offered on the socket and offered anew when it
 * breaks. It knows neither the protocol's state nor the page; what it needs comes in as `MediaHost`.
 */

import { Refusal } from "./api.js";
import { backoffMs, noEarlierThan } from "./backoff.js";
import { isCurable } from "./callstate.js";
import { preferStereo } from "./stereo.js";

/** @typedef {import("./rpc.js").Rpc} Rpc */

/**
 * @typedef {object} MediaHost
 * @property {() => Rpc | null} socket  the one that stands and has joined
 * @property {(rpc: Rpc) => boolean} isCurrent  the call goes on, and on this socket
 * @property {() => boolean} keepsOld  being moved: the old room is heard until the new one can be
 * @property {(tries: number) => boolean} goesOn  after so many offers in vain; if not, the call has ended
 * @property {() => void} onUp
 * @property {(reason: string) => void} onDown
 * @property {(stream: MediaStream) => void} onStream
 * @property {(error: unknown) => void} onError  what no other offer would cure
 */

const OFFER_TIMEOUT_MS = 15_000;
const MEDIA_TIMEOUT_MS = 12_000; // a DTLS flight lost three times is repeated within 8 s
const ICE_PATIENCE_MS = 5_000; // shorter gaps heal by themselves

export class Media {
  #host;
  /** @type {MediaStreamTrack | null} */
  #track;
  #muted = false;
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  /** Of the old room, while somebody is moved. @type {RTCPeerConnection | null} */
  #retiring = null;
  /** @type {MediaStream | null} */
  #stream = null;
  #generation = 0;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {RTCIceServer[]} */
  iceServers = [];
  /** Offers made since the start. */
  offers = 0;

  /**
   * @param {MediaHost} host
   * @param {MediaStreamTrack | null} track  what this person sends
   */
  constructor(host, track) {
    this.#host = host;
    this.#track = track;
  }

  get peer() {
    return this.#peer;
  }
  get isConnected() {
    return this.#peer?.connectionState === "connected";
  }
  get hasTrack() {
    return this.#track !== null;
  }
  get muted() {
    return this.#muted;
  }
  set muted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  /**
   * Send another track from now on; nobody notices more than the change of sound.
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(track) {
    this.#track = track;
    if (track) track.enabled = !this.#muted;
    await this.#peer?.getSenders()[0]?.replaceTrack(track);
  }

  /**
   * Offer a new connection on this socket; where that fails for now, it is tried again by itself.
   * Throws what no other try would cure.
   * @param {Rpc} rpc
   */
  async connect(rpc) {
    try {
      await this.#negotiate(rpc);
    } catch (error) {
      if (!rpc.isOpen || !isCurable(error)) throw error;
      this.#host.onDown("media_lost");
      this.repairAfter(this.#wish(error));
    }
  }

  /**
   * Offer again after a while, unless the socket went meanwhile: then joining repairs both.
   * @param {number} ms
   */
  repairAfter(ms) {
    this.cancelRepair();
    this.#tries += 1;
    if (!this.#host.goesOn(this.#tries)) return;
    this.#timer = setTimeout(() => this.#repair(), ms);
  }

  cancelRepair() {
    clearTimeout(this.#timer);
  }

  /** It flows, and everything else stands too: the next trouble begins from the beginning. */
  settled() {
    this.#tries = 0;
  }

  /** The new room can be heard: the old one is done with. */
  switchOver() {
    if (this.#stream) this.#host.onStream(this.#stream);
    this.#retiring?.close();
    this.#retiring = null;
  }

  /** End it; what is under way comes to nothing. */
  close() {
    this.cancelRepair();
    this.#generation += 1;
    this.#peer?.close();
    this.#retiring?.close();
    this.#peer = null;
  }

  /** End it, and let go of what was sent. */
  stepDown() {
    this.close();
    this.#track = null;
  }

  /**
   * Offer a new media connection; the old one is closed once the new is answered (its farewell
   * must not reach the server first, which would take it for leaving).
   * @param {Rpc} rpc
   */
  async #negotiate(rpc) {
    this.cancelRepair();
    const generation = ++this.#generation;
    const old = this.#peer;
    const peer = this.#makePeer(rpc);
    this.#peer = peer;
    this.offers += 1;
    try {
      const offer = await peer.createOffer();
      await peer.setLocalDescription({ type: "offer", sdp: preferStereo(offer.sdp ?? "") });
      const sdp = peer.localDescription?.sdp;
      const answer = await rpc.request("offer", { sdp: { type: "offer", sdp } }, OFFER_TIMEOUT_MS);
      if (generation !== this.#generation) return;
      await peer.setRemoteDescription(answer.sdp);
    } finally {
      if (old && this.#host.keepsOld()) this.#retiring = old;
      else old?.close();
      if (generation !== this.#generation) peer.close();
    }
    this.#timer = setTimeout(() => this.#failed(peer), MEDIA_TIMEOUT_MS);
    this.#watch(peer);
  }

  /**
   * @param {Rpc} rpc
   * @returns {RTCPeerConnection}
   */
  #makePeer(rpc) {
    if (typeof RTCPeerConnection !== "function") throw new Refusal("no_webrtc", "This browser has no WebRTC.");
    const peer = new RTCPeerConnection({ iceServers: this.iceServers, bundlePolicy: "max-bundle" });
    const transceiver = peer.addTransceiver(this.#track ?? "audio", { direction: "sendrecv" });
    preferOpus(transceiver);
    peer.ontrack = ({ track }) => {
      this.#stream = new MediaStream([track]);
      if (!this.#host.keepsOld()) this.#host.onStream(this.#stream);
    };
    peer.onconnectionstatechange = () => this.#watch(peer);
    trickle(peer, (candidate) => {
      if (peer === this.#peer) rpc.notify("icecandidate", { candidate });
    });
    return peer;
  }

  /** @param {RTCPeerConnection} peer */
  #watch(peer) {
    if (peer !== this.#peer) return;
    if (peer.connectionState === "connected") {
      this.cancelRepair();
      this.#host.onUp();
    } else if (peer.connectionState === "disconnected") {
      this.cancelRepair();
      this.#timer = setTimeout(() => this.#failed(peer), ICE_PATIENCE_MS);
    } else if (peer.connectionState === "failed") {
      this.#failed(peer);
    }
  }

  /** @param {RTCPeerConnection} peer */
  #failed(peer) {
    if (peer !== this.#peer || peer.connectionState === "connected") return;
    this.#host.onDown("media_lost");
    this.repairAfter(backoffMs(this.#tries));
  }

  async #repair() {
    const rpc = this.#host.socket();
    if (!rpc) return;
    try {
      await this.#negotiate(rpc);
    } catch (error) {
      if (!this.#host.isCurrent(rpc)) return;
      if (!isCurable(error)) this.#host.onError(error);
      else if (error instanceof Refusal && error.code === "not_joined") rpc.abandon();
      else this.repairAfter(this.#wish(error));
    }
  }

  /**
   * The server's wish for the next offer, or our own patience.
   * @param {unknown} error
   */
  #wish(error) {
    const wished = error instanceof Refusal ? error.retryAfterMs : null;
    return wished === null ? backoffMs(this.#tries) : noEarlierThan(wished);
  }
}

/**
 * Send candidates as they are found, but none before the offer was answered.
 * @param {RTCPeerConnection} peer
 * @param {(candidate: object) => void} send
 */
function trickle(peer, send) {
  /** @type {object[]} */
  const early = [];
  const flush = () => {
    if (peer.remoteDescription) for (const candidate of early.splice(0)) send(candidate);
  };
  peer.onicecandidate = ({ candidate }) => {
    early.push(candidate?.candidate ? candidate.toJSON() : { completed: true });
    flush();
  };
  peer.onsignalingstatechange = flush;
}

/**
 * Offer Opus and its redundancy only; the rest of a browser's list is telephony.
 * @param {RTCRtpTransceiver} transceiver
 */
function preferOpus(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.("audio")?.codecs ?? [];
  const wanted = codecs.filter(({ mimeType }) => /^audio\/(opus|red)$/i.test(mimeType));
  if (wanted.length > 0) transceiver.setCodecPreferences?.(wanted);
}
