/**
 * The conversation. Only a window of it is in the document (`lib/window.js`); scrolling moves the
 * window, and fetches from klatch what this page does not have yet.
 *
 * @typedef {import("../../lib/types.js").Entry} Entry
 */

import { el, setText } from "../../lib/dom.js";
import { day, dayKey } from "../../lib/format.js";
import { holds, lastKey, ofFile, units } from "../../lib/groups.js";
import { KEPT_ENTRIES } from "../../lib/state.js";
import * as range from "../../lib/window.js";
import { table } from "../cup/cup.js";
import { createEntry } from "../message/message.js";
import { mark } from "../masthead/marks.js";

const NEAR_PX = 900;
const AT_END_PX = 48;
const PAGE = 200;
const GROUP_MS = 5 * 60_000;

/**
 * @param {import("../../main.js").App} app
 * @param {{invite: HTMLElement, inviteSlot: HTMLElement}} needs
 */
export function createLog(app, { invite, inviteSlot }) {
  const toOldest = el(
    "button",
    { class: "button quiet small", type: "button", on: { click: jumpToOldest } },
    "Jump to oldest",
  );
  const beginning = el("p", { class: "log-beginning" }, "Here the room begins.");
  const head = el("div", { class: "log-head" }, toOldest, beginning);
  const list = el("div", { class: "log-list" });
  const log = el(
    "div",
    {
      class: "log",
      role: "log",
      tabIndex: 0,
      "aria-label": "Messages",
      "aria-live": "polite",
      "aria-relevant": "additions",
      on: { scroll: onScroll, keydown },
    },
    head,
    list,
  );
  const count = el("span", { class: "newest-count", "aria-hidden": "true" });
  const toNewest = el(
    "button",
    { class: "button newest", type: "button", hidden: true, on: { click: () => jumpToNewest() } },
    mark("down"),
    "Jump to newest",
    count,
  );
  const emptyTable = el("div", { class: "log-empty-table" });
  const emptyInvite = el("div", { class: "log-empty-invite" });
  const empty = el(
    "div",
    { class: "log-empty" },
    emptyTable,
    el("h2", { class: "log-empty-title" }, "The table is set."),
    emptyInvite,
    el(
      "p",
      { class: "log-empty-text" },
      "What you write or share now will be here for those who come later.",
    ),
  );

  /** @type {Map<string, {entry: Entry, element: HTMLElement, update: Function}>} */
  const made = new Map();
  let shown = range.newest(0);
  let topKey = null;
  let following = true;
  let fetching = false;
  let lastTop = 0;
  /** The rendered units of the log, and the entries that they were made from. */
  let entries = [];
  let taken = null;

  function take({ entries: all, unread }) {
    taken = all;
    entries = units(all, unread.after, entries);
  }

  function atEnd() {
    return log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
  }

  function stick() {
    log.scrollTop = log.scrollHeight;
    lastTop = log.scrollTop;
  }

  /** While somebody looks into a folder, it stays where it is. */
  function looksInside() {
    const card = document.activeElement?.closest(".log .file");
    return Boolean(card?.querySelector(".tree:not([hidden])"));
  }

  function onScroll() {
    const up = log.scrollTop < lastTop;
    lastTop = log.scrollTop;
    // Only a person goes up; what else moves the end is the layout, which is followed.
    if (following && (!up || atEnd()) && !looksInside()) return stick();
    if (shown.start > 0 && log.scrollTop < NEAR_PX) slide(range.older(shown));
    else if (shown.start === 0 && log.scrollTop < NEAR_PX) fetchEarlier();
    const below = log.scrollHeight - log.scrollTop - log.clientHeight;
    if (shown.end < entries.length && below < NEAR_PX) slide(range.newer(shown, entries.length));
    follow(shown.end === entries.length && atEnd());
  }

  function follow(now) {
    following = now;
    toNewest.hidden = now;
    tellAttention();
  }

  function tellAttention() {
    const attentive = following && !document.hidden;
    app.store.dispatch({ event: "page_attention", attentive });
  }

  /** Shows another part of the log; what is in sight stays where it is. */
  function slide(next) {
    if (next.start === shown.start && next.end === shown.end) return;
    const held = inSight();
    const before = held?.getBoundingClientRect().top;
    shown = next;
    draw(true);
    if (held?.isConnected) log.scrollTop += held.getBoundingClientRect().top - before;
  }

  function inSight() {
    const top = log.getBoundingClientRect().top;
    for (const child of list.children) {
      if (child.getBoundingClientRect().bottom > top && child.dataset.key) return child;
    }
    return null;
  }

  async function fetchEarlier() {
    const { earlier } = app.store.state;
    const first = app.store.state.entries.find(({ local }) => !local);
    if (fetching || earlier === 0 || !first) return false;
    fetching = true;
    try {
      await app.ask("history", { before: first.order, count: Math.min(PAGE, earlier) });
      return app.store.state.earlier < earlier;
    } catch {
      return false; // Without a connection there is nothing to say that is not said already.
    } finally {
      fetching = false;
    }
  }

  /**
   * A card of many files counts them all: those of them that klatch still has are fetched, also
   * where so few of them are here that they are no card yet.
   */
  async function completeFirst() {
    const { store } = app;
    const few = () => store.state.entries.length < KEPT_ENTRIES - PAGE;
    const mayBePart = () => entries.length > 0 && ofFile(entries[0]);
    while (mayBePart() && few() && (await fetchEarlier()));
  }

  async function jumpToOldest() {
    while (await fetchEarlier());
    follow(false);
    take(app.store.state);
    shown = range.oldest(entries.length);
    draw(true);
    log.scrollTop = 0;
    log.focus();
  }

  function jumpToNewest({ keepFocus = false } = {}) {
    shown = range.newest(entries.length);
    draw(true);
    stick();
    follow(true);
    if (!keepFocus) log.focus({ preventScroll: true });
  }

  function keydown(event) {
    if (event.target !== log || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") jumpToOldest();
    else if (event.key === "End") jumpToNewest();
    else return;
    event.preventDefault();
  }

  /** @param {boolean} old  what appears is no news: a screen reader stays silent */
  function draw(old) {
    log.setAttribute("aria-live", old ? "off" : "polite");
    const state = app.store.state;
    const window = entries.slice(shown.start, shown.end);
    const wanted = [];
    let before = null;
    for (const entry of window) {
      const newDay = !before || dayKey(before.time) !== dayKey(entry.time);
      if (newDay)
        wanted.push(separator(`day ${entry.key}`, "log-day", day(entry.time, Date.now())));
      if (before ? lastKey(before) === state.unread.after : isAfter(state, shown.start)) {
        wanted.push(separator("unread", "log-unread", "New"));
      }
      const first = newDay || !joins(before, entry);
      wanted.push(row(entry, first, state));
      before = entry;
    }
    place(wanted);
    topKey = window[0]?.entries?.[0].key ?? window[0]?.key ?? null;
    toOldest.hidden = shown.start === 0 && state.earlier === 0;
    beginning.hidden = !toOldest.hidden || entries.length === 0;
  }

  function isAfter(state, start) {
    return start > 0 && lastKey(entries[start - 1]) === state.unread.after;
  }

  function separator(key, name, text) {
    const known = made.get(key);
    if (known) {
      setText(known.element.firstChild, text);
      return known.element;
    }
    const element = el(
      "div",
      { class: name, role: "separator", "aria-label": text },
      el("span", {}, text),
    );
    made.set(key, { element, entry: null, update: () => {} });
    return element;
  }

  function row(entry, first, state) {
    let known = made.get(entry.key);
    if (!known) {
      known = createEntry(app, entry);
      known.element.dataset.key = entry.key;
      made.set(entry.key, known);
    }
    const { files, connection } = state;
    if (known.shown !== entry || known.files !== files || known.connection !== connection) {
      known.update(entry, state);
      Object.assign(known, { shown: entry, files, connection });
    }
    known.element.classList.toggle("first", first);
    return known.element;
  }

  /** Brings the list's children to `wanted` with as few moves as there are changes. */
  function place(wanted) {
    const kept = new Set(wanted);
    for (const [key, { element }] of made) {
      if (kept.has(element)) continue;
      element.remove();
      made.delete(key);
    }
    let cursor = list.firstChild;
    for (const element of wanted) {
      if (element === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(element, cursor);
    }
  }

  document.addEventListener("visibilitychange", tellAttention);
  new ResizeObserver(() => following && !looksInside() && stick()).observe(log);

  app.store.watch((state, before) => {
    const alone = state.members.length === 0;
    const silent = state.entries.every(({ kind }) => kind === "line");
    const bare = alone && silent && state.earlier === 0 && !state.room?.settled;
    empty.hidden = !bare;
    log.hidden = bare;
    const slot = bare ? emptyInvite : inviteSlot;
    if (invite.parentNode !== slot) slot.append(invite);
    if (bare && state.self && emptyTable.dataset.id !== state.self.id) {
      emptyTable.dataset.id = state.self.id;
      emptyTable.replaceChildren(table([state.self.id]));
    }
    setText(count, state.unread.count ? String(state.unread.count) : "");
    const same =
      state.entries === before.entries &&
      state.files === before.files &&
      state.unread === before.unread &&
      state.connection === before.connection &&
      state.earlier === before.earlier;
    if (same && taken === state.entries) return;
    if (state.room?.id !== before.room?.id) {
      topKey = null; // Another room is read from its end, wherever one was in the last.
      follow(true);
    }
    const older = state.entries.length - (taken?.length ?? 0) > 1 && !following;
    take(state);
    const top = topKey === null ? 0 : entries.findIndex((unit) => holds(unit, topKey));
    const held = following ? null : inSight();
    const heldAt = held?.getBoundingClientRect().top;
    shown = range.moved(shown, entries.length, following, top);
    draw(older);
    if (following && !looksInside()) stick();
    else if (held?.isConnected) log.scrollTop += held.getBoundingClientRect().top - heldAt;
    toNewest.hidden = following;
    completeFirst();
  });

  return { element: el("div", { class: "log-frame" }, log, empty, toNewest), jumpToNewest };
}

/** Whether an entry continues what the one before began. */
function joins(before, entry) {
  return (
    before.from !== undefined &&
    entry.from !== undefined &&
    before.kind !== "line" &&
    entry.kind !== "line" &&
    before.from.id === entry.from.id &&
    Math.abs(entry.time - before.time) < GROUP_MS
  );
}
