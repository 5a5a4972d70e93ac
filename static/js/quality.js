/** How good the connection is, in words, from two looks at WebRTC's statistics. */

/**
 * @typedef {object} Look
 * @property {number} received  packets
 * @property {number} lost  packets
 * @property {number} lostOutShare  0..1, as the server reports it
 * @property {number} roundTripMs
 * @property {number} jitterMs
 * @property {number} lastHeardMs  performance time of the last sign of life of the path
 *
 * @typedef {object} Quality
 * @property {"excellent" | "good" | "poor" | "lost"} word
 * @property {string} detail
 */

const SILENT_MS = 10_000; // browsers check the path every 2.5 s or so

/**
 * @param {RTCPeerConnection} peer
 * @returns {Promise<Look>}
 */
export async function look(peer) {
  /** @type {Look} */
  const seen = { received: 0, lost: 0, lostOutShare: 0, roundTripMs: 0, jitterMs: 0, lastHeardMs: 0 };
  for (const report of (await peer.getStats()).values()) {
    if (report.type === "inbound-rtp") {
      seen.received += report.packetsReceived ?? 0;
      seen.lost += report.packetsLost ?? 0;
      seen.jitterMs = (report.jitter ?? 0) * 1000;
      seen.lastHeardMs = Math.max(seen.lastHeardMs, sinceNavigation(report.lastPacketReceivedTimestamp));
    } else if (report.type === "remote-inbound-rtp") {
      seen.lostOutShare = report.fractionLost ?? 0;
    } else if (report.type === "candidate-pair" && report.nominated) {
      seen.roundTripMs = (report.currentRoundTripTime ?? 0) * 1000;
      seen.lastHeardMs = Math.max(seen.lastHeardMs, sinceNavigation(report.lastPacketReceivedTimestamp));
    }
  }
  return seen;
}

/** @param {number | undefined} unixMs */
const sinceNavigation = (unixMs) => (unixMs ? unixMs - performance.timeOrigin : 0);

/**
 * @param {Look} before
 * @param {Look} after
 * @param {{connected: boolean, now: number}} path  `now` in performance time
 * @returns {Quality}
 */
export function judge(before, after, { connected, now }) {
  const silent = after.lastHeardMs > 0 && now - after.lastHeardMs > SILENT_MS;
  if (!connected || silent) return { word: "lost", detail: "Nothing arrives from the server" };
  const lost = Math.max(0, after.lost - before.lost);
  const came = Math.max(0, after.received - before.received);
  const lossShare = Math.max(after.lostOutShare, lost + came > 0 ? lost / (lost + came) : 0);
  const detail =
    `${Math.round(lossShare * 100)} % of the sound lost, ` +
    `${Math.round(after.roundTripMs)} ms there and back, ${Math.round(after.jitterMs)} ms jitter`;
  if (lossShare < 0.02 && after.roundTripMs < 200 && after.jitterMs < 30) return { word: "excellent", detail };
  if (lossShare < 0.06 && after.roundTripMs < 400 && after.jitterMs < 60) return { word: "good", detail };
  return { word: "poor", detail };
}
