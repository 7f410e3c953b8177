/** Many files of one drop as one card: how many, how large, and the rows of all when wanted. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, compareNames, plural } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { createFileCard, offered, showFacts } from "./file.js";

/** Rows that are drawn in a card; the list of files has them all. */
const ROWS_MAX = 100;

/**
 * @param {import("../../main.js").App} app
 * @param {import("../../lib/groups.js").Unit} entry
 */
export function createOffers(app, entry) {
  const title = el("p", { class: "file-name" });
  const facts = el("p", { class: "file-facts" });
  const list = el("ul", { class: "offers-list", hidden: true });
  const rest = el("p", { class: "offers-rest", hidden: true });
  const fetchAll = button("Download all", () => app.downloadAll(wanted()));
  const toggle = button("Show all", () => {
    list.hidden = !list.hidden;
    show();
  });
  fetchAll.classList.add("chief");
  const card = el(
    "div",
    { class: "offers" },
    el(
      "div",
      { class: "offers-head" },
      el("div", { class: "offers-text" }, title, facts),
      fetchAll,
      toggle,
    ),
    list,
    rest,
  );
  const body = el("div", { class: "entry-body" }, card);
  /** @type {Map<string, ReturnType<typeof createFileCard>>} */
  const cards = new Map();
  let ids = [];
  let state = app.store.state;

  function wanted() {
    return ids.filter((id) => state.files[id] && offered(state.files[id]));
  }

  function update({ entries }, next) {
    state = next;
    ids = entries.map(({ offerId }) => offerId);
    show();
  }

  function show() {
    const rows = ids.map((id) => state.files[id]).filter(Boolean);
    const standing = rows
      .filter(({ from, phase }) => from.length > 0 || phase === "held")
      .sort((left, right) => compareNames(left.file.name, right.file.name));
    const size = standing.reduce((sum, { file }) => sum + file.size, 0);
    const here = rows.filter(({ phase, own }) => phase === "held" && !own).length;
    const moving = rows.filter(({ phase }) => phase === "fetching").length;
    const gone = ids.length - standing.length;
    const count = plural(standing.length, "file");
    setText(title, count);
    const parts = [bytes(size)];
    if (here > 0) parts.push(`${here} saved`);
    if (moving > 0) parts.push(`${moving} on the way`);
    if (gone > 0) parts.push(`${gone} withdrawn`);
    showFacts(facts, parts);
    const left = wanted().length;
    fetchAll.hidden = left === 0;
    fetchAll.disabled = !connected(state);
    setLabel(fetchAll, `Download all ${plural(left, "file")}`);
    toggle.setAttribute("aria-expanded", String(!list.hidden));
    setText(toggle, list.hidden ? "Show all" : "Fold up");
    setLabel(toggle, `${toggle.textContent} ${list.hidden ? count : ""}`.trim());
    if (list.hidden) {
      list.replaceChildren();
      cards.clear();
    } else {
      showRows(standing.slice(0, ROWS_MAX));
    }
    rest.hidden = list.hidden || standing.length <= ROWS_MAX;
    setText(rest, `${plural(standing.length - ROWS_MAX, "more file")}: see the list of files`);
  }

  function showRows(rows) {
    const labels = app.fileLabels();
    const keys = new Set(rows.map(({ id }) => id));
    for (const [id, { element }] of cards) {
      if (keys.has(id)) continue;
      element.remove();
      cards.delete(id);
    }
    let cursor = list.firstChild;
    for (const row of rows) {
      const { id } = row;
      if (!cards.has(id)) cards.set(id, createFileCard(app, id, { inLog: true, item: true }));
      const { element, update: show } = cards.get(id);
      show(row, labels[id]);
      if (element === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(element, cursor);
    }
  }

  return { body, update };
}

function button(text, act) {
  return el("button", { class: "button small", type: "button", on: { click: act } }, text);
}
