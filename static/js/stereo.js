/** Stereo in an offer: Chromium plays in two channels only what its own description asks for. */

/**
 * An offer that says this side would rather hear Opus in stereo (RFC 7587 §6.1). It costs nothing
 * where the room is mono, and a room that becomes one for music needs no new connection.
 * @param {string} sdp
 * @returns {string}
 */
export function preferStereo(sdp) {
  const type = /^a=rtpmap:(\d+) opus\/48000\/2/im.exec(sdp)?.[1];
  if (type === undefined) return sdp;
  const format = new RegExp(`^(a=fmtp:${type} (?!.*\\bstereo=)[^\\r\\n]*)`, "gm");
  return sdp.replace(format, "$1;stereo=1");
}
