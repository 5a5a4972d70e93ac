/** One room's desk on the rooms page: how it is mixed, and what is done to the people in it. */

import * as api from "./api.js";
import { byId, fromTemplate, part, say, show } from "./dom.js";
import { RoomSettings } from "./roomsettings.js";
import { explainError } from "./sentences.js";

const SEND_MS = 150; // a slider that is dragged says more than the server need hear

export class Desk {
  #roomId;
  #root;
  #settings;
  #problem;
  #people;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  #onRoom;

  /**
   * @param {HTMLDetailsElement} root
   * @param {string} roomId
   * @param {(room: api.Room) => void} onRoom  the room as it was found, or saved
   */
  constructor(root, roomId, onRoom) {
    this.#root = root;
    this.#roomId = roomId;
    this.#onRoom = onRoom;
    this.#problem = part(root, "problem", HTMLElement);
    this.#people = part(root, "members", HTMLElement);
    this.#settings = new RoomSettings(
      part(root, "settings", HTMLFormElement),
      roomId,
      (change) => this.#save(change),
      (mistake) => show(this.#problem, mistake),
    );
    root.addEventListener("toggle", () => this.refresh());
  }

  /** Draw the room as it is now, if the desk is open. */
  async refresh() {
    if (!this.#root.open) return;
    await this.#try(async () => {
      const [room, people] = await Promise.all([api.readRoom(this.#roomId, null), api.listPeople(this.#roomId)]);
      this.#onRoom(room);
      this.#settings.fill(room);
      this.#draw(people, room);
    });
  }

  /** @param {() => Promise<unknown>} work */
  async #try(work) {
    try {
      await work();
      show(this.#problem, null);
    } catch (error) {
      const { title, text } = explainError(error);
      show(this.#problem, `${title}. ${text}`);
    }
  }

  /**
   * @param {object} change
   * @returns {Promise<api.Room | null>}
   */
  async #save(change) {
    /** @type {api.Room | null} */
    let room = null;
    await this.#try(async () => {
      room = await api.changeRoom(this.#roomId, change);
      this.#onRoom(room);
      say(byId("said", HTMLElement), "Saved. Everybody in the room has it now.");
    });
    return room;
  }

  // The people ------------------------------------------------------------

  /**
   * @param {api.Participant[]} people
   * @param {api.Room} room
   */
  #draw(people, room) {
    const here = new Set(people.map(({ userId }) => userId));
    for (const [userId, row] of this.#rows) {
      if (here.has(userId)) continue;
      row.remove();
      this.#rows.delete(userId);
    }
    for (const person of people) {
      let row = this.#rows.get(person.userId);
      if (!row) {
        this.#rows.set(person.userId, (row = this.#makeRow(person.userId)));
        this.#people.append(row);
      }
      drawRow(row, person, room.profile === "music");
    }
    part(this.#root, "nobody", HTMLElement).hidden = people.length > 0;
  }

  /**
   * @param {string} userId
   * @returns {HTMLElement}
   */
  #makeRow(userId) {
    const row = fromTemplate("member-template");
    /** @param {object} change */
    const control = (change) =>
      this.#try(async () => {
        const person = await api.controlPerson(this.#roomId, userId, change);
        drawRow(row, person, !part(row, "pan-field", HTMLElement).hidden);
      });
    const mute = part(row, "mute", HTMLButtonElement);
    mute.addEventListener("click", () => control({ muted: mute.getAttribute("aria-pressed") !== "true" }));
    slide(part(row, "gain", HTMLInputElement), (gainDb) => control({ gainDb }));
    slide(part(row, "pan", HTMLInputElement), (pan) => control({ pan }));
    part(row, "ask", HTMLButtonElement).addEventListener("click", () =>
      this.#try(async () => {
        await api.askToUnmute(this.#roomId, userId);
        say(byId("said", HTMLElement), "Asked them to unmute");
      }),
    );
    part(row, "kick", HTMLButtonElement).addEventListener("click", () => this.#askAndKick(userId, row));
    return row;
  }

  /**
   * @param {string} userId
   * @param {HTMLElement} row
   */
  #askAndKick(userId, row) {
    const name = part(row, "name", HTMLElement).textContent ?? "";
    const dialog = byId("kick", HTMLDialogElement);
    say(byId("kick-title", HTMLElement), `Take ${name} out of the room?`);
    dialog.returnValue = "keep";
    dialog.onclose = async () => {
      if (!["kick", "ban"].includes(dialog.returnValue)) return; // Escape may leave it empty
      await this.#try(() => api.kickPerson(this.#roomId, userId, dialog.returnValue === "ban"));
      say(byId("said", HTMLElement), `${name} is out`);
      this.#root.querySelector("summary")?.focus();
      await this.refresh();
    };
    dialog.showModal();
  }
}

/**
 * @param {HTMLElement} row
 * @param {api.Participant} person
 * @param {boolean} isStereo
 */
function drawRow(row, person, isStereo) {
  const name = person.displayName || "Guest";
  const words = [person.role === "host" ? "host" : "", person.status === "onair" ? "" : "not connected"];
  if (person.selfMuted) words.push("muted by themselves");
  say(part(row, "name", HTMLElement), name);
  say(part(row, "words", HTMLElement), words.filter(Boolean).join(" · "));
  const mute = part(row, "mute", HTMLButtonElement);
  mute.setAttribute("aria-pressed", String(person.muted));
  mute.setAttribute("aria-label", `${person.muted ? "Muted:" : "Mute"} ${name} for everybody`);
  say(part(mute, "word", HTMLElement), person.muted ? "Muted" : "Mute");
  mute.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${person.muted ? "mic-off" : "mic"}`);
  place(part(row, "gain", HTMLInputElement), person.gainDb, `Volume of ${name} for everybody`, `${person.gainDb} dB`);
  place(part(row, "pan", HTMLInputElement), person.pan, `Place of ${name}`, sideOf(person.pan));
  part(row, "pan-field", HTMLElement).hidden = !isStereo;
  say(part(row, "gain-word", HTMLElement), `${person.gainDb} dB`);
  say(part(row, "pan-word", HTMLElement), sideOf(person.pan));
  const ask = part(row, "ask", HTMLButtonElement);
  ask.hidden = !person.selfMuted || person.muted;
  ask.setAttribute("aria-label", `Ask to unmute: ${name}`);
  part(row, "kick", HTMLButtonElement).setAttribute("aria-label", `Take out ${name}`);
}

/**
 * Set a slider to where it is by the server's word, unless it was moved and the server knows not yet.
 * @param {HTMLInputElement} slider
 * @param {number} value
 * @param {string} label
 * @param {string} words
 */
function place(slider, value, label, words) {
  slider.setAttribute("aria-label", label);
  slider.setAttribute("aria-valuetext", words);
  if (slider.dataset["moved"] === undefined) slider.value = String(value);
}

/**
 * @param {HTMLInputElement} slider
 * @param {(value: number) => Promise<unknown>} send  called a few times a second while it moves
 */
function slide(slider, send) {
  let moves = 0;
  slider.addEventListener("input", () => {
    slider.dataset["moved"] = "";
    moves += 1;
    if (moves > 1) return; // the one before is on its way, and looks again afterwards
    const tell = async () => {
      const seen = moves;
      await send(Number(slider.value));
      if (moves > seen) {
        setTimeout(tell, SEND_MS);
      } else {
        moves = 0;
        delete slider.dataset["moved"];
      }
    };
    setTimeout(tell, SEND_MS);
  });
}

/** @param {number} pan */
function sideOf(pan) {
  if (pan === 0) return "middle";
  return `${Math.round(Math.abs(pan) * 100)} % ${pan < 0 ? "left" : "right"}`;
}
