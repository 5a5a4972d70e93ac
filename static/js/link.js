/** The address a page was opened with: its room and the secret in its fragment. */

import { recall, remember } from "./memory.js";

/**
 * Take `#name=…` out of the address bar, so that it is neither seen nor copied on.
 * @param {string} name
 * @returns {string | null}
 */
export function takeSecret(name) {
  const secret = new URLSearchParams(location.hash.slice(1)).get(name);
  if (secret !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return secret;
}

/**
 * The invite of this link; kept for the tab's life, so that a reload works.
 * @param {"join" | "listen"} role
 * @param {string} roomId
 * @returns {string | null}
 */
export function takeInvite(role, roomId) {
  const key = `invite.${role}.${roomId}`;
  const fresh = takeSecret("invite");
  if (fresh) remember("session", key, fresh);
  return fresh || recall("session", key);
}

/**
 * The room a path like `/join/{room}` names, or null where it names none.
 * @returns {string | null}
 */
export function roomOfPath() {
  const name = location.pathname.split("/")[2] ?? "";
  return /^[A-Za-z0-9_-]{3,32}$/.test(name) ? name : null;
}

/**
 * Open the same link anew when only its fragment was replaced (a second invite pasted
 * into the same tab navigates nowhere).
 * @param {string} name
 */
export function reloadOnNewSecret(name) {
  window.addEventListener("hashchange", () => {
    if (new URLSearchParams(location.hash.slice(1)).has(name)) location.reload();
  });
}
