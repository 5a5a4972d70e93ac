/** The chat panel: what people write, as text and nothing else. */

import { Refusal } from "./api.js";
import { fromTemplate, part, say, show } from "./dom.js";
import { Recipients } from "./recipients.js";

/**
 * @typedef {object} Message
 * @property {number} id
 * @property {string} at  RFC 3339
 * @property {string} userId
 * @property {string} displayName
 * @property {string} text
 * @property {string | null} to
 */

const MAX_LINES = 300; // a page that stays open for days must not grow for ever

export class Chat {
  #root;
  #list;
  #ask;
  #userId;
  #field;
  #problem;
  #unread;
  #to;
  #toField;
  #last = 0;
  #count = 0;

  /**
   * @param {HTMLDetailsElement} root
   * @param {(method: string, params: object) => Promise<any>} ask
   * @param {() => string} userId  this page's person
   */
  constructor(root, ask, userId) {
    this.#root = root;
    this.#ask = ask;
    this.#userId = userId;
    this.#list = part(root, "messages", HTMLOListElement);
    this.#field = part(root, "text", HTMLTextAreaElement);
    this.#problem = part(root, "problem", HTMLElement);
    this.#unread = part(root, "unread", HTMLElement);
    this.#toField = part(root, "to-field", HTMLElement);
    const to = part(root, "to", HTMLSelectElement);
    this.#to = new Recipients(to, userId);
    to.addEventListener("change", () => this.#drawTo());
    const form = part(root, "form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    root.addEventListener("toggle", () => {
      if (!root.open) return;
      this.#count = 0;
      this.#drawUnread();
      this.#scroll();
    });
  }

  /**
   * Show the panel or not, and catch up with what was written meanwhile.
   * @param {boolean} on
   * @param {boolean} anew  whether the numbers begin again
   */
  async enable(on, anew) {
    if (anew) {
      this.#last = 0;
      this.#list.replaceChildren();
      this.#count = 0;
      this.#to.clear();
      this.#drawTo();
      this.#drawUnread();
    }
    this.#root.hidden = !on;
    if (!on) return;
    const answer = await this.#ask("chatHistory", { after: this.#last }).catch(() => null);
    for (const message of answer?.messages ?? []) this.add(message, true);
  }

  /** @param {Iterable<{ userId: string, displayName?: string }>} people  those on the stage */
  present(people) {
    this.#to.present(people);
    this.#drawTo();
  }

  /**
   * @param {Message} message
   * @param {boolean} [quiet]  it is an old one
   */
  add(message, quiet = false) {
    if (message.id <= this.#last) return;
    this.#last = message.id;
    const mine = message.userId === this.#userId();
    const line = fromTemplate("message-template");
    line.classList.toggle("mine", mine);
    line.classList.toggle("private", message.to !== null);
    if (!mine) this.#to.wrote(message.userId, message.displayName);
    this.#drawTo();
    say(part(line, "author", HTMLElement), mine ? "You" : message.displayName || "Guest");
    const whom = mine && message.to ? this.#to.name(message.to) : "you";
    say(part(line, "note", HTMLElement), message.to ? `to ${whom} alone` : "");
    say(part(line, "text", HTMLElement), message.text);
    const time = part(line, "time", HTMLTimeElement);
    time.dateTime = message.at;
    say(time, new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    this.#list.append(line);
    if (this.#list.childElementCount > MAX_LINES) this.#list.firstElementChild?.remove();
    if (!quiet && !mine && !this.#root.open) this.#count += 1;
    this.#drawUnread();
    this.#scroll();
  }

  async #send() {
    const text = this.#field.value.trim();
    if (!text) return this.#field.focus();
    show(this.#problem, null);
    try {
      const to = this.#to.chosen;
      await this.#ask("chat", { text, ...(to ? { to } : {}) });
      this.#field.value = "";
    } catch (error) {
      show(this.#problem, sentence(error));
    }
    this.#field.focus();
  }

  #drawTo() {
    const to = this.#to.chosen;
    this.#toField.hidden = !this.#to.any;
    this.#field.placeholder = to ? `Write to ${this.#to.name(to)} alone` : "Write to everybody";
    this.#field.classList.toggle("private", to !== null);
  }

  #drawUnread() {
    show(this.#unread, this.#count === 0 ? null : `${this.#count} new`);
  }

  #scroll() {
    const box = this.#list.parentElement;
    if (box) box.scrollTop = box.scrollHeight;
  }
}

/** @param {unknown} error */
function sentence(error) {
  if (!(error instanceof Refusal)) return "That was not sent. Try again.";
  if (error.code === "chat_too_fast") return "That was too fast. Wait a second, then send it again.";
  if (error.code === "not_found") return "That person is not here any more. Choose whom it is for.";
  if (error.code === "chat_off") return "Those who run the room switched the chat off.";
  return "That was not sent: the connection is away. Try again in a moment.";
}
