/**
 * One person's call: token → socket → join → media → live, and back again after a loss.
 *
 * Two things can break, and each is repaired by itself. The *socket*: a new one is opened after a
 * back-off and joins with the old `jtoken`; if the server says `resume`, the media connection was
 * never touched. The *media*: a new RTCPeerConnection is offered on the socket that still stands.
 * Nothing in here knows the page; what it needs comes in as `CallOptions`.
 */

import { expiryMs, Refusal, serverNow } from "./api.js";
import { backoffMs, noEarlierThan, Pause } from "./backoff.js";
import { Roster } from "./roster.js";
import { Rpc } from "./rpc.js";
import { preferStereo } from "./stereo.js";
import { Volumes } from "./volumes.js";

/**
 * @typedef {"idle" | "connecting" | "live" | "reconnecting" | "ended"} State
 * @typedef {"start" | "settled" | "lost" | "end"} Event
 *
 * @typedef {object} Person
 * @property {string} userId
 * @property {string} [role]
 * @property {string} [status]  "onair", "idle" or "left"
 * @property {string} [displayName]
 * @property {boolean} [muted]
 * @property {boolean} [serverMuted]  by those who run the room: the person cannot undo it
 * @property {boolean} [canSpeak]  was granted to
 * @property {number | null} [hand]  raised, the lowest first
 *
 * @typedef {object} RoomNotice  what those inside may know of the room
 * @property {string} roomId
 * @property {string} [name]
 * @property {string} [profile]  "voice" or "music"
 * @property {boolean} [locked]
 * @property {boolean} [lobby]  who comes waits to be let in
 * @property {boolean} [chat]
 * @property {boolean} [chatListeners]
 * @property {boolean} [broadcast]
 *
 * @typedef {"stage" | "lobby" | "audience"} Place  where in the room: on the stage, waiting, listening
 *
 * @typedef {object} Outside  those outside the stage, for who lets in
 * @property {Person[]} waiting
 * @property {Person[]} hands
 *
 * @typedef {object} CallOptions
 * @property {() => Promise<import("./api.js").Ticket>} mint  a fresh token for this person
 * @property {(token: string) => string} socketUrl
 * @property {() => Promise<boolean>} isServerUp
 * @property {string} displayName
 * @property {string | undefined} pin
 * @property {MediaStreamTrack | null} track  what this person sends
 * @property {(state: State, reason: string | null, said: string | null) => void} onState
 * @property {(people: Person[]) => void} onPeople
 * @property {(levels: Record<string, number>) => void} onTalking
 * @property {(stream: MediaStream) => void} onStream  the room as this person hears it
 * @property {(room: RoomNotice) => void} onRoom  at each join, and when it was changed
 * @property {() => void} onUnmuteRequest  somebody who runs the room would like to hear this person
 * @property {(seconds: number, what: "room" | "server") => void} [onClosing]  it ends, or restarts, in so many seconds
 * @property {(place: Place, grants: string[]) => void} [onPlace]  where this person is from now on, with what rights
 * @property {(outside: Outside) => void} [onLobby]
 * @property {(message: import("./chat.js").Message) => void} [onChat]
 * @property {(notice: import("./recordingsign.js").RecordingNotice | null) => void} [onRecording]  at each join, and on change
 * @property {boolean} [waitsForMicrophone]  once admitted, offer only when `goOnAir` is called
 */

/** @type {Record<State, Partial<Record<Event, State>>>} */
const LEGAL = {
  idle: { start: "connecting", end: "ended" },
  connecting: { settled: "live", lost: "connecting", end: "ended" },
  live: { settled: "live", lost: "reconnecting", end: "ended" },
  reconnecting: { settled: "live", lost: "reconnecting", end: "ended" },
  ended: { end: "ended" },
};

const OFFER_TIMEOUT_MS = 15_000;
const MEDIA_TIMEOUT_MS = 12_000; // a DTLS flight lost three times is repeated within 8 s
const ICE_PATIENCE_MS = 5_000; // shorter gaps heal by themselves
const GIVE_UP_MS = { connecting: 25_000, reconnecting: 300_000 };
const MEDIA_TRIES = 4; // each takes MEDIA_TIMEOUT_MS; then it is the path, not bad luck
const TOKEN_SPARE_MS = 20_000;

/** Close codes after which coming back by ourselves would be wrong. @type {Record<number, string>} */
const FINAL_CLOSE = {
  1000: "removed",
  4001: "replaced",
  4002: "moved",
  4003: "token_ended",
  4004: "room_closed",
  4005: "kicked",
  4006: "denied",
  4007: "waited",
};
/** Refusals a second try on the same or a new socket may cure. */
const CURABLE = new Set(["not_joined", "timeout", "socket_lost", "socket_refused", "unreachable"]);

export class Call {
  #options;
  /** @type {State} */
  #state = "idle";
  /** @type {string | null} */
  #reason = null;
  /** @type {import("./api.js").Ticket | null} */
  #ticket = null;
  #refusedTickets = 0;
  /** @type {string | null} */
  #jtoken = null;
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  #userId = "";
  #clientId = uuid4();
  /** @type {Rpc | null} */
  #rpc = null;
  #joined = false;
  /** @type {Place} */
  #place = "stage";
  /** @type {string[]} */
  #grants = [];
  #role = "";
  /** @type {RoomNotice | null} */
  #room = null;
  #roster = new Roster();
  /** @type {RTCPeerConnection | null} */
  #peer = null;
  #generation = 0;
  #mediaTries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #mediaTimer;
  /** @type {MediaStreamTrack | null} */
  #track;
  #muted = false;
  #pause = new Pause();
  #troubleSince = 0;
  #counts = { sockets: 0, offers: 0, resumes: 0 };
  #moves = 0;
  /** The socket of a room this person is moved away from. @type {Rpc | null} */
  #moving = null;
  #joinedAfterMove = false;
  /** @type {RTCPeerConnection | null} */
  #retiring = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** How this person hears the others. */
  volumes = new Volumes((userId, volume) => this.#tellVolume(userId, volume));

  /** @param {CallOptions} options */
  constructor(options) {
    this.#options = options;
    this.#track = options.track;
  }

  get state() {
    return this.#state;
  }
  get reason() {
    return this.#reason;
  }
  get userId() {
    return this.#userId;
  }
  /** What this person knows of the room. */
  get room() {
    return this.#room;
  }
  get place() {
    return this.#place;
  }
  /** What this person may do: names of docs/protocol.md, “Roles and grants”. */
  get grants() {
    return this.#grants;
  }
  get muted() {
    return this.#muted;
  }
  get peer() {
    return this.#peer;
  }
  /** Sockets opened, offers made, resumes granted since the start. */
  get counts() {
    return { ...this.#counts };
  }
  /** How often this person was moved to another room. */
  get moves() {
    return this.#moves;
  }
  /** Whether the room can be heard, also while the socket is away. */
  get hasMedia() {
    return this.#peer?.connectionState === "connected";
  }

  /** Connect, and stay connected until `leave()` or an end the server decides. */
  async start() {
    this.#step("start", null);
    this.#troubleSince = performance.now();
    for (let attempt = 0; this.#state !== "ended"; attempt += 1) {
      try {
        let rpc = await this.#connect();
        attempt = 0;
        let { code } = await rpc.closed;
        while (rpc === this.#moving && this.#rpc && rpc !== this.#rpc) {
          rpc = this.#rpc; // of the other room
          ({ code } = await rpc.closed);
        }
        if (this.#joined) this.#troubleSince = performance.now();
        this.#joined = false;
        this.#cancelRepair();
        const final = FINAL_CLOSE[code];
        if (final) return this.#end(final);
        this.#lose("socket_lost");
      } catch (error) {
        this.#joined = false;
        if (!this.#mayRetry(error)) return this.#endBy(error);
        await this.#waitBefore(attempt, error);
        continue;
      }
      await this.#waitBefore(0, null);
    }
  }

  /** End at once; also right while a page is being closed. */
  leave() {
    this.#rpc?.notify("leave");
    this.#end("left");
  }

  /**
   * Call any method of the protocol.
   * @param {string} method
   * @param {object} [params]
   * @returns {Promise<any>} the result; throws Refusal
   */
  ask(method, params = {}) {
    if (!this.#rpc) return Promise.reject(new Refusal("socket_lost", "There is no connection now.", { retryable: true }));
    return this.#rpc.request(method, params);
  }

  /**
   * Go on air with this track, where `waitsForMicrophone` left it to the page.
   * @param {MediaStreamTrack} track
   */
  async goOnAir(track) {
    await this.setTrack(track);
    if (this.#rpc) await this.#negotiateOrRepair(this.#rpc);
  }

  /**
   * End for a reason of the page's own.
   * @param {string} reason
   */
  end(reason) {
    this.#rpc?.notify("leave");
    this.#end(reason);
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
    this.#tellMuted();
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

  /** The network is back or the page awake: look now instead of waiting. */
  retryNow() {
    this.#pause.wake();
    this.#rpc?.probe(3_000);
  }

  // State -----------------------------------------------------------------

  /**
   * @param {Event} event
   * @param {string | null} reason
   * @param {string | null} [said]
   */
  #step(event, reason, said = null) {
    const next = LEGAL[this.#state][event];
    if (next === undefined) throw new Error(`illegal transition: ${this.#state}, ${event}`);
    this.#state = next;
    this.#reason = reason;
    this.#options.onState(next, reason, said);
  }

  /** Live needs both: the socket joined and the media flowing. */
  #settle() {
    if (this.#state === "ended" || !this.#joined || !this.hasMedia) return;
    this.#mediaTries = 0;
    this.#refusedTickets = 0;
    this.#step("settled", null);
    this.#rpc?.notify("status", { status: "onair" });
  }

  /** @param {string} reason */
  #lose(reason) {
    if (this.#state === "ended") return;
    if (this.#state === "live") this.#troubleSince = performance.now();
    this.#step("lost", reason);
  }

  /**
   * @param {string} reason
   * @param {string | null} [said]
   */
  #end(reason, said = null) {
    if (this.#state === "ended") return;
    this.#joined = false;
    this.#cancelRepair();
    this.#generation += 1;
    this.#step("end", reason, said);
    this.#rpc?.close();
    this.#peer?.close();
    this.#retiring?.close();
    this.#peer = null;
    this.#pause.wake();
  }

  /** @param {unknown} error */
  #endBy(error) {
    if (error instanceof Refusal) return this.#end(error.code, error.message);
    console.error("the call ended on an unexpected error", error);
    this.#end("unexpected", error instanceof Error ? error.message : null);
  }

  /**
   * @param {unknown} error
   * @returns {boolean}
   */
  #mayRetry(error) {
    return error instanceof Refusal && (error.retryable || CURABLE.has(error.code));
  }

  /**
   * @param {number} attempt
   * @param {unknown} error
   */
  async #waitBefore(attempt, error) {
    if (this.#state === "ended") return;
    const patience = this.#state === "connecting" ? GIVE_UP_MS.connecting : GIVE_UP_MS.reconnecting;
    if (performance.now() - this.#troubleSince > patience) {
      const first = this.#state === "connecting" && error instanceof Refusal ? error.code : "gave_up";
      return this.#end(first === "socket_refused" ? "unreachable" : first);
    }
    const wished = error instanceof Refusal && error.retryAfterMs ? noEarlierThan(error.retryAfterMs) : 0;
    await this.#pause.wait(Math.max(backoffMs(attempt), wished));
  }

  // Socket ----------------------------------------------------------------

  /** @returns {Promise<Rpc>} joined, with media on its way */
  async #connect() {
    if (!this.#ticket || expiryMs(this.#ticket.expiresAt) - serverNow() < TOKEN_SPARE_MS) {
      if (this.#moving) throw new Refusal("token_ended", "The token for this room has expired.");
      this.#ticket = await this.#options.mint();
    }
    this.#mustGoOn();
    const rpc = new Rpc(
      this.#options.socketUrl(this.#ticket.token),
      (method, params) => this.#notified(rpc, method, params),
      () => (this.hasMedia ? "onair" : "idle"),
    );
    this.#rpc = rpc;
    this.#counts.sockets += 1;
    try {
      await rpc.open();
      await this.#join(rpc);
    } catch (error) {
      rpc.abandon();
      if (error instanceof Refusal && error.code === "socket_refused") await this.#doubtTicket();
      throw error;
    }
    return rpc;
  }

  #mustGoOn() {
    if (this.#state === "ended") throw new Refusal("left", "The call was ended meanwhile.");
  }

  /** A browser hides why a socket was refused; a server that is up refused the token. */
  async #doubtTicket() {
    if (!(await this.#options.isServerUp())) return;
    this.#ticket = null;
    this.#refusedTickets += 1;
    if (this.#refusedTickets >= 3) throw new Refusal("token_ended", "The server refuses this token.");
  }

  /** @param {Rpc} rpc */
  async #join(rpc) {
    const { displayName, pin } = this.#options;
    const joined = await rpc.request("join", {
      clientId: this.#clientId,
      displayName,
      deltas: true,
      ...(pin ? { pin } : {}),
      ...(this.#jtoken ? { jtoken: this.#jtoken } : {}),
    });
    this.#mustGoOn();
    this.#iceServers = joined.iceServers ?? [];
    await this.#take(rpc, joined);
  }

  /**
   * Take what the server says of this person's place: after a join, and when they are let in.
   * @param {Rpc} rpc
   * @param {any} joined
   */
  async #take(rpc, joined) {
    if (joined.jtoken) this.#jtoken = joined.jtoken;
    this.#userId = joined.userId ?? this.#ticket?.userID ?? "";
    this.#joined = true;
    this.#place = joined.place ?? "stage";
    this.#role = joined.role ?? "";
    this.#grants = joined.grants ?? [];
    if (joined.participants) this.#reset(joined.participants);
    if (joined.room) this.#roomChanged(joined.room);
    this.#options.onRecording?.(joined.recording ?? null);
    this.#options.onPlace?.(this.#place, this.#grants);
    if (this.#place !== "stage") return;
    this.#tellMuted();
    if (!joined.resume) this.volumes.repeat();
    if (joined.resume && this.hasMedia) {
      this.#counts.resumes += 1;
      return this.#settle();
    }
    if (this.#options.waitsForMicrophone && !this.#track) return;
    await this.#negotiateOrRepair(rpc);
  }

  /** @param {Rpc} rpc */
  async #negotiateOrRepair(rpc) {
    try {
      await this.#negotiate(rpc);
    } catch (error) {
      if (!rpc.isOpen || !this.#mayRetry(error)) throw error;
      this.#lose("media_lost");
      this.#repairAfter(this.#wish(error));
    }
  }

  #tellMuted() {
    if (this.#joined && this.#place === "stage") this.#rpc?.request("mute", { muted: this.#muted }).catch(() => undefined);
  }

  /**
   * @param {string} userId
   * @param {import("./volumes.js").Volume} volume
   */
  #tellVolume(userId, volume) {
    if (this.#joined) this.#rpc?.request("volume", { userId, ...volume }).catch(() => undefined);
  }

  /**
   * @param {Rpc} rpc
   * @param {string} method
   * @param {any} params
   */
  #notified(rpc, method, params) {
    if (rpc !== this.#rpc || this.#state === "ended") return;
    if (method === "roomStatus" && Array.isArray(params)) this.#options.onPeople(params);
    else if (method === "talking") this.#options.onTalking(params?.levels ?? {});
    else if (method === "roomChanged") this.#roomChanged(params);
    else if (method === "unmuteRequest") this.#options.onUnmuteRequest();
    else if (method === "roomClosing") this.#options.onClosing?.(Number(params?.seconds) || 0, "room");
    else if (method === "draining") this.#options.onClosing?.((Number(params?.endsInMs) || 0) / 1000, "server");
    else if (method === "participants") this.#peopleChanged(rpc, params);
    else if (method === "lobby") this.#options.onLobby?.(params);
    else if (method === "recording") this.#options.onRecording?.(params);
    else if (method === "chat") this.#options.onChat?.(params);
    else if (method === "admitted") this.#take(rpc, params).catch((error) => this.#endBy(error));
    else if (method === "offStage") this.#stepDown();
    else if (method === "moved") this.#move(rpc, params);
    else if (method === "roomClosed") this.#end("room_closed", params?.reason ?? null);
    else if (method === "reconnect") {
      this.#lose(params?.reason || "media_lost");
      this.#repairAfter(noEarlierThan(Number(params?.retryAfterMs) || 0));
    }
  }

  /** @param {RoomNotice} room */
  #roomChanged(room) {
    this.#room = room;
    this.#options.onRoom(room);
  }

  /** @param {{version: number, snapshot: Person[]}} told */
  #reset(told) {
    this.#roster.reset(told);
    this.#options.onPeople(this.#roster.list);
  }

  /**
   * @param {Rpc} rpc
   * @param {any} told
   */
  async #peopleChanged(rpc, told) {
    const complete = this.#roster.apply(told);
    if (complete) this.#options.onPeople(this.#roster.list);
    const me = this.#roster.list.find(({ userId }) => userId === this.#userId);
    if (complete && (!me?.role || me.role === this.#role)) return;
    const whole = await rpc.request("resync").catch(() => null); // the next change asks again
    if (!whole || rpc !== this.#rpc || this.#place !== "stage") return;
    this.#role = whole.role;
    this.#grants = whole.grants;
    this.#reset(whole);
    this.#options.onPlace?.(this.#place, this.#grants);
  }

  /** The stage is left, the socket stays: this person listens. */
  #stepDown() {
    this.#cancelRepair();
    this.#generation += 1;
    this.#peer?.close();
    this.#peer = null;
    this.#track = null;
    this.#place = "audience";
    this.#grants = [];
    this.#options.onPlace?.("audience", []);
  }

  /**
   * Go to another room: its socket first, then its media, and only then away from here, so that
   * they are in both rooms for a moment, and in none at no time.
   * @param {Rpc} old
   * @param {{token: string, expiresAt: string, jtoken: string}} told
   */
  async #move(old, told) {
    this.#ticket = { userID: this.#userId, token: told.token, expiresAt: told.expiresAt };
    this.#jtoken = told.jtoken;
    this.#moving = old;
    this.#joinedAfterMove = false;
    this.#moves += 1;
    try {
      await this.#connect();
    } catch {
      old.abandon(); // the other room is tried again as after any loss
    }
  }

  // Media -----------------------------------------------------------------

  /**
   * Offer a new media connection on this socket; the old one is closed once the new is answered
   * (its farewell must not reach the server first, which would take it for leaving).
   * @param {Rpc} rpc
   */
  async #negotiate(rpc) {
    this.#cancelRepair();
    const generation = ++this.#generation;
    const old = this.#peer;
    const peer = this.#makePeer(rpc);
    this.#peer = peer;
    this.#counts.offers += 1;
    try {
      const offer = await peer.createOffer();
      await peer.setLocalDescription({ type: "offer", sdp: preferStereo(offer.sdp ?? "") });
      const sdp = peer.localDescription?.sdp;
      const answer = await rpc.request("offer", { sdp: { type: "offer", sdp } }, OFFER_TIMEOUT_MS);
      if (generation !== this.#generation) return;
      await peer.setRemoteDescription(answer.sdp);
    } finally {
      if (old && this.#moving && !this.#joinedAfterMove) this.#retiring = old;
      else old?.close();
      if (generation !== this.#generation) peer.close();
    }
    this.#mediaTimer = setTimeout(() => this.#mediaFailed(peer), MEDIA_TIMEOUT_MS);
    this.#watch(peer);
  }

  /**
   * @param {Rpc} rpc
   * @returns {RTCPeerConnection}
   */
  #makePeer(rpc) {
    if (typeof RTCPeerConnection !== "function") throw new Refusal("no_webrtc", "This browser has no WebRTC.");
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    const transceiver = peer.addTransceiver(this.#track ?? "audio", { direction: "sendrecv" });
    preferOpus(transceiver);
    peer.ontrack = ({ track }) => {
      this.#stream = new MediaStream([track]);
      // Somebody who is moved hears the old room until the new one can be heard.
      if (!this.#moving || this.#joinedAfterMove) this.#options.onStream(this.#stream);
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
      this.#cancelRepair();
      this.#retire();
      this.#settle();
    } else if (peer.connectionState === "disconnected") {
      this.#cancelRepair();
      this.#mediaTimer = setTimeout(() => this.#mediaFailed(peer), ICE_PATIENCE_MS);
    } else if (peer.connectionState === "failed") {
      this.#mediaFailed(peer);
    }
  }

  /** The new room can be heard: the old one is done with. */
  #retire() {
    if (!this.#moving || this.#joinedAfterMove) return;
    this.#joinedAfterMove = true;
    if (this.#stream) this.#options.onStream(this.#stream);
    this.#retiring?.close();
    this.#retiring = null;
    this.#moving.notify("leave");
    this.#moving.abandon();
  }

  /** @param {RTCPeerConnection} peer */
  #mediaFailed(peer) {
    if (peer !== this.#peer || peer.connectionState === "connected" || this.#state === "ended") return;
    this.#lose("media_lost");
    this.#repairAfter(backoffMs(this.#mediaTries));
  }

  /**
   * Offer again after a while, unless the socket went meanwhile: then joining repairs both.
   * @param {number} ms
   */
  #repairAfter(ms) {
    this.#cancelRepair();
    this.#mediaTries += 1;
    if (this.#mediaTries > MEDIA_TRIES && this.#state === "connecting") return this.#end("no_sound_path");
    if (performance.now() - this.#troubleSince > GIVE_UP_MS.reconnecting) return this.#end("gave_up");
    this.#mediaTimer = setTimeout(async () => {
      const rpc = this.#rpc;
      if (!rpc?.isOpen || !this.#joined) return;
      try {
        await this.#negotiate(rpc);
      } catch (error) {
        if (rpc !== this.#rpc || this.#state === "ended") return;
        if (!this.#mayRetry(error)) this.#endBy(error);
        else if (error instanceof Refusal && error.code === "not_joined") rpc.abandon();
        else this.#repairAfter(this.#wish(error));
      }
    }, ms);
  }

  /**
   * The server's wish for the next offer, or our own patience.
   * @param {unknown} error
   */
  #wish(error) {
    const wished = error instanceof Refusal ? error.retryAfterMs : null;
    return wished === null ? backoffMs(this.#mediaTries) : noEarlierThan(wished);
  }

  #cancelRepair() {
    clearTimeout(this.#mediaTimer);
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

/** A version 4 UUID; crypto.randomUUID is missing on plain http. */
function uuid4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte, at) => {
    const value = at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte;
    return value.toString(16).padStart(2, "0");
  }).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
