/** Typed access to a page's own elements. */

/**
 * The element with this id, of this class; a page without it is broken and says so at once.
 * @template {Element} E
 * @param {string} id
 * @param {new () => E} kind
 * @returns {E}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * The element `[data-part=name]` inside `root`.
 * @template {Element} E
 * @param {Element} root
 * @param {string} name
 * @param {new () => E} kind
 * @returns {E}
 */
export function part(root, name, kind) {
  const found = root.querySelector(`[data-part="${name}"]`);
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} part ${name}`);
  return found;
}

/**
 * A copy of the one element inside `<template id>`.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function fromTemplate(id) {
  const first = byId(id, HTMLTemplateElement).content.firstElementChild;
  if (!(first instanceof HTMLElement)) throw new Error(`template #${id} is empty`);
  return /** @type {HTMLElement} */ (first.cloneNode(true));
}

/**
 * Set an element's text only when it changes, so that live regions speak once.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show a message, or hide its box when there is none.
 * @param {HTMLElement} box
 * @param {string | null} text
 */
export function show(box, text) {
  say(box, text ?? "");
  box.hidden = text === null;
}

/**
 * Show one of a page's sections, hide the others.
 * @param {string} wanted
 * @param {readonly string[]} ids
 */
export function showOnly(wanted, ids) {
  for (const id of ids) byId(id, HTMLElement).hidden = id !== wanted;
}
