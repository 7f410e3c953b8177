/** The whole page takes files and folders: dropped on it or pasted into it. */

import { el } from "../../lib/dom.js";

/**
 * @param {import("../../main.js").App["sharing"]} sharing
 * @param {() => boolean} possible  whether one is in a room
 * @returns {HTMLElement}
 */
export function createDrop(sharing, possible) {
  const veil = el(
    "div",
    { class: "drop", hidden: true, "aria-hidden": "true" },
    el("p", {}, "Drop to share with the room"),
  );
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = possible() ? "copy" : "none";
    veil.hidden = !possible();
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    if (possible()) sharing.add(given(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const pasted = given(event.clipboardData);
    if (pasted.files.length + pasted.folders.length === 0 || !possible()) return;
    event.preventDefault();
    sharing.add(pasted);
  });
  return veil;
}

/**
 * What there is must be taken hold of at once: the browser empties the list after the event. A
 * folder has no bytes of its own, and looks like an empty file without a type.
 */
function given(transfer) {
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  if (items.length === 0) return { files: [...(transfer?.files ?? [])], folders: [] };
  const entries = items.map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory);
  const files = items.map((item, at) => !entries[at]?.isDirectory && item.getAsFile());
  return { files: files.filter(Boolean), folders };
}
