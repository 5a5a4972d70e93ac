/** One room's desk on the rooms page: how it is mixed, and what is done to the people in it. */

import * as api from "./api.js";
import { byId, fromTemplate, part, say, show } from "./dom.js";
import { explainError } from "./sentences.js";

const SEND_MS = 150; // a slider that is dragged says more than the server need hear

export class Desk {
  #roomId;
  #root;
  #form;
  #problem;
  #people;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  /** What the form was last filled with: nobody's typing is overwritten. */
  #filled = "";

  /**
   * @param {HTMLDetailsElement} root
   * @param {string} roomId
   */
  constructor(root, roomId) {
    this.#root = root;
    this.#roomId = roomId;
    this.#form = part(root, "settings", HTMLFormElement);
    this.#problem = part(root, "problem", HTMLElement);
    this.#people = part(root, "members", HTMLElement);
    this.#hold.addEventListener("change", () => this.#askForFile());
    root.addEventListener("toggle", () => this.refresh());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  /** Draw the room as it is now, if the desk is open. */
  async refresh() {
    if (!this.#root.open) return;
    await this.#try(async () => {
      const [room, people] = await Promise.all([api.readRoom(this.#roomId, null), api.listPeople(this.#roomId)]);
      this.#fill(room);
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

  // The room --------------------------------------------------------------

  /** @param {api.Room} room */
  #fill(room) {
    const wanted = JSON.stringify([room.name, room.pin, room.maxAnchors, room.profile, room.loudest, room.automix,
      room.liveListeners, room.broadcast, room.locked, room.record, room.holdMusic]);
    if (wanted === this.#filled) return;
    this.#filled = wanted;
    this.#text("name").value = room.name ?? "";
    this.#text("pin").value = room.pin ?? "";
    this.#text("maxAnchors").value = room.maxAnchors ? String(room.maxAnchors) : "";
    this.#text("loudest").value = room.loudest ? String(room.loudest) : "";
    this.#text("liveListeners").value = String(room.liveListeners ?? "");
    part(this.#form, "profile", HTMLSelectElement).value = room.profile ?? "voice";
    part(this.#form, "record", HTMLSelectElement).value = room.record ?? "";
    const music = room.holdMusic ?? null;
    this.#hold.value = music === null ? "" : music === "" ? "silence" : "file";
    this.#text("holdMusic").value = music ?? "";
    this.#askForFile();
    this.#text("automix").checked = room.automix ?? false;
    this.#text("broadcast").checked = room.broadcast ?? true;
    this.#text("locked").checked = room.locked ?? false;
  }

  /** @param {string} name */
  #text(name) {
    return part(this.#form, name, HTMLInputElement);
  }

  get #hold() {
    return part(this.#form, "hold", HTMLSelectElement);
  }

  #askForFile() {
    part(this.#form, "hold-field", HTMLElement).hidden = this.#hold.value !== "file";
  }

  async #save() {
    const limit = this.#text("maxAnchors").value.trim();
    const hold = this.#hold.value;
    const live = this.#text("liveListeners").value.trim();
    const change = {
      name: this.#text("name").value.trim(),
      pin: this.#text("pin").value.trim(),
      maxAnchors: limit === "" ? null : Number(limit),
      loudest: Number(this.#text("loudest").value.trim() || 0),
      liveListeners: live === "" ? null : Number(live),
      profile: part(this.#form, "profile", HTMLSelectElement).value,
      record: part(this.#form, "record", HTMLSelectElement).value || null,
      holdMusic: hold === "" ? null : hold === "silence" ? "" : this.#text("holdMusic").value.trim(),
      automix: this.#text("automix").checked,
      broadcast: this.#text("broadcast").checked,
      locked: this.#text("locked").checked,
    };
    if (change.pin !== "" && !/^[A-Za-z0-9]{6}$/.test(change.pin)) {
      show(this.#problem, "A PIN is exactly six letters or digits. Leave it empty for none.");
      return this.#text("pin").focus();
    }
    if (hold === "file" && !change.holdMusic) {
      show(this.#problem, "Name a file of the server's folder of sounds, or let listeners hear silence.");
      return this.#text("holdMusic").focus();
    }
    for (const name of ["maxAnchors", "loudest", "liveListeners"]) {
      if (/^\d*$/.test(this.#text(name).value.trim())) continue;
      show(this.#problem, "A number of people, or nothing for all of them.");
      return this.#text(name).focus();
    }
    await this.#try(async () => {
      this.#fill(await api.changeRoom(this.#roomId, change));
      say(byId("said", HTMLElement), "Saved. Everybody in the room has it now.");
      say(part(this.#form, "saved", HTMLElement), "Saved");
      setTimeout(() => say(part(this.#form, "saved", HTMLElement), ""), 3000);
    });
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
  mute.setAttribute("aria-label", `Mute ${name} for everybody`);
  say(part(mute, "word", HTMLElement), person.muted ? "Muted" : "Mute");
  mute.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${person.muted ? "mic-off" : "mic"}`);
  place(part(row, "gain", HTMLInputElement), person.gainDb, `Volume of ${name} for everybody`, `${person.gainDb} dB`);
  place(part(row, "pan", HTMLInputElement), person.pan, `Place of ${name}`, sideOf(person.pan));
  part(row, "pan-field", HTMLElement).hidden = !isStereo;
  say(part(row, "gain-word", HTMLElement), `${person.gainDb} dB`);
  say(part(row, "pan-word", HTMLElement), sideOf(person.pan));
  const ask = part(row, "ask", HTMLButtonElement);
  ask.hidden = !person.selfMuted || person.muted;
  ask.setAttribute("aria-label", `Ask ${name} to unmute`);
  part(row, "kick", HTMLButtonElement).setAttribute("aria-label", `Take ${name} out of the room`);
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
