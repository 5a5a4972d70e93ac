/** What the server says during a call that concerns the page alone. */

/** @typedef {import("./calloptions.js").CallOptions} CallOptions */

/** @type {Record<string, (page: CallOptions, params: any) => void>} */
const TELL = {
  talking: (page, params) => page.onTalking(params?.levels ?? {}),
  unmuteRequest: (page) => page.onUnmuteRequest(),
  roomClosing: (page, params) => page.onClosing?.(Number(params?.seconds) || 0, "room"),
  draining: (page, params) => page.onClosing?.((Number(params?.endsInMs) || 0) / 1000, "server"),
  lobby: (page, params) => page.onLobby?.(params),
  recording: (page, params) => page.onRecording?.(params),
  caption: (page, params) => page.onCaption?.(params),
  chat: (page, params) => page.onChat?.(params),
};

/**
 * Tell the page; what nobody here knows is of a newer server.
 * @param {CallOptions} page
 * @param {string} method
 * @param {any} params
 */
export function passOn(page, method, params) {
  if (Object.hasOwn(TELL, method)) TELL[method]?.(page, params);
}
