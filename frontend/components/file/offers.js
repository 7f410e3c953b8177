/** Many files of one drop as one card: how many, how large, and the rows of all when wanted. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, compareNames, plural } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { createFileCard, offered, showFacts } from "./file.js";

/** Rows that an opened card draws at first. */
const ROWS_FIRST = 100;

/**
 * @param {import("../../main.js").App} app
 */
export function createOffers(app) {
  const title = el("p", { class: "file-name" });
  const facts = el("p", { class: "file-facts" });
  const list = el("ul", { class: "offers-list", hidden: true });
  const gone = el("p", { class: "entry-unknown", hidden: true });
  const fetchAll = button("Download all", () => app.downloadAll(wanted()));
  const takeBack = button("Withdraw all", () => app.withdrawAll(own()));
  const toggle = button("Show all", () => {
    list.hidden = !list.hidden;
    drawn = ROWS_FIRST;
    show();
  });
  const more = button("", () => {
    drawn = Infinity;
    const next = list.children.length;
    show();
    list.children[next]?.querySelector("button:not([hidden])")?.focus();
  });
  const rest = el("div", { class: "offers-rest", hidden: true }, more);
  fetchAll.classList.add("chief");
  const card = el(
    "div",
    { class: "offers" },
    el(
      "div",
      { class: "offers-head" },
      el("div", { class: "offers-text" }, title, facts),
      fetchAll,
      takeBack,
      toggle,
    ),
    list,
    rest,
  );
  /** @type {Map<string, ReturnType<typeof createFileCard>>} */
  const cards = new Map();
  let ids = [];
  let state = app.store.state;
  let drawn = ROWS_FIRST;

  const those = (fits) => ids.filter((id) => state.files[id] && fits(state.files[id]));
  const wanted = () => those(offered);
  const own = () => those((row) => row.own);

  /**
   * @param {import("../../lib/groups.js").Unit} unit
   * @param {import("../../lib/types.js").State} next
   */
  function update({ entries }, next) {
    state = next;
    ids = entries.map(({ offerId }) => offerId);
    return show();
  }

  /** @returns {string} how many files it is of */
  function show() {
    const rows = ids.map((id) => state.files[id]).filter(Boolean);
    const standing = rows.filter(({ from, phase }) => from.length > 0 || phase === "held");
    const count = plural(standing.length, "file");
    const all = plural(ids.length, "file");
    card.hidden = standing.length === 0;
    gone.hidden = !card.hidden;
    setText(gone, card.hidden ? `${all} were withdrawn.` : "");
    setText(title, count);
    showFacts(facts, factsOf(rows, standing));
    showButton(fetchAll, "Download all", wanted().length);
    showButton(takeBack, "Withdraw all", own().length);
    toggle.setAttribute("aria-expanded", String(!list.hidden));
    setText(toggle, list.hidden ? "Show all" : "Fold up");
    setLabel(toggle, `${toggle.textContent} ${list.hidden ? count : ""}`.trim());
    showRows(list.hidden ? [] : standing.sort(byName).slice(0, drawn));
    const left = standing.length - drawn;
    rest.hidden = list.hidden || left <= 0;
    setText(more, rest.hidden ? "" : `Show ${plural(left, "more file")}`);
    return card.hidden ? all : count;
  }

  function factsOf(rows, standing) {
    const isSaved = ({ phase, own, path }) => phase === "held" && !own && path;
    const here = rows.filter(isSaved).length;
    const moving = rows.filter(({ phase }) => phase === "fetching").length;
    const isReplaced = ({ ended, phase }) => ended === "replaced" && phase !== "held";
    const replaced = rows.filter(isReplaced).length;
    const withdrawn = ids.length - standing.length - replaced;
    const parts = [bytes(standing.reduce((sum, { file }) => sum + file.size, 0))];
    if (here > 0) parts.push(`${here} saved`);
    if (moving > 0) parts.push(`${moving} on the way`);
    if (replaced > 0) parts.push(`${replaced} replaced`);
    if (withdrawn > 0) parts.push(`${withdrawn} withdrawn`);
    return parts;
  }

  function showButton(button, word, count) {
    button.hidden = count === 0;
    button.disabled = !connected(state);
    setLabel(button, `${word} ${plural(count, "file")}`);
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

  return { elements: [card, gone], update };
}

const byName = (left, right) => compareNames(left.file.name, right.file.name);

function button(text, act) {
  // The second click of two was not meant for what has come under the pointer by then.
  const click = ({ detail }) => detail > 1 || act();
  return el("button", { class: "button small", type: "button", on: { click } }, text);
}
