/** The links into a room on its card: to be copied, opened, and made anew. */

import * as api from "./api.js";
import { copyFrom } from "./clipboard.js";
import { byId, fromTemplate, part, say } from "./dom.js";
import { explainError } from "./sentences.js";

/** @typedef {(roomId: string, links: {join: string, listen: string}) => void} OnRenewed */

/**
 * @param {HTMLElement} card
 * @param {api.Room} room
 * @param {OnRenewed} onRenewed
 */
export function drawLinks(card, room, onRenewed) {
  const { roomId, name, links, liveListenersMost } = room;
  const place = part(card, "links", HTMLElement);
  const wanted = JSON.stringify(links);
  if (links && place.dataset["links"] !== wanted) {
    place.dataset["links"] = wanted;
    const title = name || roomId;
    const join = makeLink("To talk", "mic", links.join, `join link of ${title}`);
    const listen = makeLink("To listen", "ears", links.listen, `listen link of ${title}`);
    place.replaceChildren(join, listen, makeLink("To listen without delay", "ears", live(links.listen), `live link of ${title}`));
    for (const role of /** @type {const} */ (["join", "listen"]))
      letRenew(role === "join" ? join : listen, role, title, async () => {
        const made = await api.renewLink(roomId, role);
        onRenewed(roomId, made);
        drawLinks(card, { ...room, links: made }, onRenewed);
        const fresh = /** @type {HTMLElement} */ (place.children[role === "join" ? 0 : 1]);
        part(fresh, "copy", HTMLButtonElement).focus();
      });
  }
  const last = place.children[2];
  if (last instanceof HTMLElement) last.hidden = liveListenersMost === 0; // nobody may
}

/**
 * The listen link that asks for WebRTC; the page goes over to the broadcast where that cannot be.
 * @param {string} link
 */
function live(link) {
  const address = new URL(link, location.origin);
  address.search = "?live";
  return address.href;
}

/**
 * @param {string} title
 * @param {string} icon
 * @param {string} link
 * @param {string} what
 */
function makeLink(title, icon, link, what) {
  const made = fromTemplate("link-template");
  const address = new URL(link, location.origin).href;
  made.setAttribute("aria-label", what);
  made.querySelector("use")?.setAttribute("href", `/static/img/icons.svg#${icon}`);
  say(part(made, "title", HTMLElement), title);
  const field = part(made, "address", HTMLInputElement);
  field.value = address;
  field.setAttribute("aria-label", what);
  field.addEventListener("focus", () => field.select());
  part(made, "open", HTMLAnchorElement).href = address;
  say(part(made, "open-what", HTMLElement), ` ${what} in a new tab`);
  const copy = part(made, "copy", HTMLButtonElement);
  const word = part(made, "copy-word", HTMLElement);
  say(part(made, "copy-what", HTMLElement), `(${what})`);
  copy.addEventListener("click", async () => {
    const done = await copyFrom(field);
    say(word, done ? "Copied" : "Press Ctrl-C");
    announce(done ? `Copied the ${what}` : "Select and copy the address by hand");
    setTimeout(() => say(word, "Copy link"), 2000);
  });
  return made;
}

/**
 * Let a link be made worthless by another, asked for twice: for who was put out and still has it.
 * @param {HTMLElement} link
 * @param {"join" | "listen"} role
 * @param {string} title
 * @param {() => Promise<void>} renew
 */
function letRenew(link, role, title, renew) {
  const button = part(link, "renew", HTMLButtonElement);
  const problem = part(link, "renew-problem", HTMLElement);
  const draw = (/** @type {boolean} */ isSure) => {
    button.dataset["sure"] = isSure ? "yes" : "no";
    const word = isSure ? "End the old one?" : "New link";
    say(button, word);
    button.setAttribute("aria-label", `${word} (${role} link of ${title})`);
  };
  draw(false);
  button.hidden = false;
  button.addEventListener("blur", () => draw(false));
  button.addEventListener("click", async () => {
    if (button.dataset["sure"] !== "yes") {
      draw(true);
      return announce("Press again: the link that is out there then lets nobody in any more");
    }
    try {
      await renew();
      announce(`Made a new ${role} link. The old one lets nobody in any more; who is in stays.`);
    } catch (error) {
      const { title: what, text } = explainError(error);
      say(problem, `The link is what it was. ${what}. ${text}`);
      problem.hidden = false;
    }
  });
}

/** @param {string} text  for those who cannot see the page */
const announce = (text) => say(byId("said", HTMLElement), text);
