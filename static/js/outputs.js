/** A room's other outputs on the rooms page: radio addresses, and where it is published by RTMP. */

import * as api from "./api.js";
import { byId, fromTemplate, part, say, show } from "./dom.js";
import { explainError } from "./sentences.js";

const WORDS = {
  off: "off",
  waiting: "waits for the broadcast",
  connecting: "connecting",
  live: "live",
  failed: "not reached",
};

export class Outputs {
  #root;
  #roomId;
  #problem;
  #url;
  #list;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();

  /**
   * @param {HTMLDetailsElement} root
   * @param {string} roomId
   */
  constructor(root, roomId) {
    this.#root = root;
    this.#roomId = roomId;
    this.#problem = part(root, "output-problem", HTMLElement);
    this.#url = part(root, "output-url", HTMLInputElement);
    this.#list = part(root, "output-list", HTMLElement);
    root.addEventListener("toggle", () => this.refresh());
    part(root, "radio-make", HTMLButtonElement).addEventListener("click", () => this.#makeAddresses());
    part(root, "output-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
  }

  /** Draw the outputs as they are now, if they are looked at. */
  async refresh() {
    if (!this.#root.open) return;
    try {
      this.#draw(await api.listOutputs(this.#roomId));
    } catch {
      // The page says of itself that it cannot be brought up to date.
    }
  }

  async #makeAddresses() {
    await this.#try(async () => {
      const { token, expiresAt } = await api.mintListener(this.#roomId, {});
      for (const kind of ["aac", "mp3"]) {
        const field = part(this.#root, `radio-${kind}`, HTMLInputElement);
        field.value = new URL(`/radio/${this.#roomId}.${kind}?token=${token}`, location.origin).href;
        field.addEventListener("focus", () => field.select());
      }
      const until = new Date(api.expiryMs(expiresAt)).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      say(part(this.#root, "radio-until", HTMLElement), until);
      part(this.#root, "radio-addresses", HTMLElement).hidden = false;
    });
  }

  async #add() {
    const done = await this.#try(async () => {
      await api.createOutput(this.#roomId, { url: this.#url.value.trim() });
      this.#url.value = "";
      this.#draw(await api.listOutputs(this.#roomId));
    });
    this.#url.setAttribute("aria-invalid", String(!done));
    if (!done) this.#url.focus();
  }

  /** @param {string} outputId */
  async #remove(outputId) {
    const done = await this.#try(async () => {
      await api.deleteOutput(this.#roomId, outputId);
      this.#draw(await api.listOutputs(this.#roomId));
    });
    if (!done) return;
    say(byId("said", HTMLElement), "It is not published there any more");
    this.#url.focus();
  }

  /** @param {api.Output[]} outputs */
  #draw(outputs) {
    const here = new Set(outputs.map(({ outputId }) => outputId));
    for (const [outputId, row] of this.#rows) {
      if (here.has(outputId)) continue;
      row.remove();
      this.#rows.delete(outputId);
    }
    for (const output of outputs) {
      let row = this.#rows.get(output.outputId);
      if (!row) this.#rows.set(output.outputId, (row = this.#makeRow(output.outputId)));
      drawRow(row, output);
    }
  }

  /** @param {string} outputId */
  #makeRow(outputId) {
    const row = fromTemplate("output-template");
    part(row, "output-remove", HTMLButtonElement).addEventListener("click", () => this.#remove(outputId));
    this.#list.append(row);
    return row;
  }

  /**
   * @param {() => Promise<unknown>} work
   * @returns {Promise<boolean>} whether it was done
   */
  async #try(work) {
    try {
      await work();
      show(this.#problem, null);
      return true;
    } catch (error) {
      const { title, text } = explainError(error);
      show(this.#problem, `${title}. ${text}`);
      return false;
    }
  }
}

/**
 * @param {HTMLElement} row
 * @param {api.Output} output
 */
function drawRow(row, { name, url, state, reason }) {
  say(part(row, "output-address", HTMLElement), name || url);
  say(part(row, "output-state", HTMLElement), reason ? `${WORDS[state]}: ${reason}` : WORDS[state]);
  part(row, "output-remove", HTMLButtonElement).setAttribute("aria-label", `Stop publishing to ${name || url}`);
}
