/** JSON-RPC 2.0 over one WebSocket: requests by id, notifications, timeouts and keepalive. */

import { Refusal } from "./api.js";

const OPEN_TIMEOUT_MS = 8_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEPALIVE_MS = 15_000; // the server drops a person it heard nothing of for 30 s
const KEEPALIVE_TIMEOUT_MS = 8_000; // silence longer than this is a dead line, whatever the socket says

/**
 * How a socket ended.
 * @typedef {object} Closed
 * @property {number} code  of docs/protocol.md, or 1006 where the line broke
 *
 * @typedef {object} Waiting
 * @property {(result: any) => void} resolve
 * @property {(error: Refusal) => void} reject
 * @property {ReturnType<typeof setTimeout>} timer
 */

export class Rpc {
  #socket;
  #lastId = 0;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #onNotification;
  #status;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #keepalive;
  /** @type {(closed: Closed) => void} */
  #settleClosed = () => undefined;
  #over = false;
  /** @type {number | null} */
  #wishMs = null;

  /** Resolves once, when the socket is closed or given up. @type {Promise<Closed>} */
  closed = new Promise((resolve) => {
    this.#settleClosed = resolve;
  });

  /**
   * @param {string} url
   * @param {(method: string, params: any) => void} onNotification
   * @param {() => "onair" | "idle"} status  asked at each keepalive
   */
  constructor(url, onNotification, status) {
    this.#onNotification = onNotification;
    this.#status = status;
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = (event) => this.#end(event.code, wishOf(event));
  }

  /** Resolves when the socket is open; throws Refusal "socket_refused" where it never opens. */
  async open() {
    const timer = setTimeout(() => this.abandon(), OPEN_TIMEOUT_MS);
    const opened = new Promise((resolve) => {
      this.#socket.onopen = () => resolve(true);
    });
    const won = await Promise.race([opened, this.closed.then(() => false)]);
    clearTimeout(timer);
    if (!won) throw new Refusal("socket_refused", "The signalling connection was refused.", { retryable: true });
    this.#keepalive = setInterval(() => this.probe(), KEEPALIVE_MS);
  }

  get isOpen() {
    return !this.#over && this.#socket.readyState === WebSocket.OPEN;
  }

  /**
   * @param {string} method
   * @param {object} [params]
   * @param {number} [timeoutMs]
   * @returns {Promise<any>} the result; throws Refusal with the server's code, "timeout" or "socket_lost"
   */
  request(method, params = {}, timeoutMs = REQUEST_TIMEOUT_MS) {
    if (!this.isOpen) return Promise.reject(lost(this.#wishMs));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Refusal("timeout", `The server did not answer “${method}” in time.`, { retryable: true }));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ jsonrpc: "2.0", id, method, params });
    });
  }

  /**
   * @param {string} method
   * @param {object} [params]
   */
  notify(method, params = {}) {
    if (this.isOpen) this.#send({ jsonrpc: "2.0", method, params });
  }

  /**
   * Ask for a sign of life now; without one the socket counts as lost.
   * @param {number} [timeoutMs]
   */
  probe(timeoutMs = KEEPALIVE_TIMEOUT_MS) {
    this.request("keepalive", { status: this.#status() }, timeoutMs).catch((refusal) => {
      if (refusal.code === "timeout") this.abandon();
    });
  }

  /** Close in good order. */
  close() {
    this.#socket.close(1000);
    this.#end(1000);
  }

  /** Treat the socket as lost at once; a dead line would take its time to say so. */
  abandon() {
    this.#socket.close();
    this.#end(1006);
  }

  /** @param {object} message */
  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parse(data);
    if (this.#over || message === null) return;
    if (typeof message.method === "string" && message.id === undefined)
      return this.#onNotification(message.method, message.params);
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    this.#waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(refusalFrom(message.error));
    else waiting.resolve(message.result);
  }

  /**
   * @param {number} code
   * @param {number | null} wishMs  when the server wants us back
   */
  #end(code, wishMs = null) {
    if (this.#over) return;
    this.#over = true;
    this.#wishMs = wishMs;
    clearInterval(this.#keepalive);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(lost(wishMs));
    }
    this.#waiting.clear();
    this.#settleClosed({ code });
  }
}

/**
 * @param {unknown} data
 * @returns {any} the message, or null for what is none
 */
function parse(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message === "object" ? message : null;
  } catch {
    return null;
  }
}

/** @param {number | null} retryAfterMs */
const lost = (retryAfterMs) =>
  new Refusal("socket_lost", "The signalling connection is lost.", { retryable: true, retryAfterMs });

/**
 * A browser cannot read why an upgrade was refused: a server that is asked too often opens the
 * socket and says with its close (1013) when to come again.
 * @param {CloseEvent} event
 * @returns {number | null} milliseconds
 */
function wishOf(event) {
  if (event.code !== 1013) return null;
  const wished = Number(parse(event.reason)?.retryAfterMs);
  return wished > 0 ? wished : null;
}

/** @param {any} error */
function refusalFrom(error) {
  const data = error.data ?? {};
  return new Refusal(data.code ?? `rpc_${error.code}`, error.message ?? "", {
    retryable: data.retryable ?? false,
    retryAfterMs: data.retryAfterMs ?? null,
  });
}
