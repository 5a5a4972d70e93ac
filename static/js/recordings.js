/** The recordings of one room's card: begin, pause and end one; play, fetch and delete those that are over. */

import * as api from "./api.js";
import { fromTemplate, part, say, show } from "./dom.js";
import { brokeOff, clock, isRunning } from "./recordingsign.js";
import { explainError } from "./sentences.js";

const TICK_MS = 1000;
const OVER = ["done", "failed"];
const CAPTIONS = /^mix(?:\.take(\d+))?\.([A-Za-z0-9-]+)\.vtt$/;

/** What to do when an item is seen for the first time: most are in a list that nobody opens. @type {WeakMap<Element, () => void>} */
const unseen = new WeakMap();
const watch = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watch.unobserve(target);
    unseen.get(target)?.();
  }
});

export class Recordings {
  /** @type {Map<string, HTMLElement>} */
  #items = new Map();
  /** @type {import("./recordingsign.js").RecordingNotice | null} */
  #notice = null;
  #toldAt = 0;
  #isBusy = false;
  #isBehind = false; // the list could not be had
  /** The newest recording, if it broke off; undefined before anybody looked. @type {string | null | undefined} */
  #broke;
  #ticker;

  /**
   * @param {HTMLElement} card
   * @param {string} roomId
   * @param {(text: string) => void} announce  for those who cannot see the page
   */
  constructor(card, roomId, announce) {
    this.card = card;
    this.roomId = roomId;
    this.announce = announce;
    this.#button("rec-start").addEventListener("click", () => this.#act("start"));
    this.#button("rec-pause").addEventListener("click", () =>
      this.#act(this.#notice?.state === "paused" ? "resume" : "pause"),
    );
    this.#button("rec-stop").addEventListener("click", () => this.#act("stop"));
    this.#box.addEventListener("toggle", () => this.refresh());
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** The card is gone. */
  end() {
    clearInterval(this.#ticker);
  }

  /** @param {import("./recordingsign.js").RecordingNotice | null | undefined} notice */
  draw(notice) {
    const before = this.#notice;
    this.#notice = notice ?? null;
    this.#toldAt = performance.now();
    const running = isRunning(notice);
    const paused = notice?.state === "paused";
    const focused = document.activeElement;
    part(this.card, "rec-now", HTMLElement).hidden = !running;
    this.#button("rec-start").hidden = running;
    const dot = part(this.card, "rec-dot", HTMLElement);
    dot.classList.toggle("paused", paused);
    say(part(this.card, "rec-word", HTMLElement), paused ? "Paused" : "Recording");
    say(this.#button("rec-pause"), paused ? "Go on" : "Pause");
    this.#tick();
    // Who works by keyboard stays with the recording when their button goes.
    if (running && focused === this.#button("rec-start")) this.#button("rec-pause").focus();
    if (!running && ["rec-pause", "rec-stop"].some((name) => focused === this.#button(name)))
      this.#button("rec-start").focus();
    if (this.#box.open || running || this.#isBehind || before?.state !== notice?.state) this.refresh();
  }

  /** Look at what is on the disk. */
  async refresh() {
    this.#isBehind = false;
    try {
      this.#drawList(await api.listRecordings(this.roomId));
    } catch (error) {
      this.#isBehind = true;
      if (error instanceof api.Refusal && error.retryable) return; // the next look will do
      this.#complain(error);
    }
  }

  /** @param {"start" | "pause" | "resume" | "stop"} action */
  async #act(action) {
    if (this.#isBusy) return; // a disabled button would lose the focus of who works by keyboard
    this.#isBusy = true;
    show(part(this.card, "rec-problem", HTMLElement), null);
    try {
      const name = this.#notice?.name ?? "";
      const now = await (action === "start"
        ? api.startRecording(this.roomId)
        : api.changeRecording(this.roomId, name, action));
      this.announce(
        { start: "Recording", pause: "The recording is paused", resume: "Recording again", stop: "The recording has ended" }[
          action
        ],
      );
      this.draw(now);
    } catch (error) {
      this.#complain(error);
    }
    this.#isBusy = false;
  }

  #tick() {
    if (!isRunning(this.#notice) || !this.#notice) return;
    const since = this.#notice.state === "recording" ? (performance.now() - this.#toldAt) / 1000 : 0;
    say(part(this.card, "rec-time", HTMLElement), clock(this.#notice.seconds + since));
  }

  /** @param {{recordings: api.Recording[], freeBytes: number}} answer */
  #drawList({ recordings, freeBytes }) {
    const now = recordings.find((one) => one.name === this.#notice?.name);
    say(part(this.card, "rec-size", HTMLElement), now?.bytes ? bytes(now.bytes) : "");
    this.#drawBroken(recordings.at(-1));
    const over = recordings.filter((one) => OVER.includes(one.state)).reverse();
    const list = part(this.card, "rec-list", HTMLUListElement);
    const alive = new Set(over.map((one) => one.name));
    for (const [name, item] of this.#items) {
      if (alive.has(name)) continue;
      item.remove();
      this.#items.delete(name);
    }
    over.forEach((one, place) => {
      let item = this.#items.get(one.name);
      if (!item) this.#items.set(one.name, (item = makeItem(one, this.announce, () => this.#removed())));
      drawUpload(item, one.upload);
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    });
    list.hidden = over.length === 0;
    this.#box.hidden = over.length === 0 && !this.#box.open;
    const count = over.length === 0 ? "No recordings" : over.length === 1 ? "1 recording" : `${over.length} recordings`;
    const broken = over.filter((one) => one.state === "failed").length;
    say(part(this.card, "rec-count", HTMLElement), broken ? `${count}, ${broken} broke off` : count);
    say(part(this.card, "rec-free", HTMLElement), `${bytes(freeBytes)} left on the server's disk`);
  }

  /**
   * Say that the newest recording broke off, until there is another.
   * @param {api.Recording | undefined} newest
   */
  #drawBroken(newest) {
    const broke = newest?.state === "failed" ? newest : null;
    const sentence = broke && brokeOff(`The last recording, ${clock(broke.seconds)} long,`, broke.reason);
    show(part(this.card, "rec-broke", HTMLElement), sentence);
    if (sentence && this.#broke !== undefined && this.#broke !== broke?.name) this.announce(sentence);
    this.#broke = broke?.name ?? null;
  }

  async #removed() {
    await this.refresh();
    const next = this.#box.open && !this.#box.hidden ? this.#box.querySelector("summary") : this.#button("rec-start");
    if (next instanceof HTMLElement) next.focus();
  }

  /** @param {unknown} error */
  #complain(error) {
    show(part(this.card, "rec-problem", HTMLElement), why(error));
  }

  get #box() {
    return part(this.card, "rec-box", HTMLDetailsElement);
  }

  /** @param {string} name */
  #button(name) {
    return part(this.card, name, HTMLButtonElement);
  }
}

/**
 * A recording that is over, with what can be done with it.
 * @param {api.Recording} one
 * @param {(text: string) => void} announce
 * @param {() => void} removed
 * @param {string} [title]
 */
export function makeItem(one, announce, removed, title) {
  const item = fromTemplate("recording-template");
  const began = new Date(one.beganAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const name = title ? `${title}, ${began}` : began;
  say(part(item, "rec-name", HTMLElement), name);
  say(part(item, "rec-facts", HTMLElement), `${clock(one.seconds)} · ${bytes(one.bytes)}`);
  show(part(item, "rec-reason", HTMLElement), one.state === "failed" ? brokeOff("It", one.reason) : null);
  drawUpload(item, one.upload);
  const base = `/api/rooms/${one.roomId}/recordings/${one.name}`;
  const zip = part(item, "rec-zip", HTMLAnchorElement);
  zip.href = `${base}/files.zip`;
  zip.setAttribute("aria-label", `Download the recording of ${name}`);
  zip.hidden = one.bytes === 0;
  const play = part(item, "rec-play", HTMLButtonElement);
  const sound = part(item, "rec-sound", HTMLAudioElement);
  play.hidden = one.bytes === 0;
  play.setAttribute("aria-label", `Play the recording of ${name}`);
  play.addEventListener("click", async () => {
    const takes = makeTakes(item, sound, await mixesOf(one), `${base}/files/`);
    sound.hidden = false;
    play.hidden = true;
    sound.focus();
    takes(0);
  });
  const remove = part(item, "rec-delete", HTMLButtonElement);
  remove.setAttribute("aria-label", `Delete the recording of ${name}`);
  remove.addEventListener("click", async () => {
    if (remove.dataset["sure"] !== "yes") {
      remove.dataset["sure"] = "yes";
      say(remove, "Delete for good?");
      remove.setAttribute("aria-label", `Delete the recording of ${name} for good?`);
      announce("Press again to delete it for good");
      return;
    }
    try {
      await api.deleteRecording(one.roomId, one.name);
      announce(`Deleted the recording of ${name}`);
      item.remove();
      removed();
    } catch (error) {
      show(part(item, "rec-reason", HTMLElement), why(error));
    }
  });
  remove.addEventListener("blur", () => {
    delete remove.dataset["sure"];
    say(remove, "Delete");
    remove.setAttribute("aria-label", `Delete the recording of ${name}`);
  });
  unseen.set(item, async () => remove.before(...(await captionsOf(one, name))));
  watch.observe(item);
  return item;
}

/**
 * A link to each of a recording's captions: a file for each language and take.
 * @param {api.Recording} one
 * @param {string} title  of the recording
 */
async function captionsOf(one, title) {
  const links = [];
  for (const file of await filesOf(one)) {
    const [, take, language] = CAPTIONS.exec(file.name) ?? [];
    if (!language) continue;
    const link = document.createElement("a");
    link.className = "button small-button";
    link.download = "";
    link.href = `/api/rooms/${one.roomId}/recordings/${one.name}/files/${file.name}`;
    link.textContent = `Captions (${take ? `${language}, take ${take}` : language})`;
    link.setAttribute("aria-label", `${link.textContent} of the recording of ${title}`);
    links.push(link);
  }
  return links;
}

/**
 * How far a recording is on its way to the bucket: a word, and a bar while it is on it.
 * @param {HTMLElement} item
 * @param {api.Upload | null | undefined} upload
 */
export function drawUpload(item, upload) {
  const box = part(item, "rec-upload", HTMLElement);
  box.hidden = !upload;
  if (!upload) return;
  const bar = part(item, "rec-upload-bar", HTMLProgressElement);
  const share = upload.total > 0 ? Math.min(1, upload.sent / upload.total) : 0;
  bar.hidden = upload.state === "done" || upload.state === "failed";
  bar.value = share;
  const words = {
    waiting: "Waiting to be uploaded",
    uploading: `Uploading, ${Math.floor(100 * share)} %`,
    done: "Uploaded",
    failed: "Not uploaded",
  };
  say(part(item, "rec-upload-word", HTMLElement), [words[upload.state], upload.reason].filter(Boolean).join(". ").replace(/\.+$/, ""));
}

/**
 * Let a recording be played that has several takes, as after a crash: one after the other, or as one chooses.
 * @param {HTMLElement} item
 * @param {HTMLAudioElement} sound
 * @param {string[]} takes  file names
 * @param {string} base  their address
 * @returns {(place: number) => void} which plays one
 */
function makeTakes(item, sound, takes, base) {
  const choice = part(item, "rec-take", HTMLSelectElement);
  choice.replaceChildren(...takes.map((_, place) => new Option(`${place + 1} of ${takes.length}`, String(place))));
  part(item, "rec-takes", HTMLElement).hidden = takes.length < 2;
  const play = (/** @type {number} */ place) => {
    choice.value = String(place);
    sound.src = `${base}${takes[place]}`;
    sound.play().catch(() => undefined); // its own controls say what is wrong
  };
  choice.addEventListener("change", () => play(Number(choice.value)));
  sound.addEventListener("ended", () => {
    const next = Number(choice.value) + 1;
    if (next < takes.length) play(next);
  });
  return play;
}

/**
 * The names of the files with everybody in them, one for each take.
 * @param {api.Recording} one
 */
async function mixesOf(one) {
  const numbered = (await filesOf(one)).flatMap(({ name }) => {
    const found = /^mix(?:\.take(\d+))?\.(?:ogg|flac|wav)$/.exec(name);
    return found ? [{ name, take: Number(found[1] ?? 1) }] : [];
  });
  const names = numbered.sort((a, b) => a.take - b.take).map(({ name }) => name);
  return names.length > 0 ? names : [`mix.${one.mix}`];
}

/** @param {api.Recording} one */
async function filesOf(one) {
  const { files } = await api.readRecording(one.roomId, one.name).catch(() => ({ files: [] }));
  return files;
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1e5) return `${Math.round(count / 1e3)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
  return `${(count / 1e9).toFixed(1)} GB`;
}

/** @param {unknown} error */
function why(error) {
  if (error instanceof api.Refusal && ["disk_full", "already_recording", "recording_busy", "recording_over"].includes(error.code))
    return `${error.message}.`.replace(/\.+$/, ".");
  const { title, text } = explainError(error);
  return `${title}. ${text}`;
}
