/** The REST side of the wire contract, as functions that answer or throw a Refusal. */

import { ServerClock } from "./serverclock.js";

/**
 * @typedef {object} Links
 * @property {string} join
 * @property {string} listen
 *
 * @typedef {object} Room
 * @property {string} roomId
 * @property {string} [name]
 * @property {string} [hlsUrl]
 * @property {string} [createdAt]  RFC 3339
 * @property {string} [pin]
 * @property {boolean} [pinRequired]
 * @property {number} [anchors]  people in the room
 * @property {number} [announcements]  sounds being played into it
 * @property {import("./recordingsign.js").RecordingNotice | null} [recording]
 * @property {string} [status]
 * @property {Links} [links]
 * @property {number | null} [maxAnchors]
 * @property {string} [profile]  "voice" or "music"
 * @property {number} [loudest]
 * @property {number | null} [liveListeners]  so many may listen without delay; null: as many as the server lets
 * @property {number} [liveListenersMost]  so many may in fact: the server's number, or fewer
 * @property {string | null} [holdMusic]  a sound file that listeners hear while nobody is in the room; "": silence; null: as the server says
 * @property {boolean} [automix]
 * @property {boolean} [broadcast]
 * @property {boolean} [radio]  as AAC and MP3 too
 * @property {boolean | null} [upload]  what is recorded and broadcast goes to the server's bucket; null: it has none
 * @property {string[]} [buses]  beside the floor
 * @property {import("./channels.js").AirBus[]} [broadcastBuses]  what listeners can choose among; none: the floor
 * @property {string} [title]  what listeners are told they hear; "": the room's name
 * @property {boolean} [broadcastNames]  they are told who speaks
 * @property {string[]} [captions]  the languages in which they can read what is said
 * @property {number | null} [dvrSeconds]  so far back they may go; null: as the server's setting says
 * @property {boolean} [locked]
 * @property {"off" | "on-air" | "when-occupied" | null} [record]  by itself; null: as the server's setting says
 * @property {boolean} [chat]
 * @property {boolean} [chatListeners]
 *
 * @typedef {object} Participant  a person in a room as those who run it see them
 * @property {string} userId
 * @property {string} displayName
 * @property {string} role
 * @property {string} status
 * @property {boolean} selfMuted
 * @property {boolean} muted  by those who run the room
 * @property {number} gainDb
 * @property {number} pan  -1 left to 1 right
 *
 * @typedef {object} Recording
 * @property {string} roomId
 * @property {string} name
 * @property {"recording" | "paused" | "stopping" | "done" | "failed"} state
 * @property {string} mix  "ogg", "flac" or "wav"
 * @property {string} beganAt  RFC 3339
 * @property {number} seconds  without pauses
 * @property {number} bytes
 * @property {string} reason  why it failed
 * @property {Upload | null} [upload]  null: it is not uploaded
 * @property {{name: string, bytes: number, type: string}[]} files  of one alone
 *
 * @typedef {object} Upload  how far a recording is on its way to the bucket
 * @property {"waiting" | "uploading" | "done" | "failed"} state
 * @property {number} sent  bytes
 * @property {number} total
 * @property {string} reason  why it waits
 *
 * @typedef {object} Announcement  a sound that is played into a room, or was
 * @property {string} announcementId
 * @property {string} name
 * @property {number} gainDb
 * @property {boolean} loop
 * @property {"playing" | "stopping" | "ended" | "stopped" | "failed"} state
 * @property {number} position  seconds
 * @property {number | null} length  seconds
 * @property {string} reason
 *
 * @typedef {object} Ticket  the right to speak in a room for a while
 * @property {string} userID
 * @property {string} token
 * @property {string | number} expiresAt
 *
 * @typedef {object} ListenTicket
 * @property {string} token
 * @property {string | number} expiresAt
 * @property {string} hlsUrl
 */

const SENDING_MS = 900_000; // 100 MB through a home's uplink
const TIMEOUT_MS = 10_000; // a dead line must not leave a page in "One moment…"

/** The server said no, or could not be reached (code "unreachable"). */
export class Refusal extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{status?: number, retryable?: boolean, retryAfterMs?: number | null}} [more]
   */
  constructor(code, message, { status = 0, retryable = false, retryAfterMs = null } = {}) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.status = status;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

const clock = new ServerClock();

/** The server's idea of now, in Unix milliseconds; ours where the two may agree. */
export const serverNow = () => Date.now() + clock.aheadMs;

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]  a form is sent as it is, anything else as JSON
 * @returns {Promise<any>}
 */
async function call(method, path, body) {
  const isForm = body instanceof FormData;
  const began = Date.now();
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(isForm ? SENDING_MS : TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : isForm
          ? { body }
          : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refusal("unreachable", "The server cannot be reached.", { retryable: true });
  }
  noteServerClock(response, began);
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw refusalFrom(response, answer);
}

/**
 * @param {Response} response
 * @param {any} answer
 */
function refusalFrom(response, answer) {
  const seconds = Number(response.headers.get("Retry-After"));
  return new Refusal(
    typeof answer?.code === "string" ? answer.code : `http_${response.status}`,
    sentenceOf(answer),
    {
      status: response.status,
      retryable: answer?.retryable ?? response.status >= 500,
      retryAfterMs: seconds > 0 ? seconds * 1000 : null,
    },
  );
}

/**
 * What the server says; which field it means, where it says no more than that there is one.
 * @param {any} answer
 * @returns {string}
 */
function sentenceOf(answer) {
  if (typeof answer?.error !== "string") return "The server gave no usable answer.";
  const [first] = Array.isArray(answer.details) ? answer.details : [];
  return first && first.message !== answer.error ? `${first.field}: ${first.message}` : answer.error;
}

/**
 * @param {Response} response
 * @param {number} began
 */
function noteServerClock(response, began) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) clock.note(date, began, Date.now());
}

/**
 * When a ticket ends, in Unix milliseconds: the wire may carry seconds or RFC 3339.
 * @param {string | number} expiresAt
 * @returns {number}
 */
export function expiryMs(expiresAt) {
  const at = typeof expiresAt === "number" ? expiresAt * 1000 : Date.parse(expiresAt);
  return Number.isFinite(at) ? at : serverNow() + 300_000;
}

/** @returns {Promise<boolean>} */
export const isAdmin = async () => (await call("GET", "/api/session")).admin === true;

/** @param {string} secret */
export const signIn = (secret) => call("POST", "/api/session", { secret });

export const signOut = () => call("DELETE", "/api/session");

/** @returns {Promise<Room[]>} */
export const listRooms = async () => (await call("GET", "/api/rooms")).rooms;

/**
 * @param {{name?: string, pin: string}} wishes
 * @returns {Promise<Room>}
 */
export const createRoom = async (wishes) =>
  (await call("POST", "/api/rooms", { ...wishes, maxAnchors: null, expiresIn: null })).room;

/**
 * @param {string} roomId
 * @param {"join" | "listen"} role
 * @returns {Promise<{join: string, listen: string}>} the links that hold from now on
 */
export const renewLink = async (roomId, role) => (await call("POST", `/api/rooms/${roomId}/invites`, { role })).links;

/** @param {string} roomId */
export const deleteRoom = (roomId) => call("DELETE", `/api/rooms/${roomId}`);

/**
 * @param {string} roomId
 * @param {object} change  what is not named stays
 * @returns {Promise<Room>}
 */
export const changeRoom = async (roomId, change) => (await call("PATCH", `/api/rooms/${roomId}`, change)).room;

/**
 * An RTMP output; its address has no key.
 * @typedef {{outputId: string, name: string, url: string, reason: string,
 *   state: "off" | "waiting" | "connecting" | "live" | "failed"}} Output
 */

/**
 * @param {string} roomId
 * @returns {Promise<Output[]>}
 */
export const listOutputs = async (roomId) => (await call("GET", `/api/rooms/${roomId}/outputs`)).outputs;

/**
 * @param {string} roomId
 * @param {{url: string}} output
 */
export const createOutput = (roomId, output) => call("POST", `/api/rooms/${roomId}/outputs`, output);

/**
 * @param {string} roomId
 * @param {string} outputId
 */
export const deleteOutput = (roomId, outputId) => call("DELETE", `/api/rooms/${roomId}/outputs/${outputId}`);

/**
 * @param {string} roomId
 * @returns {Promise<Participant[]>}
 */
export const listPeople = async (roomId) => (await call("GET", `/api/rooms/${roomId}/participants`)).participants;

/**
 * @param {string} roomId
 * @param {string} userId
 * @param {object} change
 * @returns {Promise<Participant>}
 */
export const controlPerson = async (roomId, userId, change) =>
  (await call("PATCH", `/api/rooms/${roomId}/participants/${userId}`, change)).participant;

/**
 * @param {string} roomId
 * @param {string} userId
 */
export const askToUnmute = (roomId, userId) =>
  call("POST", `/api/rooms/${roomId}/participants/${userId}/unmute-request`);

/**
 * @param {string} roomId
 * @param {string} userId
 * @param {boolean} ban
 */
export const kickPerson = (roomId, userId, ban) =>
  call("DELETE", `/api/rooms/${roomId}/participants/${userId}?ban=${ban}`);

/**
 * @param {string} roomId
 * @param {string | null} invite
 * @returns {Promise<Room>}
 */
export const readRoom = async (roomId, invite) =>
  (await call("GET", `/api/rooms/${roomId}${invite ? `?invite=${encodeURIComponent(invite)}` : ""}`)).room;

/**
 * @param {string} roomId
 * @param {{displayName: string, role?: string, invite?: string, pin?: string}} who
 * @returns {Promise<Ticket>}
 */
export const mintAnchor = (roomId, who) => call("POST", `/api/rooms/${roomId}/users`, { role: "anchor", ...who });

/**
 * @param {string} roomId
 * @param {{invite?: string, pin?: string}} right
 * @returns {Promise<ListenTicket>}
 */
export const mintListener = (roomId, right) => call("POST", "/api/token", { roomId, ...right });

/**
 * Whether the server answers at all, whatever it thinks of us.
 * @returns {Promise<boolean>}
 */
export const isServerUp = () =>
  call("GET", "/health").then(
    () => true,
    (refusal) => refusal.code !== "unreachable" && refusal.status < 500,
  );

/**
 * @param {string} roomId
 * @param {FormData} form  `file`, and how it is to be played
 * @returns {Promise<Announcement>}
 */
export const playSound = async (roomId, form) =>
  (await call("POST", `/api/rooms/${roomId}/announcements`, form)).announcement;

/**
 * @param {string} roomId
 * @returns {Promise<Announcement[]>}
 */
export const listSounds = async (roomId) => (await call("GET", `/api/rooms/${roomId}/announcements`)).announcements;

/**
 * @param {string} roomId
 * @param {string} id
 * @param {number} gainDb
 */
export const setSoundGain = (roomId, id, gainDb) =>
  call("PATCH", `/api/rooms/${roomId}/announcements/${id}`, { gainDb });

/**
 * Fade a sound out, or forget one that is over.
 * @param {string} roomId
 * @param {string} id
 */
export const stopSound = (roomId, id) => call("DELETE", `/api/rooms/${roomId}/announcements/${id}`);

/**
 * @param {string} roomId
 * @returns {Promise<Recording>}
 */
export const startRecording = async (roomId) => (await call("POST", `/api/rooms/${roomId}/recordings`, {})).recording;

/**
 * @param {string} roomId
 * @param {string} name
 * @param {"pause" | "resume" | "stop"} action
 * @returns {Promise<Recording>}
 */
export const changeRecording = async (roomId, name, action) =>
  (await call("PATCH", `/api/rooms/${roomId}/recordings/${name}`, { action })).recording;

/**
 * @param {string | null} roomId  null: of all rooms, those that are gone too
 * @returns {Promise<{recordings: Recording[], freeBytes: number}>}
 */
export const listRecordings = (roomId) =>
  call("GET", roomId === null ? "/api/recordings" : `/api/rooms/${roomId}/recordings`);

/**
 * @param {string} roomId
 * @param {string} name
 * @returns {Promise<Recording>}
 */
export const readRecording = async (roomId, name) =>
  (await call("GET", `/api/rooms/${roomId}/recordings/${name}`)).recording;

/**
 * @param {string} roomId
 * @param {string} name
 */
export const deleteRecording = (roomId, name) => call("DELETE", `/api/rooms/${roomId}/recordings/${name}`);
