/** A file or folder as one row, in the conversation and in the list: what it is, and what to do. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, inTwo, plural, previewKind, timeLeft } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { line, marked } from "../../lib/text.js";
import { mark } from "../masthead/marks.js";

/** Somebody else offers it, and it is not fetched yet. */
export const offered = ({ phase, own, from }) => phase === "offered" && !own && from.length > 0;

/** The actions on a file, and when each is possible. */
const ACTIONS = [
  ["Download", (row) => offered(row) && row.bytesDone === 0],
  ["Resume", (row) => offered(row) && row.bytesDone > 0],
  ["Discard", (row) => row.phase === "offered" && !row.own && row.bytesDone > 0],
  ["Cancel", ({ phase }) => phase === "fetching" || phase === "queued"],
  [
    "Show",
    ({ phase, file, folder }) =>
      !folder && (phase === "fetching" || phase === "held") && previewKind(file.name) !== null,
  ],
  ["Save", ({ phase, folder }) => !folder && phase === "held"],
  ["Withdraw", ({ own }) => own],
];

/**
 * @param {import("../../main.js").App} app
 * @param {string} id
 * @param {{inLog: boolean, item?: boolean}} place  `item`: it stands in a list
 */
export function createFileCard(app, id, { inLog, item = !inLog }) {
  const kind = el("span", { class: "file-kind", "aria-hidden": "true" });
  const head = el("span", { class: "file-head" });
  const tail = el("span", { class: "file-tail" });
  const name = el("bdi", { class: "file-name" }, head, tail);
  const facts = el("p", { class: "file-facts", "aria-live": inLog ? "off" : null });
  const bar = el("progress", {
    class: "file-progress",
    max: 1,
    value: 0,
    "aria-live": inLog ? "off" : null,
  });
  const strip = el("canvas", { class: "file-strip", "aria-hidden": "true", hidden: true });
  const failed = el("p", { class: "file-failed alert", role: inLog ? null : "alert" });
  const buttons = ACTIONS.map(([word, fits]) => ({
    word,
    fits,
    button: el(
      "button",
      {
        class: `button small${word === "Download" || word === "Resume" ? " chief" : ""}`,
        type: "button",
        hidden: true,
        // The second click of two was not meant for what has come under the pointer by then.
        on: { click: ({ detail }) => detail > 1 || app.fileAction(word, id) },
        title: word,
      },
      mark(word.toLowerCase()),
      el("span", { class: "file-word" }, word),
    ),
  }));
  const look = el(
    "button",
    {
      class: "button small",
      type: "button",
      hidden: true,
      "aria-expanded": "false",
      on: { click: lookInside },
      title: "Look inside",
    },
    mark("look"),
    el("span", { class: "file-word" }, "Look inside"),
  );
  const element = el(
    item ? "li" : "div",
    { class: "file" },
    kind,
    el("div", { class: "file-text" }, name, facts),
    el("div", { class: "file-actions" }, look, ...buttons.map(({ button }) => button)),
    bar,
    strip,
    failed,
  );
  let shown = null;
  let drawn = null;
  let tree = null;

  /** Loaded when it is needed: few visits do. */
  async function lookInside() {
    const opens = look.getAttribute("aria-expanded") === "false";
    look.setAttribute("aria-expanded", String(opens));
    try {
      const { createTree } = await import("./tree.js");
      if (!tree) {
        tree = createTree(app, id);
        element.append(tree.element);
        tree.update(shown, name.title);
      }
      tree.element.hidden = look.getAttribute("aria-expanded") === "false";
    } catch (failure) {
      look.setAttribute("aria-expanded", "false");
      app.alert(failure);
    }
  }

  function update(row, label) {
    const able = connected(app.store.state);
    for (const { button } of buttons) button.disabled = !able;
    look.disabled = !able;
    tree?.update(row, label);
    if (row === shown && name.title === label) return;
    const before = shown;
    shown = row;
    if (name.title !== label) {
      name.title = label;
      [head.textContent, tail.textContent] = inTwo(row.folder ? `${label}/` : label);
    }
    setText(kind, row.folder ? "" : extension(row.file.name));
    kind.classList.toggle("folder", Boolean(row.folder));
    showFacts(facts, factsOf(row), saved(row) ? ` · saved as ${line(row.path)}` : "");
    facts.classList.toggle("saved", saved(row));
    bar.hidden = row.phase !== "fetching";
    setLabel(bar, label);
    bar.value = row.bytesDone / (sizeOf(row) || 1);
    setText(failed, row.failure?.text ?? "");
    if (row.failure) failed.dataset.code = row.failure.code;
    if (row !== before) showButtons(row);
    for (const { word, button } of buttons) setLabel(button, `${word} ${label}`);
    look.hidden = !row.folder || row.from.length === 0;
    if (tree && look.hidden) tree.element.hidden = true;
    setLabel(look, `Look inside ${label}`);
    showStrip(row);
  }

  /** The button that goes under the person's fingers hands its focus on. */
  function showButtons(row) {
    const focused = buttons.find(({ button }) => button === document.activeElement);
    for (const { button, fits } of buttons) button.hidden = !fits(row);
    if (focused?.button.hidden) buttons.find(({ button }) => !button.hidden)?.button.focus();
  }

  /** Only while something moves: a whole strip says nothing. */
  function showStrip({ chunks, phase, takers }) {
    strip.hidden = !chunks || (phase !== "fetching" && takers === 0);
    if (strip.hidden || chunks === drawn) return;
    drawn = chunks;
    const draw = ({ showChunks }) => showChunks(strip, drawn);
    // Without it the bar still says how far it is.
    import("./strip.js").then(draw, () => {});
  }

  return { element, update };
}

/**
 * One line of facts, the most important first: if there is no room for all, the last are left
 * out.
 * @param {HTMLElement} element
 * @param {string[]} parts
 * @param {string} [more]  what there is room for only in the title
 */
export function showFacts(element, parts, more = "") {
  while (element.children.length > parts.length) element.lastChild.remove();
  parts.forEach((part, at) => {
    const span = element.children[at] ?? element.appendChild(el("span"));
    setText(span, at === 0 ? part : ` · ${part}`);
  });
  element.title = element.textContent + more;
}

const saved = ({ path, own, phase, part }) =>
  Boolean(path) && !own && (phase === "held" || (part && phase === "offered"));

/** How much is in a folder. */
export const inFolder = ({ files, bytes: size }) => `${plural(files, "file")}, ${bytes(size)}`;

function factsOf(row) {
  const { file, folder, from, own, hosts, takers, phase, bytesDone, path, version, ended } = row;
  const size = folder ? inFolder(folder) : bytes(file.size);
  if (phase === "fetching") return paceOf(row);
  const parts = [];
  if (own && phase === "offered" && hosts === 0) parts.push("no longer shared: share it again");
  if (offered(row) && hosts === 0) parts.push("nobody here has it");
  if (saved(row)) parts.push(row.part && phase === "offered" ? "part of it saved" : "saved");
  if (phase === "queued") parts.push("queued");
  const kept = phase === "offered" && bytesDone > 0 && !own;
  parts.push(kept ? `${bytes(bytesDone)} of ${bytes(file.size)} kept` : size);
  const who = own ? "you" : from.map((who) => line(marked(who))).join(", ");
  parts.push(from.length > 0 ? `from ${who}` : (ended ?? "withdrawn"));
  if (takers > 0) parts.push(`going to ${plural(takers, "member")}`);
  if (version && from.length > 0) parts.push("new version");
  // Of what is one's own it would count oneself.
  if (hosts > 1 && !own) parts.push(`${hosts} have it`);
  const name = saved(row) && path.split(/[/\\]/).at(-1);
  if (name && name !== file.name) parts.push(`named ${line(name)}`);
  return parts;
}

/** Bytes that are wanted: of a folder perhaps a part. */
const sizeOf = ({ file, part }) => part || file.size;

function paceOf(row) {
  const { bytesDone, rate, sources } = row;
  const size = sizeOf(row);
  const done = Math.min(bytesDone, size);
  const parts = [timeLeft(done, size, rate), `${bytes(done)} of ${bytes(size)}`];
  if (rate > 0) parts.push(`${bytes(rate)}/s`);
  parts.push(sources > 0 ? `from ${plural(sources, "member")}` : "waiting for somebody who has it");
  return parts.filter(Boolean);
}

function extension(name) {
  const dot = name.lastIndexOf(".");
  const found = dot > 0 ? name.slice(dot + 1) : "";
  return /^[a-z0-9]{1,4}$/i.test(found) ? found : "file";
}
