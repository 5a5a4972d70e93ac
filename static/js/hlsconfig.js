/** What hls.js is told: low latency, with retries that fit a stream that is made while it is heard. */

/** @typedef {Partial<import("../vendor/hls.mjs").HlsConfig>} Config */

const PATIENT = { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 };

/**
 * How often what failed is asked for again. Two seconds are soon enough to be heard as one hole,
 * and rare enough for a server that starts again.
 * @param {number} times
 */
const again = (times) => ({ maxNumRetry: times, retryDelayMs: 250, maxRetryDelayMs: 2_000 });

/** @type {Config} */
const SHARED = {
  enableWorker: false, // audio needs no transmuxing thread, and CSP stays simple
  maxLiveSyncPlaybackRate: 1, // hls.js speeds up only with a second in the buffer; see pace.js
  testBandwidth: false, // a part more to wait for; every line that plays at all carries 128 kb/s at first
  backBufferLength: Infinity, // see backbuffer.js
  maxBufferLength: 30,
  maxMaxBufferLength: 30, // hls.js stretches the former to 60 MB, ten minutes of a past that may never be heard
  liveDurationInfinity: true,
  // A server answers playlists that are waited for within six seconds.
  playlistLoadPolicy: {
    default: { maxTimeToFirstByteMs: 10_000, maxLoadTimeMs: 15_000, timeoutRetry: PATIENT, errorRetry: again(6) },
  },
  fragLoadPolicy: {
    default: { maxTimeToFirstByteMs: 8_000, maxLoadTimeMs: 20_000, timeoutRetry: PATIENT, errorRetry: again(6) },
  },
  keyLoadPolicy: {
    default: { maxTimeToFirstByteMs: 4_000, maxLoadTimeMs: 8_000, timeoutRetry: PATIENT, errorRetry: again(6) },
  },
};

/** The distance from the edge is what the playlist says: PART-HOLD-BACK. @type {Config} */
export const LOW_LATENCY = {
  ...SHARED,
  lowLatencyMode: true,
  liveSyncOnStallIncrease: 0.32, // a part more after each hole, two seconds at the most
};

/** @type {Config} */
export const CLASSIC = {
  ...SHARED,
  lowLatencyMode: false,
  liveSyncDuration: 5.76, // three segments as they are, 1.92 s, and not as the playlist rounds them
};
