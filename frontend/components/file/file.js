/** A file, as a card in the conversation and as a row of the list: what it is, and what to do. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, plural, previewKind, timeLeft } from "../../lib/format.js";
import { line, marked } from "../../lib/text.js";
import { showChunks } from "./strip.js";

/** What may be done with a file, and when. */
const ACTIONS = [
  ["Download", ({ phase, own, from }) => phase === "offered" && !own && from.length > 0],
  ["Cancel", ({ phase }) => phase === "fetching"],
  [
    "Show",
    ({ phase, own, file }) => (phase !== "offered" || own) && previewKind(file.name) !== null,
  ],
  ["Save", ({ phase, own }) => phase === "held" || own],
  ["Withdraw", ({ own }) => own],
];

/**
 * @param {import("../../main.js").App} app
 * @param {string} id
 * @param {{inLog: boolean}} place
 */
export function createFileCard(app, id, { inLog }) {
  const kind = el("span", { class: "file-kind", "aria-hidden": "true" });
  const name = el("bdi", { class: "file-name" });
  const facts = el("p", { class: "file-facts" });
  const bar = el("progress", {
    class: "file-progress",
    max: 1,
    value: 0,
    "aria-live": inLog ? "off" : null,
  });
  const strip = el("canvas", { class: "file-strip", "aria-hidden": "true", hidden: true });
  const pace = el("p", { class: "file-pace", "aria-live": inLog ? "off" : null });
  const path = el("p", { class: "file-path" });
  const failed = el("p", { class: "alert", role: inLog ? null : "alert" });
  const buttons = ACTIONS.map(([word, fits]) => ({
    word,
    fits,
    button: el(
      "button",
      {
        class: `button small${word === "Download" ? " primary" : ""}`,
        type: "button",
        hidden: true,
        // The second click of two was not meant for what has come under the pointer by then.
        on: { click: ({ detail }) => detail > 1 || app.fileAction(word, id) },
      },
      word,
    ),
  }));
  const element = el(
    inLog ? "div" : "li",
    { class: "file" },
    kind,
    el(
      "div",
      { class: "file-text" },
      name,
      facts,
      // Above what comes and goes: no button moves from under the pointer.
      el("div", { class: "file-actions" }, ...buttons.map(({ button }) => button)),
      bar,
      strip,
      pace,
      path,
      failed,
    ),
  );
  let shown = null;
  let drawn = null;

  function update(row, label) {
    if (row === shown && name.textContent === label) return;
    const before = shown;
    shown = row;
    setText(name, label);
    setText(kind, extension(row.file.name));
    setText(facts, factsOf(row));
    const moving = row.phase === "fetching";
    bar.hidden = !moving;
    setLabel(bar, label);
    bar.value = row.file.size ? row.bytesDone / row.file.size : 0;
    setText(pace, moving ? paceOf(row) : "");
    setText(path, row.path ? `saved as ${line(row.path)}` : "");
    setText(failed, row.failure?.text ?? "");
    if (row.failure) failed.dataset.code = row.failure.code;
    if (row.phase !== before?.phase || row.own !== before?.own || row.from !== before?.from) {
      showButtons(row, label);
    }
    for (const { word, button } of buttons) setLabel(button, `${word} ${label}`);
    showStrip(row);
  }

  /** The button that goes under the person's fingers hands its focus on. */
  function showButtons(row) {
    const focused = buttons.some(({ button }) => button === document.activeElement);
    for (const { button, fits } of buttons) button.hidden = !fits(row);
    if (!focused || !document.activeElement?.hidden) return;
    buttons.find(({ button }) => !button.hidden)?.button.focus();
  }

  /** Only while something moves: a whole strip says nothing. */
  function showStrip({ chunks, phase, takers }) {
    strip.hidden = !chunks || (phase !== "fetching" && takers === 0);
    if (strip.hidden || chunks === drawn) return;
    drawn = chunks;
    showChunks(strip, chunks);
  }

  return { element, update };
}

function factsOf({ file, from, own, hosts, takers }) {
  const who = own ? "you" : from.map((who) => line(marked(who))).join(", ");
  const parts = [bytes(file.size)];
  if (from.length > 0) parts.push(`from ${who}`);
  else parts.push("withdrawn");
  if (hosts > 1) parts.push(`held by ${hosts}`);
  if (takers > 0) parts.push(`going to ${plural(takers, "member")}`);
  return parts.join(" · ");
}

function paceOf({ file, bytesDone, rate, sources }) {
  const parts = [`${bytes(bytesDone)} here`];
  if (rate > 0) parts.push(`${bytes(rate)}/s`);
  const left = timeLeft(bytesDone, file.size, rate);
  if (left) parts.push(left);
  parts.push(sources > 0 ? `from ${plural(sources, "member")}` : "waiting for somebody who has it");
  return parts.join(" · ");
}

function extension(name) {
  const dot = name.lastIndexOf(".");
  const found = dot > 0 ? name.slice(dot + 1) : "";
  return /^[a-z0-9]{1,4}$/i.test(found) ? found : "file";
}
