/**
 * What is in a folder, one level at a time, with boxes to tick: in the card of the folder.
 *
 * The list is one stop of the keyboard: arrows move in it, and open and close folders.
 */

import { el, setLabel, setText, sheet } from "../../lib/dom.js";
import { bytes, compareNames, inTwo, plural } from "../../lib/format.js";
import { connected } from "../../lib/state.js";
import { line } from "../../lib/text.js";
import { levelOf, sum, tickOf, toggled } from "../../lib/ticks.js";
import { mark } from "../masthead/marks.js";

/** Rows of a level that are drawn at first. */
const ROWS_FIRST = 100;
/** Letters of all paths in one request: klatch takes a MiB. */
const PATHS_MAX = 250_000;
const HINT = "Arrow keys move, and open and close folders; the space bar ticks.";
let trees = 0;

await sheet("/components/file/tree.css");

/**
 * @param {import("../../main.js").App} app
 * @param {string} id  of the offer
 */
export function createTree(app, id) {
  trees += 1;
  const hintId = `tree-${trees}`;
  const levels = new Map();
  /** @type {Map<string, {box: HTMLInputElement, open: HTMLElement|null}>} */
  const rows = new Map();
  let ticked = new Set();
  let row = null;
  /** The connection that was shown. */
  let shown = null;

  const said = el("p", { class: "file-facts", role: "status" });
  const fetch = el(
    "button",
    { class: "button small chief", type: "button", on: { click: fetchTicked } },
    "Download selection",
  );
  const failed = el("p", { class: "alert", role: "alert" });
  const on = { keydown, focusin: ({ target: one }) => stop(one) };
  const list = el("ul", { class: "tree-list", "aria-describedby": hintId, on });
  const element = el(
    "div",
    { class: "tree", role: "group" },
    el("div", { class: "tree-head" }, said, fetch),
    failed,
    list,
    el("span", { class: "unseen", id: hintId }, HINT),
  );

  async function fetchTicked() {
    const paths = [...ticked];
    if (ticked.has("")) return app.fileAction("Download", id);
    if (paths.join("").length > PATHS_MAX) {
      setText(failed, "That is too much to tick one by one: tick folders.");
      return;
    }
    await app.fileAction("Download", id, { paths, bytes: sum(ticked, levels, row.folder).bytes });
  }

  /** Draws what is in a folder into its list, once it is told. */
  async function fill(path, place) {
    place.append(el("li", { class: "tree-wait" }, "Looking…"));
    try {
      levels.set(path, levelOf(await app.lookInside(id, path), compareNames));
      setText(failed, "");
      draw(path, place, ROWS_FIRST);
      return true;
    } catch ({ message }) {
      const again = () => {
        place.replaceChildren();
        fill(path, place);
      };
      const retry = button("Try again", { class: "button small" }, again);
      place.replaceChildren(...(path === "" ? [el("li", {}, retry)] : []));
      setText(failed, message);
      return false;
    }
  }

  function draw(path, place, most) {
    const level = levels.get(path);
    const left = Math.max(level.list.length - most, 0);
    const from = place.querySelectorAll(":scope > .tree-item").length;
    const made = level.list.slice(from, most).map(createRow);
    for (const child of place.querySelectorAll(":scope > :not(.tree-item)")) child.remove();
    place.append(...made);
    if (left > 0) {
      const rest = () => {
        draw(path, place, Infinity);
        target(place.children[most])?.focus();
      };
      const text = `Show ${plural(left, "more", "more")}`;
      place.append(el("li", {}, button(text, { class: "button small quiet" }, rest)));
    } else if (level.list.length + level.more === 0) {
      place.append(el("li", { class: "tree-wait" }, "There is nothing in it."));
    } else if (level.more > 0) {
      place.append(el("li", { class: "tree-wait" }, `And ${level.more} more, not listed here.`));
    }
    show();
    stop(null);
  }

  function createRow({ name, folder, files, bytes: size, path }) {
    const shown = `${line(name)}${folder ? "/" : ""}`;
    const [head, tail] = inTwo(shown);
    const factsId = `${hintId}-${rows.size}`;
    const box = el("input", {
      class: "tree-box",
      type: "checkbox",
      tabIndex: -1,
      "aria-label": shown,
      "aria-describedby": factsId,
      on: { change: () => tick(path) },
    });
    const called = el(
      "bdi",
      { class: "file-name", title: shown },
      el("span", { class: "file-head" }, head),
      el("span", { class: "file-tail" }, tail),
    );
    const below = folder && el("ul", { hidden: true, "aria-label": shown });
    const open =
      folder &&
      button(
        mark("more"),
        { class: "tree-open", tabIndex: -1, "aria-expanded": "false", "aria-label": look(shown) },
        () => toggle(path, below),
      );
    const facts = `${folder ? `${plural(files, "file")}, ` : ""}${bytes(size)}`;
    rows.set(path, { box, open: open || null });
    return el(
      "li",
      { class: "tree-item", "data-path": path },
      el(
        "div",
        { class: "tree-row" },
        open || el("span", { class: "tree-open" }),
        el("label", {}, box, called),
        el("span", { class: "tree-facts", id: factsId }, facts),
      ),
      below,
    );
  }

  function tick(path) {
    ticked = toggled(ticked, levels, path);
    setText(failed, "");
    show();
  }

  async function toggle(path, below) {
    const { open } = rows.get(path);
    const opens = open.getAttribute("aria-expanded") !== "true";
    open.setAttribute("aria-expanded", String(opens));
    below.hidden = !opens;
    if (opens && !levels.has(path) && !below.hasChildNodes() && !(await fill(path, below))) {
      open.setAttribute("aria-expanded", "false");
      below.hidden = true;
    }
  }

  /** What of a row takes the focus: its box, or where nothing can be ticked the way into it. */
  function target(item) {
    const { box, open } = rows.get(item?.dataset.path) ?? {};
    return element.classList.contains("plain") ? open : box;
  }

  /** Of the rows that are in sight. */
  function targets() {
    const items = [...list.querySelectorAll(".tree-item")];
    return items.filter((item) => !item.parentNode.closest("[hidden]")).flatMap((item) => {
      return target(item) ?? [];
    });
  }

  function keydown(event) {
    const item = event.target.closest(".tree-item");
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = targets();
    const at = all.indexOf(target(item));
    const { open } = rows.get(item.dataset.path);
    const isOpen = open?.getAttribute("aria-expanded") === "true";
    const above = item.parentNode.closest(".tree-item");
    const go = {
      ArrowDown: () => all[at + 1]?.focus(),
      ArrowUp: () => all[at - 1]?.focus(),
      Home: () => all[0].focus(),
      End: () => all.at(-1).focus(),
      ArrowRight: () => (isOpen ? all[at + 1]?.focus() : open?.click()),
      ArrowLeft: () => (isOpen ? open.click() : target(above)?.focus()),
    }[event.key];
    if (!go) return;
    event.preventDefault();
    go();
  }

  /** Makes something the one stop of the keyboard; without it the first, unless there is one. */
  function stop(one) {
    const all = targets();
    if (one ? !all.includes(one) : all.some(({ tabIndex }) => tabIndex === 0)) return;
    for (const other of all) other.tabIndex = -1;
    (one ?? all[0] ?? {}).tabIndex = 0;
  }

  /** Boxes, and how much they are together. */
  function show() {
    for (const [path, { box }] of rows) {
      const is = tickOf(ticked, path);
      box.checked = is === true;
      box.indeterminate = is === "mixed";
    }
    const can = row && !row.own && row.phase === "offered" && row.from.length > 0;
    const plain = Boolean(row) && (row.own || row.phase === "held");
    if (plain !== element.classList.contains("plain")) {
      element.classList.toggle("plain", plain);
      stop(null);
    }
    const all = row ? sum(ticked, levels, row.folder) : { files: 0, bytes: 0 };
    const much = `${plural(all.files, "file")}, ${bytes(all.bytes)}`;
    setText(said, plain ? "" : ticked.size > 0 ? `${much} ticked` : "Tick what you want of it.");
    fetch.hidden = plain;
    fetch.disabled = !can || ticked.size === 0 || !connected(app.store.state);
  }

  fill("", list).then(() => element.scrollIntoView({ block: "nearest" }));

  return {
    element,
    /**
     * @param {import("../../lib/types.js").FileRow} next
     * @param {string} label
     */
    update(next, label) {
      const { connection } = app.store.state;
      if (next === row && connection === shown) return;
      [row, shown] = [next, connection];
      setLabel(element, `Inside ${label}`);
      setLabel(list, `In ${label}`);
      show();
    },
  };
}

const look = (name) => `Look inside ${name.slice(0, -1)}`;

function button(child, properties, act) {
  return el("button", { type: "button", ...properties, on: { click: act } }, child);
}
