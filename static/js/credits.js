/** What the stream says about itself: who speaks and what the title is, from its date ranges. */

/**
 * @typedef {object} Credits
 * @property {string} title  "" where there is none
 * @property {string[]} speakers
 */

/** @type {Credits} */
export const NO_CREDITS = { title: "", speakers: [] };

const TALKING = "org.roomtone.talking";
const TITLE = "org.roomtone.title";

/**
 * What holds at a moment of the stream.
 * @param {Iterable<import("../vendor/hls.mjs").DateRange | undefined>} ranges
 * @param {number} atMs  the date of what is heard
 * @returns {Credits}
 */
export function creditsAt(ranges, atMs) {
  let title = "";
  /** @type {Set<string>} */
  const speakers = new Set();
  for (const range of ranges) {
    if (!range || range.startDate.getTime() > atMs || (range.endDate?.getTime() ?? Infinity) <= atMs) continue;
    if (range.class === TITLE) title = range.attr["X-TITLE"] ?? title;
    else if (range.class === TALKING && range.attr["X-NAME"]) speakers.add(range.attr["X-NAME"]);
  }
  return { title, speakers: [...speakers] };
}

/**
 * "Ada", "Ada and Ben", "Ada, Ben and 3 more".
 * @param {string[]} names
 */
export function listed(names) {
  if (names.length < 2) return names[0] ?? "";
  if (names.length === 2) return names.join(" and ");
  return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}
