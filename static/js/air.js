/** Whether a broadcast goes on, by its playlist: much cheaper to ask for than to begin to play. */

/**
 * live: there is more to come; over: it has an end; off_air: there is nothing to play yet;
 * refused: the room may be gone, or the right.
 * @typedef {"live" | "over" | "off_air" | "refused" | "server" | "network"} Air
 */

const TIMEOUT_MS = 5_000;

/**
 * @param {URL} playlist  a media playlist
 * @returns {Promise<Air>}
 */
export async function askAir(playlist) {
  try {
    const answer = await fetch(playlist, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await answer.text();
    if (!answer.ok) return airOf(answer.status, text);
    return text.includes("#EXT-X-ENDLIST") ? "over" : "live";
  } catch {
    return "network";
  }
}

/**
 * What it means that a playlist is not given.
 * @param {number} status  of HTTP
 * @param {string} body  of the answer
 * @returns {Air}
 */
export function airOf(status, body) {
  if ([401, 403, 404].includes(status)) return "refused";
  return codeOf(body) === "not_ready" ? "off_air" : "server";
}

/** @param {string} body */
function codeOf(body) {
  try {
    return JSON.parse(body).code;
  } catch {
    return undefined; // a proxy's own page
  }
}
