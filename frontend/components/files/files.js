/** The shared files, and the ways to share more. */

import { el, setText } from "../../lib/dom.js";
import { compareNames } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { createFileCard } from "../file/file.js";

/** Offers that have a row each. */
const FILES_MAX = 1000;

/**
 * @param {import("../../main.js").App} app
 * @returns {{element: HTMLElement, choose: () => void}}
 */
export function createFiles(app) {
  const input = chooser("Files to share", "multiple", (files) => app.sharing.add({ files }));
  const folder = chooser("Folder to share", "webkitdirectory", app.sharing.addFolder);
  const choose = () => input.click();
  const share = button("Share a file", choose);
  const shareFolder = button("Share a folder", () => folder.click());
  const list = el("ul", { class: "files-list" });
  const shares = el("div", {});
  let showShares = null;
  const empty = el(
    "p",
    { class: "files-empty" },
    "Nothing is shared yet. Choose files or a folder, drop them anywhere on this page, or paste " +
      "them.",
  );
  const more = el("p", { class: "files-empty", hidden: true });
  const cards = new Map();

  app.store.watch((state, before) => {
    const turned = state.connection !== before.connection;
    if (turned) share.disabled = shareFolder.disabled = !connected(state);
    if (turned || state.files !== before.files || !list.hasChildNodes()) showFiles(state);
    if (state.shares !== before.shares) drawShares();
    empty.hidden = list.hasChildNodes() || state.shares.length > 0;
  });

  function showFiles({ files, filesLeftOut }) {
    const labels = app.fileLabels();
    const shown = Object.values(files)
      .filter(({ from, phase }) => from.length > 0 || phase !== "offered")
      .sort((a, b) => compareNames(a.file.name, b.file.name) || (a.id < b.id ? -1 : 1));
    const left = Math.max(shown.length - FILES_MAX, 0) + filesLeftOut;
    more.hidden = left === 0;
    setText(more, `And ${left} more: type files in klatch's terminal.`);
    keep(
      cards,
      list,
      shown.slice(0, FILES_MAX),
      ({ id }) => id,
      (row) => createFileCard(app, row.id, { inLog: false }),
      (card, row) => card.update(row, labels[row.id]),
    );
  }

  /** Loaded with the first file on its way: what is drawn then is how things stand by then. */
  async function drawShares() {
    const { createShares } = await import("./shares.js");
    showShares ??= createShares(app, shares);
    showShares(app.store.state.shares);
  }

  const element = el(
    "section",
    { class: "panel files", id: "files", "aria-label": "Files" },
    el(
      "div",
      { class: "files-head" },
      el("h2", { class: "heading" }, "Files"),
      el("div", { class: "files-ways" }, share, shareFolder),
      input,
      folder,
    ),
    shares,
    list,
    more,
    empty,
  );
  return { element, choose };
}

function button(text, click) {
  return el("button", { class: "button small", type: "button", on: { click } }, text);
}

/** The browser's own dialog for files. */
function chooser(label, way, take) {
  const change = () => {
    take([...input.files]);
    input.value = "";
  };
  const common = { class: "unseen", type: "file", tabIndex: -1, on: { change } };
  const input = el("input", { ...common, [way]: true, "aria-label": label });
  return input;
}

/** Keeps one child per item, in the items' order. */
export function keep(known, parent, items, keyOf, create, update) {
  const keys = new Set(items.map(keyOf));
  for (const [key, { element }] of known) {
    if (keys.has(key)) continue;
    element.remove();
    known.delete(key);
  }
  let cursor = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (!known.has(key)) known.set(key, create(item));
    const child = known.get(key);
    update(child, item);
    if (child.element === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(child.element, cursor);
  }
}
