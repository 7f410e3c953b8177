/** A button that copies what is shown beside it. */

import { el } from "./dom.js";

const COPIED_MS = 2000;

/**
 * The button, and the word that it was copied. Where the browser refuses, `shown` is selected.
 *
 * @param {string} label
 * @param {HTMLElement} shown
 * @param {() => string} text what is copied
 */
export function copyButton(label, shown, text) {
  const said = el("span", { class: "invite-said", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      said.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(shown);
      said.textContent = "Selected: copy it by hand";
    }
    setTimeout(() => (said.textContent = ""), COPIED_MS);
  };
  const attributes = { class: "button small", type: "button", on: { click: copy } };
  return el("div", { class: "invite-copy" }, el("button", attributes, label), said);
}
