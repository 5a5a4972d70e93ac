/** The right to be in a room, fetched when it is wanted and again when it runs out or is refused. */

import { expiryMs, Refusal, serverNow } from "./api.js";

/** @typedef {import("./api.js").Ticket} Ticket */

const SPARE_MS = 20_000;
const MOST_REFUSED = 3;

export class Tickets {
  #mint;
  #isServerUp;
  /** @type {Ticket | null} */
  #ticket = null;
  #refused = 0;

  /**
   * @param {() => Promise<Ticket>} mint
   * @param {() => Promise<boolean>} isServerUp
   */
  constructor(mint, isServerUp) {
    this.#mint = mint;
    this.#isServerUp = isServerUp;
  }

  /** Whose the ticket is; "" before there was one. */
  get userId() {
    return this.#ticket?.userID ?? "";
  }
  get isFresh() {
    return this.#ticket !== null && expiryMs(this.#ticket.expiresAt) - serverNow() >= SPARE_MS;
  }

  /** @returns {Promise<string>} a token that holds for a while; throws Refusal */
  async token() {
    if (!this.#ticket || !this.isFresh) this.#ticket = await this.#mint();
    return this.#ticket.token;
  }

  /**
   * Use this one from now on.
   * @param {Ticket} ticket
   */
  use(ticket) {
    this.#ticket = ticket;
  }

  /** It was good: somebody is in with it. */
  accepted() {
    this.#refused = 0;
  }

  /** A browser hides why a socket was refused; a server that is up refused the token. */
  async doubt() {
    if (!(await this.#isServerUp())) return;
    this.#ticket = null;
    this.#refused += 1;
    if (this.#refused >= MOST_REFUSED) throw new Refusal("token_ended", "The server refuses this token.");
  }
}
