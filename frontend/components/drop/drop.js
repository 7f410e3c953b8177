/** The whole page takes files: dropped on it or pasted into it. */

import { el } from "../../lib/dom.js";

/**
 * @param {(files: File[]) => void} share
 * @param {() => boolean} possible  whether one is in a room
 * @returns {HTMLElement}
 */
export function createDrop(share, possible) {
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
    if (possible()) share(filesOf(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const files = filesOf(event.clipboardData);
    if (files.length === 0 || !possible()) return;
    event.preventDefault();
    share(files);
  });
  return veil;
}

/** Files only: a folder has no bytes of its own, and looks like an empty file without a type. */
function filesOf(transfer) {
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  const plain = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory);
  const files = plain.map((item) => item.getAsFile()).filter((file) => file !== null);
  return files.length > 0 || items.length > 0 ? files : [...(transfer?.files ?? [])];
}
