/**
 * One person's call: token → socket → join → media → live, and back again after a loss.
 *
 * Two things can break, and each is repaired by itself. The *socket*: a new one is opened after a
 * back-off and joins with the old `jtoken`; if the server says `resume`, the media connection was
 * never touched. The *media*: a new RTCPeerConnection is offered on the socket that still stands.
 * Nothing in here knows the page; what it needs comes in as `CallOptions`.
 */

import { Refusal } from "./api.js";
import { backoffMs, noEarlierThan, Pause } from "./backoff.js";
import { passOn } from "./callnews.js";
import { FINAL_CLOSE, isCurable, LEGAL } from "./callstate.js";
import { Media } from "./media.js";
import { Rpc } from "./rpc.js";
import { Tickets } from "./tickets.js";
import { uuid4 } from "./uuid.js";
import { Volumes } from "./volumes.js";
import { Whereabouts } from "./whereabouts.js";

/**
 * @typedef {import("./callstate.js").State} State
 * @typedef {import("./callstate.js").Event} Event
 * @typedef {import("./calloptions.js").CallOptions} CallOptions
 */

const GIVE_UP_MS = { connecting: 25_000, reconnecting: 300_000 };
const MEDIA_TRIES = 4; // each takes 12 s (media.js); then it is the path, not bad luck

export class Call {
  #options;
  /** @type {State} */
  #state = "idle";
  /** @type {string | null} */
  #reason = null;
  #tickets;
  /** @type {string | null} */
  #jtoken = null;
  #clientId = uuid4();
  /** @type {Rpc | null} */
  #rpc = null;
  #joined = false;
  #whereabouts;
  #media;
  #pause = new Pause();
  #troubleSince = 0;
  #counts = { sockets: 0, resumes: 0 };
  #moves = 0;
  /** The socket of a room this person is moved away from. @type {Rpc | null} */
  #moving = null;
  #joinedAfterMove = false;
  /** How this person hears the others. */
  volumes = new Volumes((userId, volume) => this.#tellVolume(userId, volume));

  /** @param {CallOptions} options */
  constructor(options) {
    this.#options = options;
    this.#tickets = new Tickets(options.mint, options.isServerUp);
    this.#whereabouts = new Whereabouts(options);
    this.#media = new Media(
      {
        socket: () => (this.#joined && this.#rpc?.isOpen ? this.#rpc : null),
        isCurrent: (rpc) => rpc === this.#rpc && this.#state !== "ended",
        keepsOld: () => this.#isBetweenRooms,
        goesOn: (tries) => this.#goesOn(tries),
        onUp: () => this.#mediaUp(),
        onDown: (reason) => this.#lose(reason),
        onStream: (stream) => options.onStream(stream),
        onError: (error) => this.#endBy(error),
      },
      options.track,
    );
  }

  get state() {
    return this.#state;
  }
  get reason() {
    return this.#reason;
  }
  get userId() {
    return this.#whereabouts.userId;
  }
  /** What this person knows of the room. */
  get room() {
    return this.#whereabouts.room;
  }
  get place() {
    return this.#whereabouts.place;
  }
  /** What this person may do: names of docs/protocol.md, “Roles and grants”. */
  get grants() {
    return this.#whereabouts.grants;
  }
  get muted() {
    return this.#media.muted;
  }
  get peer() {
    return this.#media.peer;
  }
  /** Sockets opened, offers made, resumes granted since the start. */
  get counts() {
    return { ...this.#counts, offers: this.#media.offers };
  }
  /** How often this person was moved to another room. */
  get moves() {
    return this.#moves;
  }
  /** Whether the room can be heard, also while the socket is away. */
  get hasMedia() {
    return this.#media.isConnected;
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
        this.#media.cancelRepair();
        const final = FINAL_CLOSE[code];
        if (final) return this.#end(final);
        this.#lose("socket_lost");
      } catch (error) {
        this.#joined = false;
        if (!isCurable(error)) return this.#endBy(error);
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
    if (this.#rpc) await this.#media.connect(this.#rpc);
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
    this.#media.muted = muted;
    this.#tellMuted();
  }

  /**
   * Send another track from now on; nobody notices more than the change of sound.
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(track) {
    await this.#media.setTrack(track);
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
    this.#media.settled();
    this.#tickets.accepted();
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
    this.#media.cancelRepair();
    this.#step("end", reason, said);
    this.#rpc?.close();
    this.#media.close();
    this.#pause.wake();
  }

  /** @param {unknown} error */
  #endBy(error) {
    if (error instanceof Refusal) return this.#end(error.code, error.message);
    console.error("the call ended on an unexpected error", error);
    this.#end("unexpected", error instanceof Error ? error.message : null);
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

  /**
   * @param {number} tries  offers in vain
   * @returns {boolean} whether another one is worth it; if not, the call has ended
   */
  #goesOn(tries) {
    if (tries > MEDIA_TRIES && this.#state === "connecting") this.#end("no_sound_path");
    else if (performance.now() - this.#troubleSince > GIVE_UP_MS.reconnecting) this.#end("gave_up");
    return this.#state !== "ended";
  }

  // Socket ----------------------------------------------------------------

  /** @returns {Promise<Rpc>} joined, with media on its way */
  async #connect() {
    if (this.#moving && !this.#tickets.isFresh) throw new Refusal("token_ended", "The token for this room has expired.");
    const token = await this.#tickets.token();
    this.#mustGoOn();
    const rpc = new Rpc(
      this.#options.socketUrl(token),
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
      if (error instanceof Refusal && error.code === "socket_refused") await this.#tickets.doubt();
      throw error;
    }
    return rpc;
  }

  #mustGoOn() {
    if (this.#state === "ended") throw new Refusal("left", "The call was ended meanwhile.");
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
    this.#media.iceServers = joined.iceServers ?? [];
    await this.#take(rpc, joined);
  }

  /**
   * Take what the server says of this person's place: after a join, and when they are let in.
   * @param {Rpc} rpc
   * @param {any} joined
   */
  async #take(rpc, joined) {
    if (joined.jtoken) this.#jtoken = joined.jtoken;
    this.#joined = true;
    this.#whereabouts.take(joined, this.#tickets.userId);
    if (this.place !== "stage") return;
    this.#tellMuted();
    this.volumes.repeat();
    if (joined.resume && this.hasMedia) {
      this.#counts.resumes += 1;
      return this.#settle();
    }
    if (this.#options.waitsForMicrophone && !this.#media.hasTrack) return;
    await this.#media.connect(rpc);
  }

  #tellMuted() {
    if (this.#joined && this.place === "stage") this.#rpc?.request("mute", { muted: this.muted }).catch(() => undefined);
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
    else if (method === "roomChanged") this.#whereabouts.roomChanged(params);
    else if (method === "participants") this.#peopleChanged(rpc, params);
    else if (method === "admitted") this.#take(rpc, params).catch((error) => this.#endBy(error));
    else if (method === "offStage") this.#stepDown();
    else if (method === "moved") this.#move(rpc, params);
    else if (method === "roomClosed") this.#end("room_closed", params?.reason ?? null);
    else if (method === "reconnect") {
      this.#lose(params?.reason || "media_lost");
      this.#media.repairAfter(noEarlierThan(Number(params?.retryAfterMs) || 0));
    } else passOn(this.#options, method, params);
  }

  /**
   * @param {Rpc} rpc
   * @param {any} told
   */
  async #peopleChanged(rpc, told) {
    if (this.#whereabouts.peopleChanged(told)) return;
    const whole = await rpc.request("resync").catch(() => null); // the next change asks again
    if (whole && rpc === this.#rpc && this.place === "stage") this.#whereabouts.resynced(whole);
  }

  /** The stage is left, the socket stays. */
  #stepDown() {
    this.#media.stepDown();
    this.#whereabouts.stepDown();
  }

  /**
   * Go to another room: its socket first, then its media, and only then away from here, so that
   * they are in both rooms for a moment, and in none at no time.
   * @param {Rpc} old
   * @param {{token: string, expiresAt: string, jtoken: string}} told
   */
  async #move(old, told) {
    this.#tickets.use({ userID: this.userId, token: told.token, expiresAt: told.expiresAt });
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

  /** In two rooms: let into the new one, but it cannot be heard yet. */
  get #isBetweenRooms() {
    return this.#moving !== null && !this.#joinedAfterMove;
  }

  #mediaUp() {
    if (this.#isBetweenRooms) {
      this.#joinedAfterMove = true;
      this.#media.switchOver();
      this.#moving?.notify("leave");
      this.#moving?.abandon();
    }
    this.#settle();
  }
}
