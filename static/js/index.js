/** The page of the person who runs the server: rooms and the links into them. */

import * as api from "./api.js";
import { Desk } from "./desk.js";
import { byId, fromTemplate, part, say, show, showOnly } from "./dom.js";
import { reloadOnNewSecret, takeSecret } from "./link.js";
import { drawLinks } from "./links.js";
import { drawUpload, makeItem, Recordings } from "./recordings.js";
import { Outputs } from "./outputs.js";
import { explainError } from "./sentences.js";
import { Sounds } from "./sounds.js";

const REFRESH_MS = 4000; // people come and go; a glance at the page should be true
const SECTIONS = ["loading", "locked", "rooms-page"];

const rooms = byId("rooms", HTMLElement);
const said = byId("said", HTMLElement);
const trouble = byId("trouble", HTMLElement);
const stale = byId("stale", HTMLElement);

/** What tests may look at. @type {{page: "index", rooms: api.Room[]}} */
const hooks = { page: "index", rooms: [] };
Object.assign(window, { roomtone: hooks });

/** Cards by room. @type {Map<string, HTMLElement>} */
const cards = new Map();
/** What the list does not tell of a room, links for one, as it was when last asked for. @type {Map<string, api.Room>} */
const details = new Map();
/** @type {Map<string, Desk>} */
const desks = new Map();
/** @type {Map<string, Outputs>} */
const outputs = new Map();
/** @type {Map<string, Sounds>} */
const sounds = new Map();
/** @type {Map<string, Recordings>} */
const recordings = new Map();
/** Recordings of rooms that are gone, by room and name. @type {Map<string, HTMLElement>} */
const leftBehind = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextRefresh;

// Getting in --------------------------------------------------------------

async function start() {
  const secret = takeSecret("admin");
  try {
    if (secret) await api.signIn(secret);
    else if (!(await api.isAdmin())) return lock(null);
  } catch (error) {
    return lock(whyLocked(error));
  }
  await open();
}

/** @param {unknown} error */
function whyLocked(error) {
  if (error instanceof api.Refusal && error.code === "bad_secret")
    return (
      "That key does not fit. The first-run link works once; after that use the admin key, " +
      "which the server's log says where to find."
    );
  if (error instanceof api.Refusal && error.status === 401) return null;
  const { title, text } = explainError(error);
  return `${title}. ${text}`;
}

/** @param {string | null} problem */
function lock(problem) {
  clearTimeout(nextRefresh);
  byId("sign-out", HTMLElement).hidden = true;
  show(byId("locked-error", HTMLElement), problem);
  showOnly("locked", SECTIONS);
}

async function open() {
  byId("sign-out", HTMLElement).hidden = false;
  if (await refresh()) showOnly("rooms-page", SECTIONS);
}

byId("unlock", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("secret", HTMLInputElement);
  const secret = field.value.trim();
  if (!secret) return field.focus();
  try {
    await api.signIn(secret);
  } catch (error) {
    show(byId("locked-error", HTMLElement), whyLocked(error) ?? "That key does not fit.");
    return field.select();
  }
  field.value = "";
  await open();
  byId("rooms-title", HTMLElement).focus();
});

byId("sign-out", HTMLButtonElement).addEventListener("click", async () => {
  await api.signOut().catch(() => undefined);
  lock(null);
});

// The list ----------------------------------------------------------------

/**
 * Draw the rooms as they are now, and again in a while.
 * @returns {Promise<boolean>} false: the right to see them is gone, and the page is locked
 */
async function refresh() {
  clearTimeout(nextRefresh);
  try {
    const found = await api.listRooms();
    await Promise.all(found.filter((room) => !details.has(room.roomId)).map(fetchDetails));
    draw(found);
    show(stale, null);
  } catch (error) {
    if (error instanceof api.Refusal && [401, 403].includes(error.status)) {
      lock(null);
      return false;
    }
    const { title, text } = explainError(error);
    show(stale, `${title}. ${text} This list is brought up to date as soon as that works again.`);
  }
  if (document.visibilityState === "visible") nextRefresh = setTimeout(refresh, REFRESH_MS);
  return true;
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && !byId("rooms-page", HTMLElement).hidden) refresh();
});

/** @param {api.Room} room */
async function fetchDetails(room) {
  try {
    details.set(room.roomId, await api.readRoom(room.roomId, null));
  } catch (error) {
    if (!(error instanceof api.Refusal && error.status === 404)) throw error; // it has just gone
  }
}

/** @param {api.Room[]} found */
function draw(found) {
  hooks.rooms = found;
  const newestFirst = [...found].sort((a, b) => (b.createdAt ?? "").localeCompare(a.createdAt ?? ""));
  const alive = new Set(found.map((room) => room.roomId));
  for (const [roomId, card] of cards) {
    if (alive.has(roomId)) continue;
    card.remove();
    cards.delete(roomId);
    details.delete(roomId);
    desks.delete(roomId);
    outputs.delete(roomId);
    sounds.get(roomId)?.end();
    sounds.delete(roomId);
    recordings.get(roomId)?.end();
    recordings.delete(roomId);
  }
  newestFirst.forEach((room, place) => {
    let card = cards.get(room.roomId);
    if (!card) cards.set(room.roomId, (card = makeCard(room)));
    update(card, room);
    desks.get(room.roomId)?.refresh();
    outputs.get(room.roomId)?.refresh();
    if (rooms.children[place] !== card) rooms.insertBefore(card, rooms.children[place] ?? null);
  });
  byId("empty", HTMLElement).hidden = found.length > 0;
  drawLeftBehind(alive).catch(() => undefined); // the next look will do
}

/**
 * Recordings outlive their rooms.
 * @param {Set<string>} alive
 */
async function drawLeftBehind(alive) {
  const all = (await api.listRecordings(null)).recordings;
  const found = all.filter((one) => !alive.has(one.roomId)).reverse();
  const list = byId("left-list", HTMLUListElement);
  const ids = new Set(found.map((one) => `${one.roomId}/${one.name}`));
  for (const [id, item] of leftBehind) {
    if (ids.has(id)) continue;
    item.remove();
    leftBehind.delete(id);
  }
  found.forEach((one, place) => {
    const id = `${one.roomId}/${one.name}`;
    let item = leftBehind.get(id);
    const announce = (/** @type {string} */ text) => say(said, text);
    const focus = () => byId("left-count", HTMLElement).focus();
    if (!item) leftBehind.set(id, (item = makeItem(one, announce, focus, `Room ${one.roomId}`)));
    drawUpload(item, one.upload);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  const many = found.length === 1 ? "1 recording" : `${found.length} recordings`;
  say(byId("left-count", HTMLElement), `${many} of rooms that are gone`);
  byId("left-behind", HTMLElement).hidden = found.length === 0;
}

/** @param {api.Room} room */
function makeCard(room) {
  const card = fromTemplate("room-template");
  desks.set(room.roomId, new Desk(part(card, "desk", HTMLDetailsElement), room.roomId, (found) => {
    details.set(room.roomId, found);
    drawLinks(card, found, renewed);
  }));
  outputs.set(room.roomId, new Outputs(part(card, "outputs", HTMLDetailsElement), room.roomId));
  const remove = part(card, "delete", HTMLButtonElement);
  remove.title = "Delete this room";
  remove.addEventListener("click", () =>
    askAndDelete(room.roomId, part(card, "name", HTMLElement).textContent ?? room.roomId),
  );
  sounds.set(room.roomId, new Sounds(card, room.roomId, (text) => say(said, text)));
  recordings.set(room.roomId, new Recordings(card, room.roomId, (text) => say(said, text)));
  recordings.get(room.roomId)?.refresh();
  return card;
}

/**
 * @param {HTMLElement} card
 * @param {api.Room} room
 */
function update(card, room) {
  const count = room.anchors ?? 0;
  const title = room.name || `Room ${room.roomId}`;
  say(part(card, "name", HTMLElement), title);
  say(part(card, "id", HTMLElement), room.name ? room.roomId : "");
  say(/** @type {Element} */ (card.querySelector("[data-part=delete] .sr-only")), `Delete ${title}`);
  say(part(card, "desk-of", HTMLElement), ` of ${title}`);
  say(part(card, "outputs-of", HTMLElement), ` of ${title}`);
  const people = part(card, "people", HTMLElement);
  say(people, count === 0 ? "empty" : count === 1 ? "1 person in it" : `${count} people in it`);
  people.classList.toggle("busy", count > 0);
  if (room.announcements) sounds.get(room.roomId)?.follow();
  recordings.get(room.roomId)?.draw(room.recording);
  say(part(card, "age", HTMLElement), room.createdAt ? `made ${ago(Date.parse(room.createdAt))}` : "");
  const known = details.get(room.roomId);
  if (known) drawLinks(card, known, renewed);
}

/**
 * @param {string} roomId
 * @param {{join: string, listen: string}} links  that hold from now on
 */
function renewed(roomId, links) {
  const known = details.get(roomId);
  if (known) details.set(roomId, { ...known, links });
}

/**
 * How long ago, in the words people use.
 * @param {number} when  Unix ms
 */
function ago(when) {
  const minutes = Math.round((api.serverNow() - when) / 60_000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (!Number.isFinite(minutes)) return "some time ago";
  if (minutes < 1) return "just now";
  if (minutes < 60) return words.format(-minutes, "minute");
  if (minutes < 60 * 24) return words.format(-Math.round(minutes / 60), "hour");
  return words.format(-Math.round(minutes / 60 / 24), "day");
}

// Making and deleting -----------------------------------------------------

byId("new-room", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("room-name", HTMLInputElement);
  const pin = byId("room-pin", HTMLInputElement);
  const pinText = pin.value.trim();
  const pinIsWrong = pinText !== "" && !/^[A-Za-z0-9]{6}$/.test(pinText);
  pin.setAttribute("aria-invalid", String(pinIsWrong));
  if (pinIsWrong) {
    show(trouble, "A PIN is exactly six letters or digits. Leave it empty for none.");
    return pin.focus();
  }
  const title = name.value.trim();
  show(trouble, null);
  try {
    const made = await api.createRoom({ ...(title ? { name: title } : {}), pin: pinText });
    if (made.links) details.set(made.roomId, made);
    name.value = pin.value = "";
    await refresh();
    say(said, `Made ${title || "a new room"}. Its links are in the list.`);
    cards.get(made.roomId)?.querySelector("button.primary")?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    const { title: what, text } = explainError(error);
    show(trouble, `The room was not made. ${what}. ${text}`);
  }
});

/**
 * @param {string} roomId
 * @param {string} title
 */
function askAndDelete(roomId, title) {
  const dialog = byId("confirm", HTMLDialogElement);
  say(byId("confirm-text", HTMLElement), `“${title}” ends for everybody in it, and its links stop working. Its recordings stay.`);
  dialog.returnValue = "keep";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "delete") return;
    show(trouble, null);
    try {
      await api.deleteRoom(roomId);
      say(said, `Deleted ${title}`);
      byId("rooms-title", HTMLElement).focus();
    } catch (error) {
      const { title: what, text } = explainError(error);
      show(trouble, `The room is still there. ${what}. ${text}`);
    }
    await refresh();
  };
  dialog.showModal();
}

reloadOnNewSecret("admin");
start();
