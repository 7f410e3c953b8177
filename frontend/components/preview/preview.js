/**
 * The preview of a file, inert: images, audio and video by the browser's own players,
 * text as text. It may still be downloading: klatch fetches the previewed part first.
 */

import { el, sheet } from "../../lib/dom.js";
import { showDialog } from "../dialog/dialog.js";
import { block, line } from "../../lib/text.js";
import { bytes } from "../../lib/format.js";

const TEXT_MAX_BYTES = 256 * 1024;

await sheet("/components/preview/preview.css");

/**
 * @param {{url: string, type: string}} media
 * @param {{name: string, size: number}} file
 */
export function openPreview({ url, type }, file) {
  const stop = new AbortController();
  const said = el("p", { class: "preview-said", role: "status" }, "Fetching…");
  const view = viewOf(url, type, file, stop.signal, said);
  const close = el(
    "button",
    { class: "button small", type: "button", on: { click: () => dialog.close() } },
    "Close",
  );
  const dialog = el(
    "dialog",
    { class: "dialog preview", "aria-label": `Preview of ${line(file.name)}` },
    el(
      "header",
      { class: "preview-head" },
      el("h2", { class: "heading" }, el("bdi", {}, line(file.name))),
      el("p", { class: "file-facts" }, bytes(file.size)),
      close,
    ),
    el("div", { class: "preview-view" }, view, said),
  );
  dialog.addEventListener("close", () => {
    stop.abort();
    // A player without a source lets go of its connection.
    if (view instanceof HTMLMediaElement) {
      view.removeAttribute("src");
      view.load();
    }
    dialog.remove();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  showDialog(dialog);
}

function viewOf(url, type, file, signal, said) {
  const ready = () => (said.textContent = "");
  const failed = () => (said.textContent = "This cannot be shown here. Save it to look at it.");
  if (type === "image") {
    return el("img", { src: url, alt: line(file.name), on: { load: ready, error: failed } });
  }
  if (type === "video" || type === "audio") {
    const on = { loadeddata: ready, error: failed };
    return el(type, {
      src: url,
      controls: true,
      autoplay: true,
      preload: "auto",
      "aria-label": line(file.name),
      on,
    });
  }
  const text = el("pre", { tabIndex: 0, "aria-label": line(file.name) });
  if (type === "text") readText(url, file, signal, text).then(ready, failed);
  else failed();
  return text;
}

async function readText(url, file, signal, view) {
  const headers =
    file.size > 0 ? { Range: `bytes=0-${Math.min(file.size, TEXT_MAX_BYTES) - 1}` } : {};
  const answer = await fetch(url, { headers, signal });
  if (!answer.ok) throw new Error(answer.statusText);
  view.textContent = block(await answer.text());
  if (file.size > TEXT_MAX_BYTES) {
    view.append(el("em", {}, `\n… and ${bytes(file.size - TEXT_MAX_BYTES)} more`));
  }
}
