/** A listener's way to the stage and back, on the same page: hand, microphone, chat. */

import * as api from "./api.js";
import { Call } from "./call.js";
import { Chat } from "./chat.js";
import { byId, say, show } from "./dom.js";
import { recall, remember } from "./memory.js";
import { explain } from "./sentences.js";
import { hasMicrophoneAccess, NEEDS_HTTPS } from "./source.js";

/**
 * @typedef {object} StageOptions
 * @property {string} roomId
 * @property {() => {invite?: string, pin?: string}} right  what this listener was given
 * @property {(onAir: boolean) => void} onAir  whether the room itself is heard instead of the broadcast
 */

export class Stage {
  #options;
  /** @type {Call | null} */
  #call = null;
  #raised = false;
  #onAir = false;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #chat;
  #chatIsNew = true;
  #wasHere = false;
  #root = byId("talk", HTMLElement);
  #words = byId("talk-words", HTMLElement);
  #name = byId("talk-name", HTMLInputElement);
  #hand = byId("hand", HTMLButtonElement);
  #speak = byId("speak", HTMLButtonElement);
  #mute = byId("mute", HTMLButtonElement);
  #down = byId("step-down", HTMLButtonElement);
  #sound = byId("stage-audio", HTMLAudioElement);

  /** @param {StageOptions} options */
  constructor(options) {
    this.#options = options;
    this.#chat = new Chat(
      byId("chat", HTMLDetailsElement),
      (method, params) => this.#ask(method, params),
      () => this.#call?.userId ?? "",
    );
    this.#name.value = recall("local", "name") ?? "";
    this.#hand.addEventListener("click", () => this.#toggleHand());
    this.#speak.addEventListener("click", () => this.#goOnAir());
    this.#mute.addEventListener("click", () => this.#toggleMute());
    this.#down.addEventListener("click", () => this.#ask("stepDown").catch((error) => this.#explain(error)));
    byId("join-chat", HTMLButtonElement).addEventListener("click", () => this.#connect());
    window.addEventListener("pagehide", () => {
      this.#wasHere = this.#call !== null;
      this.#call?.leave();
    });
    window.addEventListener("pageshow", ({ persisted }) => {
      if (persisted && this.#wasHere) say(this.#words, "You left the room when this page was put away.");
    });
    this.#draw();
  }

  /** Whether the room itself is heard, instead of its broadcast. */
  get onAir() {
    return this.#onAir;
  }

  /** @param {api.Room} room */
  drawRoom(room) {
    this.#root.hidden = false;
    byId("join-chat", HTMLElement).hidden = this.#call !== null || room.chat !== true || room.chatListeners !== true;
  }

  /** @returns {boolean} whether there is, or will be, a connection */
  #connect() {
    if (this.#call) return true;
    const displayName = this.#name.value.trim();
    if (!displayName) {
      say(this.#words, "Enter your name first, so that they know who asks.");
      this.#name.focus();
      return false;
    }
    remember("local", "name", displayName);
    const { roomId, right } = this.#options;
    this.#chatIsNew = true;
    const call = new Call({
      mint: () => api.mintAnchor(roomId, { role: "listener", displayName, ...right() }),
      socketUrl: (token) => `${location.origin.replace(/^http/, "ws")}/ws?token=${encodeURIComponent(token)}`,
      isServerUp: api.isServerUp,
      displayName,
      pin: right().pin,
      track: null,
      waitsForMicrophone: true,
      onState: (state, reason, said) => this.#stateChanged(state, reason, said),
      onPeople: () => undefined,
      onTalking: () => undefined,
      onStream: (stream) => this.#play(stream),
      onRoom: () => this.#drawChat(),
      onUnmuteRequest: () => say(this.#words, "You are asked to unmute: somebody would like to hear you."),
      onPlace: (place) => this.#placeChanged(place),
      onChat: (message) => this.#chat.add(message),
    });
    this.#call = call;
    byId("join-chat", HTMLElement).hidden = true;
    call.start();
    return true;
  }

  /**
   * @param {string} method
   * @param {object} [params]
   */
  #ask(method, params = {}) {
    return this.#call ? this.#call.ask(method, params) : Promise.reject(new Error("There is no connection."));
  }

  #toggleHand() {
    const first = this.#call === null;
    if (!this.#connect()) return;
    this.#raised = !this.#raised;
    if (!first) this.#tellHand();
    this.#draw();
  }

  #tellHand() {
    this.#ask("raiseHand", { raised: this.#raised }).catch((error) => this.#explain(error));
  }

  /** @param {import("./calloptions.js").Place} place */
  #placeChanged(place) {
    if (place === "audience") {
      const was = this.#onAir;
      this.#leaveAir();
      if (was) say(this.#words, "You are off the stage, and hear the broadcast again.");
      if (this.#raised) this.#tellHand();
    } else {
      this.#raised = false;
      if (place === "stage" && !this.#onAir)
        say(this.#words, "You may speak. Nobody hears you before you turn on the microphone.");
    }
    this.#drawChat();
    this.#draw();
    if (place === "stage" && !this.#onAir) this.#speak.focus();
  }

  async #goOnAir() {
    if (!hasMicrophoneAccess()) return say(this.#words, NEEDS_HTTPS);
    this.#speak.disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      this.#track = stream.getAudioTracks()[0] ?? null;
      if (!this.#track || this.#call?.place !== "stage") return this.#leaveAir();
      this.#onAir = true;
      this.#options.onAir(true);
      say(this.#words, "You are on the stage: the room hears you, and you hear it without delay.");
      await this.#call.goOnAir(this.#track);
    } catch {
      say(this.#words, "The microphone stays off. Allow it for this page, then try again.");
    } finally {
      this.#speak.disabled = false;
      this.#draw();
    }
  }

  #leaveAir() {
    this.#track?.stop();
    this.#track = null;
    this.#sound.srcObject = null;
    if (this.#onAir) this.#options.onAir(false);
    this.#onAir = false;
    this.#draw();
  }

  #toggleMute() {
    this.#call?.setMuted(!this.#call.muted);
    this.#draw();
  }

  /** @param {MediaStream} stream */
  #play(stream) {
    this.#sound.srcObject = stream;
    this.#sound.play().catch(() => say(this.#words, "Your browser holds the sound back. Press anything on this page."));
  }

  /**
   * @param {import("./callstate.js").State} state
   * @param {string | null} reason
   * @param {string | null} said
   */
  #stateChanged(state, reason, said) {
    document.documentElement.dataset["stage"] = state;
    if (state === "reconnecting") say(this.#words, "The connection broke. We are reconnecting.");
    if (state !== "ended") return;
    this.#leaveAir();
    this.#call = null;
    this.#raised = false;
    this.#chat.enable(false, true);
    say(this.#words, reason === "left" ? "" : explain(reason ?? "gave_up", said ?? undefined).title);
    this.#draw();
  }

  #drawChat() {
    const call = this.#call;
    const room = call?.room;
    const on = room?.chat === true && (call?.place === "stage" || room.chatListeners === true);
    this.#chat.enable(on && call?.userId !== "", this.#chatIsNew);
    if (on) this.#chatIsNew = false;
  }

  #draw() {
    const onStage = this.#call?.place === "stage" && this.#call.userId !== "";
    this.#name.disabled = this.#call !== null;
    this.#hand.hidden = onStage;
    this.#hand.setAttribute("aria-pressed", String(this.#raised));
    say(byId("hand-word", HTMLElement), this.#raised ? "Lower your hand" : "Raise your hand");
    this.#speak.hidden = !onStage || this.#onAir;
    this.#mute.hidden = !this.#onAir;
    say(this.#mute, this.#call?.muted ? "Unmute" : "Mute");
    this.#down.hidden = !onStage;
    if (this.#raised && !onStage) say(this.#words, "Your hand is up. Somebody in the room may let you speak.");
    else if (!onStage && this.#words.textContent?.startsWith("Your hand")) say(this.#words, "");
  }

  /** @param {unknown} error */
  #explain(error) {
    show(this.#words, error instanceof Error ? error.message : "That did not work.");
  }
}
