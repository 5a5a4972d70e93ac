/** A room's other outputs on the rooms page: radio addresses, and where it is published by RTMP. */

import * as api from "./api.js";
import { fromTemplate, part, say, show } from "./dom.js";
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

  /**
   * @param {HTMLDetailsElement} root
   * @param {string} roomId
   */
  constructor(root, roomId) {
    this.#root = root;
    this.#roomId = roomId;
    this.#problem = part(root, "output-problem", HTMLElement);
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
    await this.#try(async () => this.#draw(await api.listOutputs(this.#roomId)));
  }

  async #makeAddresses() {
    await this.#try(async () => {
      const { token } = await api.mintListener(this.#roomId, {});
      for (const kind of ["aac", "mp3"]) {
        const field = part(this.#root, `radio-${kind}`, HTMLInputElement);
        field.value = new URL(`/radio/${this.#roomId}.${kind}?token=${token}`, location.origin).href;
        field.addEventListener("focus", () => field.select());
      }
      part(this.#root, "radio-addresses", HTMLElement).hidden = false;
    });
  }

  async #add() {
    const field = part(this.#root, "output-url", HTMLInputElement);
    await this.#try(async () => {
      await api.createOutput(this.#roomId, { url: field.value.trim() });
      field.value = "";
      this.#draw(await api.listOutputs(this.#roomId));
    });
  }

  /** @param {api.Output[]} outputs */
  #draw(outputs) {
    const rows = outputs.map((output) => {
      const row = fromTemplate("output-template");
      say(part(row, "output-address", HTMLElement), output.name || output.url);
      const reason = output.reason ? `: ${output.reason}` : "";
      say(part(row, "output-state", HTMLElement), WORDS[output.state] + reason);
      const remove = part(row, "output-remove", HTMLButtonElement);
      remove.setAttribute("aria-label", `Stop publishing to ${output.name || output.url}`);
      remove.addEventListener("click", () =>
        this.#try(async () => {
          await api.deleteOutput(this.#roomId, output.outputId);
          row.remove();
        }),
      );
      return row;
    });
    part(this.#root, "output-list", HTMLElement).replaceChildren(...rows);
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
}
