/** The states of a call, and what ends one for good. */

import { Refusal } from "./api.js";

/**
 * @typedef {"idle" | "connecting" | "live" | "reconnecting" | "ended"} State
 * @typedef {"start" | "settled" | "lost" | "end"} Event
 */

/** @type {Record<State, Partial<Record<Event, State>>>} */
export const LEGAL = {
  idle: { start: "connecting", end: "ended" },
  connecting: { settled: "live", lost: "connecting", end: "ended" },
  live: { settled: "live", lost: "reconnecting", end: "ended" },
  reconnecting: { settled: "live", lost: "reconnecting", end: "ended" },
  ended: { end: "ended" },
};

/** Close codes after which coming back by ourselves would be wrong. @type {Record<number, string>} */
export const FINAL_CLOSE = {
  1000: "removed",
  4001: "replaced",
  4002: "moved",
  4003: "token_ended",
  4004: "room_closed",
  4005: "kicked",
  4006: "denied",
  4007: "waited",
};

/** Refusals a second try on the same or a new socket may cure. */
const CURABLE = new Set(["not_joined", "timeout", "socket_lost", "socket_refused", "unreachable"]);

/**
 * Whether trying again may help.
 * @param {unknown} error
 * @returns {boolean}
 */
export function isCurable(error) {
  return error instanceof Refusal && (error.retryable || CURABLE.has(error.code));
}
