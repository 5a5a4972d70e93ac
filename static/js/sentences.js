/** What went wrong, as sentences that say what to do next. */

import { Refusal } from "./api.js";

/** @typedef {{title: string, text: string, retry: boolean}} Explanation */

/** @type {Record<string, Explanation>} */
const EXPLANATIONS = {
  unreachable: {
    title: "The server does not answer",
    text: "Check your network. If it works elsewhere, tell the person who runs this server.",
    retry: true,
  },
  no_room: {
    title: "This link names no room",
    text: "Ask the person who invited you to send the whole link again.",
    retry: false,
  },
  room_not_found: {
    title: "This room does not exist",
    text: "It was closed, or the link is incomplete. Ask the person who invited you for a new link.",
    retry: true,
  },
  bad_invite: {
    title: "This invite is not valid any more",
    text: "It was revoked or cut off on its way. Ask the person who invited you for a new link.",
    retry: false,
  },
  wrong_pin: {
    title: "That is not the PIN of this room",
    text: "Ask whoever invited you. It is six letters or digits; capitals count.",
    retry: true,
  },
  room_full: {
    title: "The room is full",
    text: "Try again when somebody has left.",
    retry: true,
  },
  no_capacity: {
    title: "The server is full",
    text: "It carries no more people right now. Try again in a few minutes.",
    retry: true,
  },
  already_joined: {
    title: "You are in this room already",
    text: "Leave it in your other window or tab, then join here.",
    retry: true,
  },
  too_many_requests: {
    title: "That was too often",
    text: "Wait half a minute, then try again.",
    retry: true,
  },
  pin_locked: {
    title: "Too many wrong PINs",
    text: "Wait a while before you try again, and ask whoever invited you for the right one.",
    retry: true,
  },
  media_unavailable: {
    title: "The server's audio is starting again",
    text: "This takes a few seconds. Try again then.",
    retry: true,
  },
  no_sound_path: {
    title: "No sound gets through",
    text:
      "The server answers, but its audio port cannot be reached. A firewall between you may block UDP. " +
      "Try another network, or ask the person who runs the server which port to open.",
    retry: true,
  },
  no_webrtc: {
    title: "This browser cannot join",
    text: "It has no WebRTC, or it is switched off. Use a current Firefox, Chrome, Edge or Safari.",
    retry: false,
  },
  bad_sdp: {
    title: "This browser and the server found no common language",
    text: "Update the browser, or use a current Firefox, Chrome, Edge or Safari.",
    retry: true,
  },
  left: {
    title: "You left the room",
    text: "Nobody hears you any more.",
    retry: true,
  },
  removed: {
    title: "You are not in the room any more",
    text: "The server ended your part of the call. You may come back unless somebody removed you on purpose.",
    retry: true,
  },
  replaced: {
    title: "You joined from somewhere else",
    text: "Your newer window or device took over. Rejoin to bring the call back here.",
    retry: true,
  },
  moved: {
    title: "You are in another room now",
    text: "Somebody who runs this room moved you there, and this page could not follow.",
    retry: true,
  },
  denied: {
    title: "You were not let in",
    text: "Ask whoever invited you, then try again.",
    retry: true,
  },
  waited: {
    title: "Nobody let you in",
    text: "Perhaps nobody who could was there. Try again later.",
    retry: true,
  },
  off_stage: {
    title: "You are off the stage",
    text: "You can go on listening to the room, and raise your hand there for another word.",
    retry: false,
  },
  kicked: {
    title: "You were taken out of the room",
    text: "Somebody who runs it did that. You may come back if they let you.",
    retry: true,
  },
  room_locked: {
    title: "The room is locked",
    text: "Nobody new is let in now. Ask the people who run it, or try again later.",
    retry: true,
  },
  token_ended: {
    title: "Your right to be here has run out",
    text: "Rejoin to renew it. If that fails, ask the person who invited you for a new link.",
    retry: true,
  },
  room_closed: {
    title: "The room was closed",
    text: "The person who runs it ended it for everybody.",
    retry: false,
  },
  gave_up: {
    title: "The connection is lost",
    text: "The server did not come back. Check your network, then rejoin.",
    retry: true,
  },
};
EXPLANATIONS["no_audio"] = EXPLANATIONS["bad_fingerprint"] = /** @type {Explanation} */ (EXPLANATIONS["bad_sdp"]);
EXPLANATIONS["rate_limited"] = EXPLANATIONS["http_429"] = /** @type {Explanation} */ (
  EXPLANATIONS["too_many_requests"]
);

/**
 * @param {string} code
 * @param {string} [said]  the server's own sentence, for codes unknown here
 * @returns {Explanation}
 */
export function explain(code, said) {
  if (code === "bad_params" && said) return { title: "That is not accepted", text: `${said}.`, retry: true };
  return (
    EXPLANATIONS[code] ?? {
      title: "That did not work",
      text: `${said || "The server gave no reason."} Try again; if it stays, tell the person who runs this server.`,
      retry: true,
    }
  );
}

/**
 * @param {unknown} error
 * @returns {Explanation}
 */
export function explainError(error) {
  if (error instanceof Refusal) return explain(error.code, error.message);
  return explain("unexpected", error instanceof Error ? error.message : String(error));
}

/**
 * Number of people as a phrase.
 * @param {number} count
 */
export function peopleInside(count) {
  if (count === 0) return "Nobody is in yet";
  return count === 1 ? "One person is in" : `${count} people are in`;
}
