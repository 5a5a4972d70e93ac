/** What those who run a room do from inside it: the door, raised hands, and the room's switches. */

import { byId, fromTemplate, part, say, show } from "./dom.js";
import { isRunning } from "./recordingsign.js";

/** @typedef {import("./calloptions.js").Person} Person */

const SWITCHES = /** @type {const} */ (["locked", "lobby", "chat", "chatListeners"]);

export class Door {
  #root = byId("run", HTMLDetailsElement);
  #waiting = byId("waiting", HTMLUListElement);
  #hands = byId("hands", HTMLUListElement);
  #count = byId("run-count", HTMLElement);
  #ask;
  #announce;
  /** @type {Set<string>} */
  #known = new Set();
  #isPaused = false;
  #record = {
    start: byId("record-start", HTMLButtonElement),
    pause: byId("record-pause", HTMLButtonElement),
    stop: byId("record-stop", HTMLButtonElement),
  };

  /**
   * @param {(method: string, params: object) => Promise<any>} ask
   * @param {(text: string) => void} announce  for screen readers
   */
  constructor(ask, announce) {
    this.#ask = ask;
    this.#announce = announce;
    const { start, pause, stop } = this.#record;
    start.addEventListener("click", () => this.#try("startRecording", {}));
    pause.addEventListener("click", () => this.#try(this.#isPaused ? "resumeRecording" : "pauseRecording", {}));
    stop.addEventListener("click", () => this.#try("stopRecording", {}));
    for (const name of SWITCHES) {
      const box = byId(`switch-${name}`, HTMLInputElement);
      box.addEventListener("change", async () => {
        await this.#try("changeRoom", { [name]: box.checked }, () => (box.checked = !box.checked));
      });
    }
  }

  /** @param {readonly string[]} grants  what this page's person may do */
  allow(grants) {
    this.#root.hidden = !["admit", "manage", "record"].some((one) => grants.includes(one));
    byId("record", HTMLElement).hidden = !grants.includes("record");
    byId("switches", HTMLElement).hidden = !grants.includes("manage");
    byId("doors", HTMLElement).hidden = !grants.includes("admit");
  }

  /** @param {import("./calloptions.js").RoomNotice} room */
  drawRoom(room) {
    for (const name of SWITCHES) byId(`switch-${name}`, HTMLInputElement).checked = room[name] === true;
  }

  /** @param {import("./recordingsign.js").RecordingNotice | null} notice */
  drawRecording(notice) {
    const { start, pause, stop } = this.#record;
    const running = isRunning(notice);
    const focused = [start, pause, stop].find((button) => button === document.activeElement);
    this.#isPaused = notice?.state === "paused";
    start.hidden = running;
    pause.hidden = stop.hidden = !running;
    say(pause, this.#isPaused ? "Go on recording" : "Pause recording");
    // Who works by keyboard stays with the recording when their button goes.
    if (focused?.hidden) (running ? pause : start).focus();
  }

  /** @param {import("./calloptions.js").Outside} outside */
  draw({ waiting, hands }) {
    this.#fill(this.#waiting, waiting, "Let in");
    this.#fill(this.#hands, hands, "Bring up");
    byId("nobody-waits", HTMLElement).hidden = waiting.length + hands.length > 0;
    const all = [...waiting, ...hands];
    show(this.#count, all.length === 0 ? null : `${all.length} waiting`);
    const fresh = all.filter(({ userId }) => !this.#known.has(userId));
    this.#known = new Set(all.map(({ userId }) => userId));
    if (fresh.length > 0)
      this.#announce(
        fresh.map((one) => `${nameOf(one)} ${waiting.includes(one) ? "waits to come in" : "raises a hand"}`).join(". "),
      );
  }

  /**
   * @param {HTMLUListElement} list
   * @param {Person[]} people
   * @param {string} word
   */
  #fill(list, people, word) {
    list.hidden = people.length === 0;
    const focused = document.activeElement?.closest("li")?.dataset["userId"];
    const lines = people.map((one) => {
      const line = fromTemplate("door-template");
      const { userId } = one;
      line.dataset["userId"] = userId;
      say(part(line, "name", HTMLElement), nameOf(one));
      const admit = part(line, "admit", HTMLButtonElement);
      const deny = part(line, "deny", HTMLButtonElement);
      say(admit, word);
      admit.setAttribute("aria-label", `${word}: ${nameOf(one)}`);
      deny.setAttribute("aria-label", `Turn away: ${nameOf(one)}`);
      admit.addEventListener("click", () => this.#try("admit", { userId }));
      deny.addEventListener("click", () => this.#try("deny", { userId }));
      return line;
    });
    list.replaceChildren(...lines);
    // Who works by keyboard stays where they were, as far as that is still there.
    if (focused) lines.find((line) => line.dataset["userId"] === focused)?.querySelector("button")?.focus();
  }

  /**
   * @param {string} method
   * @param {object} params
   * @param {() => void} [undo]
   */
  async #try(method, params, undo) {
    const problem = byId("run-problem", HTMLElement);
    show(problem, null);
    try {
      await this.#ask(method, params);
    } catch (error) {
      undo?.();
      show(problem, error instanceof Error ? error.message : "That did not work.");
    }
  }
}

/** @param {Person} person */
const nameOf = (person) => person.displayName?.trim() || "Guest";
