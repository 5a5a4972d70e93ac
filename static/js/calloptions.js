/** What a call needs of its page, and the shapes it tells the page of. Types only. */

/**
 * @typedef {object} Person
 * @property {string} userId
 * @property {string} [role]
 * @property {string} [status]  "onair", "idle" or "left"
 * @property {string} [displayName]
 * @property {boolean} [muted]
 * @property {boolean} [serverMuted]  by those who run the room: the person cannot undo it
 * @property {boolean} [canSpeak]  was granted to
 * @property {number | null} [hand]  raised, the lowest first
 *
 * @typedef {object} RoomNotice  what those inside may know of the room
 * @property {string} roomId
 * @property {string} [name]
 * @property {string} [profile]  "voice" or "music"
 * @property {boolean} [locked]
 * @property {boolean} [lobby]  who comes waits to be let in
 * @property {boolean} [chat]
 * @property {boolean} [chatListeners]
 * @property {boolean} [broadcast]
 * @property {string[]} [captions]  languages in which one can read along
 *
 * @typedef {"stage" | "lobby" | "audience"} Place  where in the room: on the stage, waiting, listening
 *
 * @typedef {object} Outside  those outside the stage, for who lets in
 * @property {Person[]} waiting
 * @property {Person[]} hands
 *
 * @typedef {object} CallOptions
 * @property {() => Promise<import("./api.js").Ticket>} mint  a fresh token for this person
 * @property {(token: string) => string} socketUrl
 * @property {() => Promise<boolean>} isServerUp
 * @property {string} displayName
 * @property {string | undefined} pin
 * @property {MediaStreamTrack | null} track  what this person sends
 * @property {(state: import("./callstate.js").State, reason: string | null, said: string | null) => void} onState
 * @property {(people: Person[]) => void} onPeople
 * @property {(levels: Record<string, number>) => void} onTalking
 * @property {(stream: MediaStream) => void} onStream  the room as this person hears it
 * @property {(room: RoomNotice) => void} onRoom  at each join, and when it was changed
 * @property {() => void} onUnmuteRequest  somebody who runs the room would like to hear this person
 * @property {(seconds: number, what: "room" | "server") => void} [onClosing]  it ends, or restarts, in so many seconds
 * @property {(place: Place, grants: string[]) => void} [onPlace]  where this person is from now on, with what rights
 * @property {(outside: Outside) => void} [onLobby]
 * @property {(message: import("./chat.js").Message) => void} [onChat]
 * @property {(caption: import("./callcaptions.js").Caption) => void} [onCaption]  to who asked
 * @property {(notice: import("./recordingsign.js").RecordingNotice | null) => void} [onRecording]  at each join, and on change
 * @property {boolean} [waitsForMicrophone]  once admitted, offer only when `goOnAir` is called
 */

export {};
