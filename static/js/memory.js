/** What the browser remembers for a page, or nothing where storage is switched off. */

/** @typedef {"local" | "session"} Span  for good, or as long as the tab lives */

/**
 * @param {Span} span
 * @returns {Storage | null}
 */
function storage(span) {
  try {
    return span === "local" ? window.localStorage : window.sessionStorage;
  } catch {
    return null; // blocked by the browser's settings
  }
}

/**
 * @param {Span} span
 * @param {string} key
 * @returns {string | null}
 */
export function recall(span, key) {
  return storage(span)?.getItem(`roomtone.${key}`) ?? null;
}

/**
 * @param {Span} span
 * @param {string} key
 * @param {string} value
 */
export function remember(span, key, value) {
  try {
    storage(span)?.setItem(`roomtone.${key}`, value);
  } catch {
    // full or read-only: the page works, it only forgets
  }
}
