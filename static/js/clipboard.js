/** Copying a field's text, also on plain http where browsers hide their clipboard. */

/**
 * @param {HTMLInputElement} field
 * @returns {Promise<boolean>} false: the text is selected and the person may press Ctrl-C
 */
export async function copyFrom(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand("copy");
  }
}
