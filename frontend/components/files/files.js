/** What is shared here, what is on its way, and the ways to share more. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, compareNames, inTwo, plural } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { line } from "../../lib/text.js";
import { createFileCard } from "../file/file.js";

/** Offers that have a row each. */
const FILES_MAX = 1000;
/** Files on their way that have a row each. */
const SHARES_MAX = 8;

/**
 * @param {import("../../main.js").App} app
 * @returns {{element: HTMLElement, choose: () => void}}
 */
export function createFiles(app) {
  const input = el("input", {
    class: "unseen",
    type: "file",
    multiple: true,
    tabIndex: -1,
    "aria-label": "Files to share",
    on: {
      change: () => {
        app.sharing.add([...input.files]);
        input.value = "";
      },
    },
  });
  const choose = () => input.click();
  const share = el(
    "button",
    { class: "button small", type: "button", on: { click: choose } },
    "Share a file",
  );
  const list = el("ul", { class: "files-list" });
  const sharesList = el("ul", { class: "files-list shares" });
  const restText = el("p", { class: "file-facts" });
  const rest = el(
    "div",
    { class: "shares-rest", hidden: true },
    restText,
    el(
      "button",
      { class: "button small", type: "button", on: { click: cancelRest } },
      "Cancel sharing these",
    ),
  );
  const empty = el(
    "p",
    { class: "files-empty" },
    "Nothing is shared yet. Choose files, drop them anywhere on this page, or paste them.",
  );
  const more = el("p", { class: "files-empty", hidden: true });
  const cards = new Map();
  const rows = new Map();

  app.store.watch((state, before) => {
    const turned = state.connection !== before.connection;
    if (turned) share.disabled = !connected(state);
    if (turned || state.files !== before.files || !list.hasChildNodes()) showFiles(state);
    if (state.shares !== before.shares) showShares(state.shares);
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

  /** Those that go and the next ones; of many more the number says enough. */
  function showShares(shares) {
    const more = shares.length - SHARES_MAX;
    rest.hidden = more <= 0;
    setText(restText, `${plural(more, "more file")} to share ${more === 1 ? "waits" : "wait"}`);
    keep(
      rows,
      sharesList,
      shares.slice(0, SHARES_MAX),
      ({ key }) => key,
      createShare,
      (row, share) => row.update(share),
    );
  }

  function cancelRest() {
    for (const { key } of app.store.state.shares.slice(SHARES_MAX)) app.sharing.cancel(key);
  }

  function createShare({ key, name, size }) {
    const shown = line(name);
    const bar = el("progress", { class: "file-progress", max: Math.max(size, 1) });
    const facts = el("p", { class: "file-facts" });
    const cancel = el(
      "button",
      { class: "button small", type: "button", on: { click: () => app.sharing.cancel(key) } },
      "Cancel",
    );
    const [head, tail] = inTwo(shown);
    setLabel(bar, `Sharing ${shown}`);
    setLabel(cancel, `Cancel sharing ${shown}`);
    const element = el(
      "li",
      { class: "file share" },
      el(
        "div",
        { class: "file-text" },
        el(
          "bdi",
          { class: "file-name", title: shown },
          el("span", { class: "file-head" }, head),
          el("span", { class: "file-tail" }, tail),
        ),
        facts,
      ),
      el("div", { class: "file-actions" }, cancel),
      bar,
    );
    const update = ({ phase, sent }) => {
      bar.value = sent;
      const done = `${bytes(sent)} of ${bytes(size)}`;
      const said = {
        waiting: "waiting",
        sending: `sharing, ${done}`,
        reading: `almost there, ${done} read`,
      };
      setText(facts, said[phase]);
    };
    return { element, update };
  }

  const element = el(
    "section",
    { class: "panel files", id: "files", "aria-label": "Files" },
    el(
      "div",
      { class: "files-head" },
      el("h2", { class: "heading" }, "Files"),
      share,
      input,
    ),
    sharesList,
    rest,
    list,
    more,
    empty,
  );
  return { element, choose };
}

/** Keeps one child per item, in the items' order. */
function keep(known, parent, items, keyOf, create, update) {
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
