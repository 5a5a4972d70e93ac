/** The listener's page: one button, the state in words, and the true latency. */

import * as api from "./api.js";
import { backoffMs } from "./backoff.js";
import { Captions, hasCaptions, tracksOf } from "./captions.js";
import { listed } from "./credits.js";
import { byId, say, show, showOnly } from "./dom.js";
import { reloadOnNewSecret, roomOfPath, takeInvite } from "./link.js";
import { recall, remember } from "./memory.js";
import { canPlayLive, LivePlayer } from "./liveplayer.js";
import { canPlay, Player } from "./player.js";
import { RecordingSign } from "./recordingsign.js";
import { explain, explainError, peopleInside } from "./sentences.js";
import { Stage } from "./stage.js";
import { SystemControls } from "./systemcontrols.js";
import { Timeshift } from "./timeshift.js";

const SECTIONS = ["loading", "refused", "stage"];
const DRAW_MS = 500;
const ROOM_MS = 10_000;

/** @type {Record<import("./player.js").Trouble, string>} */
const TROUBLES = {
  "": "…",
  network: ": the network is away. It goes on by itself.",
  server: ": the server is busy. It goes on by itself.",
  right: ": your right to listen is being renewed.",
  sound: ": the sound was damaged on its way.",
};

/** `?live`, `?classic`, `?embed`: see docs/protocol.md, Pages. */
const wishes = new URLSearchParams(location.search);

const roomId = roomOfPath();
const invite = roomId ? takeInvite("listen", roomId) : null;
const stage = byId("stage", HTMLElement);
const audio = byId("audio", HTMLAudioElement);
const playButton = byId("play", HTMLButtonElement);
const liveChip = byId("live", HTMLButtonElement);
const latency = byId("latency", HTMLElement);
const volume = byId("volume", HTMLInputElement);
const channel = byId("channel", HTMLSelectElement);
const pinForm = byId("pin-form", HTMLFormElement);
const pinField = byId("pin", HTMLInputElement);

const recordingSign = new RecordingSign("recording", (text) => say(byId("recording-said", HTMLElement), text));

let pin = "";
let roomName = "";
let isOnAir = true;
let hlsUrl = "";

const trade = () =>
  api.mintListener(roomId ?? "", { ...(invite ? { invite } : {}), ...(pin ? { pin } : {}) });
const broadcast = new Player({ audio, trade, onState: stateChanged, classic: wishes.has("classic") });

/** `?live` asks for the room without the broadcast's delay. @type {Player | LivePlayer} */
let player =
  wishes.has("live") && canPlayLive() && roomId
    ? new LivePlayer({ audio, room: roomId, trade, onState: stateChanged, onUnable: takeOver })
    : broadcast;

/** @param {boolean} wanted */
function takeOver(wanted) {
  if (!canPlay()) return refuse("no_player");
  player = broadcast;
  if (wanted) player.play();
  else draw();
}

const captions = new Captions({
  languages: () => player.tracks?.captions() ?? [],
  choose: (language) => broadcast.tracks.showCaptions(language),
  reading: tracksOf(audio, () => captions.drawText()),
});
const timeshift = new Timeshift(
  () => player.shift(),
  (at) => player.seek(at),
);
const controls = new SystemControls({
  play: () => {
    if (!talk.onAir) player.play(); // who is on the stage hears the room itself
  },
  pause: () => player.pause(),
  live: () => player.goLive(),
  step: (seconds) => timeshift.step(seconds),
});
document.documentElement.classList.toggle("embed", wishes.has("embed"));

/** While this person is on the stage they hear the room itself, and not the broadcast of it as well. */
let resumes = false;
const talk = new Stage({
  roomId: roomId ?? "",
  right: () => ({ ...(invite ? { invite } : {}), ...(pin ? { pin } : {}) }),
  onAir: (onAir) => {
    if (onAir) {
      resumes = !["stopped", "ended"].includes(player.state);
      player.pause();
    } else if (resumes) player.play();
    stage.dataset["air"] = onAir ? "on" : "off";
  },
});

/**
 * What tests may look at, read only; `<html data-state>` repeats the state for their selectors.
 * @typedef {object} ListenHooks
 * @property {"listen"} page
 * @property {import("./player.js").State} state
 * @property {import("./player.js").Trouble} trouble  why it does not play
 * @property {number | null} latencyS  from PROGRAM-DATE-TIME
 * @property {boolean} behind
 * @property {number} stalls  since play was pressed
 * @property {HTMLAudioElement} audio
 * @property {import("../vendor/hls.mjs").default | null} hls  null on native players and while stopped
 */
/** @type {ListenHooks} */
const hooks = {
  page: "listen",
  get state() {
    return player.state;
  },
  get trouble() {
    return player.trouble;
  },
  get latencyS() {
    const ms = player.latencyMs();
    return ms === null ? null : ms / 1000;
  },
  get behind() {
    return player.isBehind();
  },
  get stalls() {
    return player.stalls;
  },
  audio,
  get hls() {
    return player.hls;
  },
};
Object.assign(window, { roomtone: hooks });

/** @param {number} [attempt]  from 0 */
async function start(attempt = 0) {
  if (roomId === null) return refuse("no_room");
  if (player === broadcast && !canPlay()) return refuse("no_player");
  try {
    const room = await api.readRoom(roomId, invite);
    drawRoom(room);
    if (room.pinRequired) askPin();
    else await player.prepare();
  } catch (error) {
    refuseBy(error);
    if (error instanceof api.Refusal && error.retryable)
      setTimeout(() => start(attempt + 1), Math.max(error.retryAfterMs ?? 0, backoffMs(attempt)));
    return;
  }
  showOnly("stage", SECTIONS);
  if (!pinForm.hidden) pinField.focus();
  else if (attempt) byId("title", HTMLElement).focus(); // what was in focus is gone
  setInterval(draw, DRAW_MS);
  setInterval(refreshRoom, ROOM_MS);
  draw();
}

/** @param {unknown} error */
function refuseBy(error) {
  if (!(error instanceof api.Refusal)) return refuse("unexpected", String(error));
  if (error.code === "wrong_pin") return askPin();
  if ([401, 403].includes(error.status)) return refuse(invite === null ? "no_invite" : "bad_invite");
  return refuse(error.code, error.message);
}

/**
 * @param {string} code
 * @param {string} [said]
 */
function refuse(code, said) {
  const own = {
    no_invite: {
      title: "You need a listen link for this room",
      text:
        "Its address goes on after the room's name and is longer than the one you opened. " +
        "Ask the person who runs the room to send you the whole listen link.",
      retry: false,
    },
    no_player: {
      title: "This browser cannot play live streams",
      text: "Use a current Firefox, Chrome, Edge or Safari.",
      retry: false,
    },
  }[code];
  const { title, text, retry } = own ?? explain(code, said);
  const heading = byId("refused-title", HTMLElement);
  const isNew = heading.textContent !== title || byId("refused", HTMLElement).hidden;
  say(heading, title);
  say(byId("refused-text", HTMLElement), text);
  byId("refused-retry", HTMLElement).hidden = !retry;
  showOnly("refused", SECTIONS);
  if (isNew) heading.focus(); // what was in focus is gone, and this is to be read out
}

byId("refused-retry", HTMLButtonElement).addEventListener("click", () => location.reload());

// Room --------------------------------------------------------------------

/** @param {api.Room} room */
function drawRoom(room) {
  roomName = room.name || `Room ${room.roomId}`;
  isOnAir = room.broadcast !== false;
  hlsUrl = room.hlsUrl ?? "";
  say(byId("title", HTMLElement), roomName);
  say(byId("people", HTMLElement), peopleInside(room.anchors ?? 0));
  document.title = `${roomName} · Roomtone`;
  talk.drawRoom(room);
  recordingSign.draw(room.recording);
}

async function refreshRoom() {
  if (document.visibilityState !== "visible" || roomId === null) return;
  await api.readRoom(roomId, invite).then(drawRoom, () => undefined); // the player finds out what it means
}

function askPin() {
  pinForm.hidden = false;
  playButton.hidden = true;
  if (!stage.hidden) pinField.focus();
  draw();
}

pinForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = byId("pin-problem", HTMLElement);
  pin = pinField.value.trim();
  if (!pin) return pinField.focus();
  show(problem, null); // the same mistake again is said again
  try {
    await player.prepare();
  } catch (error) {
    const { title, text } = explainError(error);
    show(problem, `${title}. ${text}`);
    return pinField.select();
  }
  pinForm.hidden = true;
  playButton.hidden = false;
  player.play();
  playButton.focus();
});

// Player ------------------------------------------------------------------

playButton.addEventListener("click", () => {
  if (player.state === "stopped" || player.state === "ended") player.play();
  else player.pause();
});

liveChip.addEventListener("click", () => player.goLive());

/**
 * @param {import("./player.js").State} state
 * @param {api.Refusal | null} reason
 */
function stateChanged(state, reason) {
  if (state === "ended" && reason && reason.code !== "room_not_found") return refuseBy(reason);
  stage.dataset["state"] = document.documentElement.dataset["state"] = state;
  const idle = state === "stopped" || state === "ended";
  playButton.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${idle ? "play" : "pause"}`);
  say(byId("play-word", HTMLElement), idle ? "Play" : "Pause");
  tellOfCaptions();
  draw();
}

/** Without delay there are none: the way to where they are, the same page without the wish. */
async function tellOfCaptions() {
  const box = byId("captions-elsewhere", HTMLElement);
  box.hidden = true;
  if (player === broadcast || player.state !== "live" || !(await hasCaptions(hlsUrl))) return;
  box.hidden = player.state !== "live";
  const here = new URL(location.href);
  here.searchParams.delete("live");
  byId("captions-link", HTMLAnchorElement).href = here.href;
}

/** What is to be said about a state, and why it is so. */
function words() {
  const { state, trouble, isBlocked } = player;
  if (!pinForm.hidden) return ""; // the form says what to do
  if (state === "stopped" && isBlocked) return "Your browser held the sound back. Press play once more.";
  if (state === "stopped" && !isOnAir) return "Not on air yet. Press play, and it starts by itself.";
  if (state === "reconnecting") return `Reconnecting${TROUBLES[trouble]}`;
  if (state === "starting" && trouble) return `Starting${TROUBLES[trouble]}`;
  return {
    stopped: "Press play to listen live.",
    starting: isOnAir ? "Starting…" : "Not on air yet. It starts by itself.",
    off_air: "Not on air. This page plays as soon as the room does.",
    live: "",
    ended: "This broadcast has ended.",
  }[state];
}

function draw() {
  const { state } = player;
  say(byId("words", HTMLElement), words());
  const behind = player.isBehind();
  liveChip.hidden = state !== "live";
  liveChip.classList.toggle("behind", behind);
  liveChip.disabled = !behind;
  say(liveChip, behind ? "Back to live" : "Live");
  const ms = player.latencyMs();
  const isDirect = player !== broadcast && state === "live";
  const behindRoom = ms === null ? null : `${(ms / 1000).toFixed(1)} s after the room`;
  show(latency, isDirect ? "Without delay" : behindRoom);
  timeshift.draw(state === "reconnecting");
  controls.offerSteps(player.shift() !== null);
  drawChannels();
  captions.draw();
  drawCredits();
}

function drawCredits() {
  const { title, speakers } = player.credits();
  const parts = [title === roomName ? "" : title, listed(speakers)].filter(Boolean);
  show(byId("credits", HTMLElement), parts.length ? parts.join(" · ") : null);
  const idle = ["stopped", "ended"].includes(player.state);
  controls.show(title || roomName, listed(speakers) || "Live on Roomtone", idle ? "paused" : "playing");
}

/** What the list of channels shows now. */
let drawnChannels = "";

function drawChannels() {
  const channels = player.tracks?.channels() ?? [];
  byId("channel-row", HTMLElement).hidden = channels.length === 0;
  const wanted = JSON.stringify(channels);
  if (wanted === drawnChannels) return;
  drawnChannels = wanted;
  channel.replaceChildren(
    ...channels.map(({ id, name, isChosen }) => new Option(name, String(id), isChosen, isChosen)),
  );
}

channel.addEventListener("change", () => {
  const chosen = player.tracks?.channels().find(({ id }) => String(id) === channel.value);
  if (chosen) player.tracks?.choose(chosen);
});

volume.value = recall("local", "stream-volume") ?? "1";
// iPhones keep the volume to their own buttons and ignore a page's wish.
audio.volume = 0.5;
byId("volume-row", HTMLElement).hidden = audio.volume !== 0.5;
audio.volume = Number(volume.value);
volume.addEventListener("input", () => {
  audio.volume = Number(volume.value);
  remember("local", "stream-volume", volume.value);
});

reloadOnNewSecret("invite");
start().catch((error) => refuse("unexpected", explainError(error).text));
