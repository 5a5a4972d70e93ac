/** The people in a room, drawn in the order they came, oneself first. */

import { fromTemplate, part, say } from "./dom.js";
import { AS_ALL } from "./volumes.js";

/** @typedef {import("./calloptions.js").Person} Person */

const LOUD_DBOV = -15; // full ring
const QUIET_DBOV = -50; // thinnest ring

export class People {
  #list;
  #announce;
  #volumes;
  /** @type {Map<string, HTMLElement>} */
  #tiles = new Map();
  /** @type {Map<string, Person>} */
  #known = new Map();
  #selfId = "";
  /** @type {readonly string[]} */
  #grants = [];
  #ask;

  /**
   * @param {HTMLElement} list
   * @param {(text: string) => void} announce  for screen readers: who came, who went
   * @param {() => import("./volumes.js").Volumes | null} volumes  those of the call
   * @param {(method: string, params: object) => Promise<any>} ask  the server, on behalf of this page's person
   */
  constructor(list, announce, volumes, ask) {
    this.#ask = ask;
    this.#list = list;
    this.#announce = announce;
    this.#volumes = volumes;
  }

  clear() {
    this.#tiles.clear();
    this.#known.clear();
    this.#list.replaceChildren();
  }

  /** @param {readonly string[]} grants  what this page's person may do to others */
  allow(grants) {
    this.#grants = grants;
    for (const person of this.#known.values()) this.#draw(person);
  }

  /**
   * @param {Person[]} people  the whole room
   * @param {string} selfId
   */
  update(people, selfId) {
    this.#selfId = selfId;
    const here = new Map(people.filter(({ status }) => status !== "left").map((one) => [one.userId, one]));
    const first = this.#known.size === 0;
    const raised = [...here.values()].filter(
      (one) => typeof one.hand === "number" && typeof this.#known.get(one.userId)?.hand !== "number",
    );
    const came = [...here.values()].filter(({ userId }) => !this.#known.has(userId) && userId !== selfId);
    const went = [...this.#known.values()].filter(({ userId }) => !here.has(userId));
    for (const { userId } of went) {
      this.#tiles.get(userId)?.remove();
      this.#tiles.delete(userId);
    }
    this.#known = here;
    for (const person of here.values()) this.#draw(person);
    if (first) return;
    const news = [
      ...raised.filter(({ userId }) => userId !== selfId).map((one) => `${nameOf(one)} raises a hand`),
      ...came.map((one) => `${nameOf(one)} joined`), ...went.map((one) => `${nameOf(one)} left`)];
    if (news.length > 0) this.#announce(news.join(". "));
  }

  /** @param {Record<string, number>} levels  dBov of those who can be heard now */
  talk(levels) {
    for (const [userId, tile] of this.#tiles) {
      const level = levels[userId];
      const talking = level !== undefined && !this.#known.get(userId)?.muted;
      tile.classList.toggle("talking", talking);
      if (talking) {
        const share = (level - QUIET_DBOV) / (LOUD_DBOV - QUIET_DBOV);
        tile.style.setProperty("--ring", String(Math.min(1, Math.max(0, share))));
      }
      this.#drawState(tile, this.#known.get(userId));
    }
  }

  /** @param {Person} person */
  #draw(person) {
    const self = person.userId === this.#selfId;
    let tile = this.#tiles.get(person.userId);
    if (!tile) {
      tile = fromTemplate("person-template");
      tile.dataset["userId"] = person.userId;
      tile.style.setProperty("--hue", String(hueOf(person.userId)));
      if (self) {
        part(tile, "for-me", HTMLElement).remove();
        part(tile, "for-all", HTMLElement).remove();
      } else {
        this.#listen(tile, person.userId);
        this.#run(tile, person.userId);
      }
      this.#tiles.set(person.userId, tile);
      this.#list.append(tile);
    }
    if (self && this.#list.firstChild !== tile) this.#list.prepend(tile);
    tile.classList.toggle("self", self);
    tile.classList.toggle("waiting", person.status === "idle");
    say(part(tile, "initials", HTMLElement), initialsOf(nameOf(person)));
    say(part(tile, "name", HTMLElement), nameOf(person));
    part(tile, "muted", HTMLElement).hidden = !person.muted;
    part(tile, "hand", HTMLElement).hidden = typeof person.hand !== "number";
    if (!self) this.#drawRun(tile, person);
    if (!self) nameVolume(tile, nameOf(person));
    if (person.muted) tile.classList.remove("talking");
    this.#drawState(tile, person);
  }

  /**
   * Let who may silence, promote or take somebody out.
   * @param {HTMLElement} tile
   * @param {string} userId
   */
  #run(tile, userId) {
    const tell = (/** @type {string} */ method, /** @type {object} */ params) =>
      this.#ask(method, { userId, ...params }).catch((error) => this.#announce(`That did not work. ${error.message}`));
    const known = () => this.#known.get(userId);
    part(tile, "mute-for-all", HTMLButtonElement).addEventListener("click", () => {
      const person = known();
      if (person?.serverMuted) tell("control", { muted: false });
      else if (person?.muted) tell("requestUnmute", {});
      else tell("control", { muted: true });
    });
    part(tile, "speak-for-all", HTMLButtonElement).addEventListener("click", () =>
      tell("control", { role: known()?.canSpeak === false ? "guest" : "listener" }),
    );
    part(tile, "kick", HTMLButtonElement).addEventListener("click", () => tell("kick", {}));
  }

  /**
   * @param {HTMLElement} tile
   * @param {Person} person
   */
  #drawRun(tile, person) {
    const may = (/** @type {string} */ right) => this.#grants.includes(right);
    const isHost = person.role === "host" && !may("manage");
    const undoes = person.serverMuted === true;
    const buttons = /** @type {const} */ ([
      ["mute-for-all", may("mute") && !isHost && (!undoes || may("manage")), muteWord(person)],
      ["speak-for-all", may("admit") && !isHost, person.canSpeak === false ? "Let speak" : "Off the stage"],
      ["kick", may("kick") && !isHost, "Take out"],
    ]);
    for (const [name, shown, word] of buttons) {
      const button = part(tile, name, HTMLButtonElement);
      button.hidden = !shown;
      say(button, word);
      button.setAttribute("aria-label", `${word}: ${nameOf(person)}`);
    }
    part(tile, "for-all", HTMLElement).hidden = !buttons.some(([, shown]) => shown);
  }

  /**
   * Let this page's person turn somebody up and down.
   * @param {HTMLElement} tile
   * @param {string} userId
   */
  #listen(tile, userId) {
    const slider = part(tile, "volume", HTMLInputElement);
    const mute = part(tile, "mute-for-me", HTMLButtonElement);
    let volume = this.#volumes()?.get(userId) ?? AS_ALL;
    const change = (/** @type {import("./volumes.js").Volume} */ wanted) => {
      volume = wanted;
      drawVolume(tile, volume);
      this.#volumes()?.set(userId, volume);
    };
    slider.addEventListener("input", () => change({ gainDb: Number(slider.value), muted: false }));
    slider.addEventListener("dblclick", () => change(AS_ALL));
    mute.addEventListener("click", () => change({ ...volume, muted: !volume.muted }));
    if (volume !== AS_ALL) change(volume); // they are back, and the server has forgotten it
    else drawVolume(tile, volume);
  }

  /**
   * @param {HTMLElement} tile
   * @param {Person | undefined} person
   */
  #drawState(tile, person) {
    let word = "";
    if (person?.status === "idle") word = "connecting…";
    else if (person?.serverMuted) word = "muted by the room";
    else if (person?.canSpeak === false) word = "only listens";
    else if (person?.muted) word = "muted";
    else if (tile.classList.contains("talking")) word = "talking";
    const self = person?.userId === this.#selfId ? "you" : "";
    say(part(tile, "state", HTMLElement), [self, word].filter(Boolean).join(" · "));
  }
}

/**
 * @param {HTMLElement} tile
 * @param {import("./volumes.js").Volume} volume
 */
function drawVolume(tile, { gainDb, muted }) {
  const slider = part(tile, "volume", HTMLInputElement);
  const mute = part(tile, "mute-for-me", HTMLButtonElement);
  const words = muted ? "muted for you" : gainDb === 0 ? "as loud as for everybody" : `${signed(gainDb)} dB for you`;
  slider.value = String(gainDb);
  slider.setAttribute("aria-valuetext", words);
  mute.setAttribute("aria-pressed", String(muted));
  mute.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${muted ? "speaker-off" : "speaker"}`);
  tile.classList.toggle("unheard", muted);
}

/**
 * @param {HTMLElement} tile
 * @param {string} name
 */
function nameVolume(tile, name) {
  part(tile, "volume", HTMLInputElement).setAttribute("aria-label", `Volume of ${name}, for you alone`);
  const mute = part(tile, "mute-for-me", HTMLButtonElement);
  mute.setAttribute("aria-label", `Mute ${name} for you alone`);
  mute.title = `Mute ${name} for you alone`;
}

/** @param {Person} person */
const muteWord = ({ serverMuted, muted }) => (serverMuted ? "Undo mute" : muted ? "Ask to unmute" : "Mute for all");

/** @param {number} number */
const signed = (number) => (number < 0 ? `−${-number}` : `+${number}`);

/** @param {Person} person */
const nameOf = (person) => person.displayName?.trim() || "Guest";

/** @param {string} name */
function initialsOf(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toUpperCase();
}

/**
 * A colour that stays with a person.
 * @param {string} userId
 */
function hueOf(userId) {
  let hash = 7;
  for (const letter of userId) hash = (hash * 31 + letter.charCodeAt(0)) % 3600;
  return (hash * 47) % 360;
}
