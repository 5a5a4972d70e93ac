/** Where in a room a person is by the server's word, with what rights, and who else is there. */

import { Roster } from "./roster.js";

/**
 * @typedef {import("./calloptions.js").CallOptions} CallOptions
 * @typedef {import("./calloptions.js").Person} Person
 * @typedef {import("./calloptions.js").Place} Place
 * @typedef {import("./calloptions.js").RoomNotice} RoomNotice
 */

export class Whereabouts {
  #page;
  #role = "";
  #roster = new Roster();
  userId = "";
  /** @type {Place} */
  place = "stage";
  /** @type {string[]} */
  grants = [];
  /** @type {RoomNotice | null} */
  room = null;

  /** @param {CallOptions} page  what is told of every change */
  constructor(page) {
    this.#page = page;
  }

  /**
   * Take what the server says after a join, and when somebody is let in.
   * @param {any} joined
   * @param {string} userId  of the token, where the server does not say it
   */
  take(joined, userId) {
    this.userId = joined.userId ?? userId;
    this.place = joined.place ?? "stage";
    this.#role = joined.role ?? "";
    this.grants = joined.grants ?? [];
    if (joined.participants) this.#reset(joined.participants);
    if (joined.room) this.roomChanged(joined.room);
    this.#page.onRecording?.(joined.recording ?? null);
    this.#page.onPlace?.(this.place, this.grants);
  }

  /** @param {RoomNotice} room */
  roomChanged(room) {
    this.room = room;
    this.#page.onRoom(room);
  }

  /**
   * @param {any} told
   * @returns {boolean} false if something was missed, or this person's role is another: `resynced` is wanted
   */
  peopleChanged(told) {
    const complete = this.#roster.apply(told);
    if (complete) this.#page.onPeople(this.#roster.list);
    const me = this.#roster.list.find(({ userId }) => userId === this.userId);
    return complete && (!me?.role || me.role === this.#role);
  }

  /** @param {{version: number, snapshot: Person[], role: string, grants: string[]}} whole */
  resynced(whole) {
    this.#role = whole.role;
    this.grants = whole.grants;
    this.#reset(whole);
    this.#page.onPlace?.(this.place, this.grants);
  }

  /** The stage is left; this person listens. */
  stepDown() {
    this.place = "audience";
    this.grants = [];
    this.#page.onPlace?.("audience", []);
  }

  /** @param {{version: number, snapshot: Person[]}} told */
  #reset(told) {
    this.#roster.reset(told);
    this.#page.onPeople(this.#roster.list);
  }
}
