/** The whole page takes files: dropped on it or pasted into it. */

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
  function give(transfer) {
    const { files, folders } = filesOf(transfer);
    sharing.refuse(folders);
    sharing.add(files);
  }

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
    if (possible()) give(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    const { files, folders } = filesOf(event.clipboardData);
    if (files.length + folders.length === 0 || !possible()) return;
    event.preventDefault();
    give(event.clipboardData);
  });
  return veil;
}

/** A folder has no bytes of its own, and looks like an empty file without a type. */
function filesOf(transfer) {
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  if (items.length === 0) return { files: [...(transfer?.files ?? [])], folders: [] };
  const files = [];
  const folders = [];
  for (const item of items) {
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) folders.push(entry.name);
    else files.push(item.getAsFile());
  }
  return { files: files.filter((file) => file !== null), folders };
}
