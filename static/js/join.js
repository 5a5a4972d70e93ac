/** The page of a person with a microphone: lobby, room, and the end of the call. */

import * as api from "./api.js";
import { Call } from "./call.js";
import { CallCaptions } from "./callcaptions.js";
import { Chat } from "./chat.js";
import { Door } from "./door.js";
import { byId, say, show, showOnly } from "./dom.js";
import { reloadOnNewSecret, roomOfPath, takeInvite } from "./link.js";
import { recall, remember } from "./memory.js";
import { People } from "./people.js";
import { judge, look } from "./quality.js";
import { brokeOff, isRunning, RecordingSign } from "./recordingsign.js";
import { explain, explainError, peopleInside } from "./sentences.js";
import { hasMicrophoneAccess, NEEDS_HTTPS } from "./source.js";
import { SourcePanel } from "./sourcepanel.js";

const SECTIONS = ["loading", "refused", "lobby", "room", "ended"];
const QUALITY_MS = 2000;

const roomId = roomOfPath();
const invite = roomId ? takeInvite("join", roomId) : null;
const nameField = byId("name", HTMLInputElement);
const pinField = byId("pin", HTMLInputElement);
const joinButton = byId("join", HTMLButtonElement);
const muteButton = byId("mute", HTMLButtonElement);
const speaker = byId("speaker", HTMLAudioElement);
const volume = byId("volume", HTMLInputElement);
const lineChip = byId("line", HTMLElement);
const qualityWord = byId("quality", HTMLElement);
const askedRow = byId("asked-row", HTMLElement);
const brokeRow = byId("broke-row", HTMLElement);
const banner = byId("banner", HTMLElement);

/** @param {string} text */
const announce = (text) => say(byId("said", HTMLElement), text);
const ask = (/** @type {string} */ method, /** @type {object} */ params) =>
  call ? call.ask(method, params) : Promise.reject(new api.Refusal("not_joined", "You are not in the room."));
const people = new People(byId("people", HTMLElement), announce, () => call?.volumes ?? null, ask);
const door = new Door(ask, announce);
const chat = new Chat(byId("chat", HTMLDetailsElement), ask, () => call?.userId ?? "");
const captions = new CallCaptions(ask);
const recordingSign = new RecordingSign("recording", announce);
const handButton = byId("hand", HTMLButtonElement);
const panel = new SourcePanel((source) => {
  say(byId("source-name", HTMLElement), source ? `· ${source.label}` : "· nothing chosen");
  call?.setTrack(source?.track ?? null);
});

/** @type {Call | null} */
let call = null;
let wasLive = false;
let roomName = "";
let chatIsNew = true;

/**
 * What tests may look at, read only; `<html data-state>` repeats the state for their selectors.
 * @typedef {object} JoinHooks
 * @property {"join"} page
 * @property {import("./callstate.js").State} state
 * @property {string | null} reason  why it is not live
 * @property {string} userId
 * @property {import("./calloptions.js").Person[]} people
 * @property {Record<string, number>} talking  dBov by person, those who can be heard now
 * @property {import("./calloptions.js").RoomNotice | null} room
 * @property {import("./calloptions.js").Place} place
 * @property {string} quality
 * @property {boolean} muted
 * @property {{sockets: number, offers: number, resumes: number}} counts
 * @property {number} moves
 * @property {RTCPeerConnection | null} peer
 * @property {MediaStreamTrack | null} localTrack
 * @property {MediaStream | null} remoteStream  the room as this page plays it
 */
/** @type {JoinHooks} */
const hooks = {
  page: "join",
  get state() {
    return call?.state ?? "idle";
  },
  get reason() {
    return call?.reason ?? null;
  },
  get userId() {
    return call?.userId ?? "";
  },
  people: [],
  talking: {},
  room: null,
  place: "stage",
  quality: "",
  get muted() {
    return call?.muted ?? false;
  },
  get counts() {
    return call?.counts ?? { sockets: 0, offers: 0, resumes: 0 };
  },
  get moves() {
    return call?.moves ?? 0;
  },
  get peer() {
    return call?.peer ?? null;
  },
  get localTrack() {
    return panel.source?.track ?? null;
  },
  remoteStream: null,
};
Object.assign(window, { roomtone: hooks });

// Lobby -------------------------------------------------------------------

async function start() {
  if (roomId === null) return refuse("no_room");
  try {
    const room = await api.readRoom(roomId, invite);
    roomName = room.name || `Room ${room.roomId}`;
    byId("pin-field", HTMLElement).hidden = room.pinRequired !== true;
    pinField.required = room.pinRequired === true;
    say(byId("lobby-people", HTMLElement), peopleInside(room.anchors ?? 0));
    recordingChanged(room.recording ?? null);
  } catch (error) {
    if (error instanceof api.Refusal && [401, 403].includes(error.status))
      return refuse(invite === null ? "no_invite" : "bad_invite");
    return refuse(error instanceof api.Refusal ? error.code : "unexpected", String(error));
  }
  for (const id of ["lobby-title", "room-title"]) say(byId(id, HTMLElement), roomName);
  document.title = `${roomName} · Roomtone`;
  nameField.value = recall("local", "name") ?? "";
  if (!hasMicrophoneAccess()) show(byId("source-problem", HTMLElement), NEEDS_HTTPS);
  showOnly("lobby", SECTIONS);
}

/**
 * @param {string} code
 * @param {string} [said]
 */
function refuse(code, said) {
  const { title, text, retry } =
    code === "no_invite"
      ? {
          title: "You need a join link for this room",
          text:
            "Its address goes on after the room's name and is longer than the one you opened. " +
            "Ask the person who runs the room to send you the whole join link.",
          retry: false,
        }
      : explain(code, said);
  say(byId("refused-title", HTMLElement), title);
  say(byId("refused-text", HTMLElement), text);
  byId("refused-retry", HTMLElement).hidden = !retry;
  showOnly("refused", SECTIONS);
}

byId("refused-retry", HTMLButtonElement).addEventListener("click", () => location.reload());

byId("join-form", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = byId("join-problem", HTMLElement);
  show(problem, null);
  if (!nameField.value.trim()) {
    show(problem, "Enter a name, so that others know who speaks.");
    return nameField.focus();
  }
  if (pinField.required && !pinField.value.trim()) {
    show(problem, "This room asks for its PIN.");
    return pinField.focus();
  }
  remember("local", "name", nameField.value.trim());
  await join();
});

async function join() {
  if (roomId === null || joinButton.disabled) return;
  busy(true);
  const source = await panel.ensure();
  if (!source) return busy(false);
  const displayName = nameField.value.trim();
  const pin = pinField.value.trim() || undefined;
  const room = roomId;
  wasLive = false;
  people.clear();
  chatIsNew = true;
  brokeRow.hidden = true;
  const role = (await api.isAdmin().catch(() => false)) ? { role: "host" } : {};
  call = new Call({
    mint: () => api.mintAnchor(room, { ...role, displayName, ...(invite ? { invite } : {}), ...(pin ? { pin } : {}) }),
    socketUrl: (token) =>
      `${location.origin.replace(/^http/, "ws")}/ws?token=${encodeURIComponent(token)}`,
    isServerUp: api.isServerUp,
    displayName,
    pin,
    track: source.track,
    onState: stateChanged,
    onPeople: peopleChanged,
    onTalking: (levels) => people.talk((hooks.talking = levels)),
    onStream: play,
    onRoom: roomChanged,
    onUnmuteRequest: askToUnmute,
    onClosing: closingSoon,
    onPlace: placeChanged,
    onLobby: (outside) => door.draw(outside),
    onChat: (message) => chat.add(message),
    onCaption: (caption) => captions.add(caption),
    onRecording: recordingChanged,
  });
  drawMute(false);
  call.start();
}

/** @param {boolean} joining */
function busy(joining) {
  joinButton.disabled = joining;
  say(joinButton, joining ? "Joining…" : "Join the room");
  byId("wait-row", HTMLElement).hidden = true;
}

/**
 * Outside to wait, inside, or off the stage.
 * @param {import("./calloptions.js").Place} place
 * @param {string[]} grants
 */
function placeChanged(place, grants) {
  hooks.place = place;
  byId("wait-row", HTMLElement).hidden = place !== "lobby";
  joinButton.hidden = place === "lobby";
  people.allow(grants);
  door.allow(grants);
  if (place === "audience") return call?.end("off_stage");
  drawChat();
  drawCaptions();
}

byId("wait-cancel", HTMLButtonElement).addEventListener("click", () => call?.leave());

function drawCaptions() {
  captions.offer(call?.place === "stage" ? (hooks.room?.captions ?? []) : []);
}

function drawChat() {
  const on = call?.place === "stage" && hooks.room?.chat === true && call.grants.includes("chat");
  chat.enable(on, chatIsNew);
  if (on) chatIsNew = false;
}

// Room --------------------------------------------------------------------

/**
 * @param {import("./callstate.js").State} state
 * @param {string | null} reason
 * @param {string | null} said
 */
function stateChanged(state, reason, said) {
  drawState(state);
  if (state === "live") {
    show(banner, null);
    if (!wasLive) enterRoom();
  } else if (state === "reconnecting") {
    show(
      banner,
      call?.hasMedia
        ? "The line to the server broke. You still hear the room; we are reconnecting."
        : "The connection broke. We are reconnecting; stay on this page.",
    );
  } else if (state === "ended") {
    leaveRoom(reason ?? "gave_up", said);
  }
}

/** @param {import("./callstate.js").State} state */
function drawState(state) {
  document.documentElement.dataset["state"] = state;
  const [word, look] = /** @type {Record<typeof state, [string, string]>} */ ({
    idle: ["", ""],
    connecting: ["connecting", "warn"],
    live: ["connected", "good"],
    reconnecting: ["reconnecting", "warn"],
    ended: ["disconnected", "bad"],
  })[state];
  lineChip.className = `chip ${look}`;
  lineChip.hidden = word === "";
  lineChip.title = "";
  say(byId("state", HTMLElement), word);
  if (state !== "live") say(qualityWord, "");
}

function enterRoom() {
  wasLive = true;
  busy(false);
  byId("source-slot", HTMLElement).append(byId("source", HTMLElement));
  showOnly("room", SECTIONS);
  byId("room-title", HTMLElement).focus();
  panel.goOnAir();
}

/**
 * @param {string} reason
 * @param {string | null} said
 */
function leaveRoom(reason, said) {
  speaker.srcObject = null;
  hooks.remoteStream = null;
  byId("recording", HTMLElement).hidden = true;
  busy(false);
  byId("source-home", HTMLElement).append(byId("source", HTMLElement));
  joinButton.hidden = false;
  const link = byId("ended-listen", HTMLAnchorElement);
  link.hidden = reason !== "off_stage" || !invite;
  if (!link.hidden) link.href = `/listen/${roomId}#invite=${encodeURIComponent(invite ?? "")}`;
  const { title, text, retry } = explain(reason, said ?? undefined);
  if (!wasLive) return backToLobby(reason, `${title}. ${text}`);
  panel.release();
  say(byId("ended-title", HTMLElement), title);
  say(byId("ended-text", HTMLElement), text);
  byId("rejoin", HTMLElement).hidden = !retry;
  showOnly("ended", SECTIONS);
  byId("ended-title", HTMLElement).focus();
}

/**
 * @param {string} reason
 * @param {string} text
 */
function backToLobby(reason, text) {
  lineChip.hidden = true;
  show(byId("join-problem", HTMLElement), text);
  showOnly("lobby", SECTIONS);
  if (reason === "wrong_pin") {
    byId("pin-field", HTMLElement).hidden = false;
    pinField.required = true;
    pinField.select();
  }
}

byId("rejoin", HTMLButtonElement).addEventListener("click", async () => {
  lineChip.hidden = true;
  showOnly("lobby", SECTIONS);
  const kind = /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=source]:checked"));
  if (kind?.value === "microphone") await join();
  else byId("lobby-title", HTMLElement).focus();
});

byId("leave", HTMLButtonElement).addEventListener("click", () => call?.leave());
window.addEventListener("pagehide", () => call?.leave());
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload(); // the call ended when the page was put away
});
window.addEventListener("online", () => call?.retryNow());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && call?.state === "reconnecting") call.retryNow();
});

/** @param {import("./calloptions.js").Person[]} list */
function peopleChanged(list) {
  hooks.people = list;
  people.update(list, call?.userId ?? "");
  chat.present(list);
  const count = list.filter(({ status }) => status !== "left").length;
  say(byId("count", HTMLElement), count === 1 ? "Only you are here" : `${count} people`);
  const me = list.find(({ userId }) => userId === call?.userId);
  byId("silenced", HTMLElement).hidden = me?.serverMuted !== true;
  const raised = typeof me?.hand === "number";
  handButton.setAttribute("aria-pressed", String(raised));
  handButton.title = raised ? "Lower your hand (H)" : "Raise your hand (H)";
}

/** @param {import("./calloptions.js").RoomNotice} room */
function roomChanged(room) {
  hooks.room = room;
  roomName = room.name || `Room ${room.roomId}`;
  for (const id of ["lobby-title", "room-title"]) say(byId(id, HTMLElement), roomName);
  document.title = `${roomName} · Roomtone`;
  const mark = byId("locked", HTMLElement);
  const locked = room.locked === true;
  if (wasLive && mark.hidden === locked)
    announce(locked ? "The room is locked: nobody new comes in" : "The room is open again");
  mark.hidden = !locked;
  byId("closing", HTMLElement).hidden = true; // it may have been given more time
  door.drawRoom(room);
  drawChat();
  drawCaptions();
}

/** @param {import("./recordingsign.js").RecordingNotice | null} notice */
function recordingChanged(notice) {
  const endedUnseen = wasLive && recordingSign.notice !== null && notice === null;
  recordingSign.draw(notice);
  door.drawRecording(notice);
  byId("lobby-recording", HTMLElement).hidden = !isRunning(notice);
  if (notice?.state === "failed") tellThatItBroke(brokeOff("The recording", notice.reason));
  else if (endedUnseen) tellThatItBroke("The recording ended while you were not connected.");
  else if (isRunning(notice)) brokeRow.hidden = true;
}

/** @param {string} sentence  stays until somebody has read it: who does not look just then must not miss it */
function tellThatItBroke(sentence) {
  say(byId("broke", HTMLElement), sentence);
  brokeRow.hidden = false;
}

byId("broke-seen", HTMLButtonElement).addEventListener("click", () => {
  brokeRow.hidden = true;
  byId("room-title", HTMLElement).focus();
});

/**
 * The room is about to end, or the server to restart.
 * @param {number} seconds
 * @param {"room" | "server"} what
 */
function closingSoon(seconds, what) {
  const row = byId("closing", HTMLElement);
  const minutes = Math.round(seconds / 60);
  const when = minutes > 1 ? `in ${minutes} minutes` : seconds > 45 ? "in a minute" : "in a moment";
  say(row, what === "room" ? `This room ends ${when}.` : `The server restarts ${when}. You will be connected again.`);
  row.hidden = false;
}

// Hand --------------------------------------------------------------------

function toggleHand() {
  const raised = handButton.getAttribute("aria-pressed") !== "true";
  ask("raiseHand", { raised }).then(
    () => announce(raised ? "Your hand is up" : "Your hand is down"),
    () => undefined,
  );
}

handButton.addEventListener("click", toggleHand);

// Mute --------------------------------------------------------------------

/** @param {boolean} muted */
function drawMute(muted) {
  muteButton.classList.toggle("muted", muted);
  byId("mute-hint", HTMLElement).hidden = !muted;
  muteButton.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${muted ? "mic-off" : "mic"}`);
  say(byId("mute-word", HTMLElement), muted ? "You are muted" : "Mute");
  muteButton.title = muted ? "Unmute (M)" : "Mute (M)";
  panel.setMuted(muted);
  if (!muted) askedRow.hidden = true;
}

function askToUnmute() {
  askedRow.hidden = !call?.muted;
}

byId("asked-unmute", HTMLButtonElement).addEventListener("click", () => {
  if (call?.muted) toggleMute();
  muteButton.focus();
});
byId("asked-no", HTMLButtonElement).addEventListener("click", () => {
  askedRow.hidden = true;
  muteButton.focus();
});

function toggleMute() {
  if (!call || call.state === "ended") return;
  call.setMuted(!call.muted);
  drawMute(call.muted);
  announce(call.muted ? "You are muted" : "You can be heard");
}

muteButton.addEventListener("click", toggleMute);
document.addEventListener("keydown", (event) => {
  const act = { m: toggleMute, h: toggleHand }[event.key.toLowerCase()];
  if (!act || event.repeat) return;
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (!byId("room", HTMLElement).hidden) act();
});

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (target instanceof HTMLInputElement) return ["text", "password", "search"].includes(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

// Sound -------------------------------------------------------------------

/** @param {MediaStream} stream */
async function play(stream) {
  hooks.remoteStream = stream;
  speaker.srcObject = stream;
  try {
    await speaker.play();
    byId("start-audio-row", HTMLElement).hidden = true;
  } catch (error) {
    const blocked = error instanceof DOMException && error.name === "NotAllowedError";
    byId("start-audio-row", HTMLElement).hidden = !blocked;
  }
}

byId("start-audio", HTMLButtonElement).addEventListener("click", async () => {
  await speaker.play();
  byId("start-audio-row", HTMLElement).hidden = true;
});

volume.value = recall("local", "room-volume") ?? "1";
speaker.volume = Number(volume.value);
volume.addEventListener("input", () => {
  speaker.volume = Number(volume.value);
  remember("local", "room-volume", volume.value);
});

/** @type {import("./quality.js").Look | null} */
let lastLook = null;
/** @type {RTCPeerConnection | null} */
let lookedAt = null;

async function drawQuality() {
  const peer = call?.peer;
  if (!peer || call?.state !== "live") return;
  const seen = await look(peer);
  if (lookedAt === peer && lastLook) {
    const connected = peer.connectionState === "connected";
    const { word, detail } = judge(lastLook, seen, { connected, now: performance.now() });
    hooks.quality = word;
    lineChip.className = `chip ${{ excellent: "good", good: "good", poor: "warn", lost: "bad" }[word]}`;
    lineChip.title = detail;
    say(qualityWord, word);
  }
  lastLook = seen;
  lookedAt = peer;
}

setInterval(() => drawQuality().catch(() => undefined), QUALITY_MS);

reloadOnNewSecret("invite");
start().catch((error) => refuse("unexpected", explainError(error).text));
