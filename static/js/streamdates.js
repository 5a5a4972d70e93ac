/** Dates of what a stream has, and where in it that is. */

/**
 * Where the sound of a moment is, in seconds of the stream; the beginning of a window that has
 * gone on without it.
 * @param {import("../vendor/hls.mjs").LevelDetails} details
 * @param {number} made  in Unix milliseconds
 */
export function positionOf(details, made) {
  const found = details.fragments.filter(({ programDateTime: date }) => date !== null && date <= made).at(-1);
  return found ? found.start + (made - (found.programDateTime ?? made)) / 1000 : details.fragmentStart;
}

/**
 * Safari's date of the beginning of what it plays itself, in Unix milliseconds.
 * @param {HTMLAudioElement} audio
 * @returns {number | undefined}
 */
export function nativeStart(audio) {
  const start = /** @type {any} */ (audio).getStartDate?.()?.getTime();
  return Number.isFinite(start) ? start : undefined;
}
