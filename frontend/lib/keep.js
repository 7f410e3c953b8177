/**
 * State that only this tab has and a reload would lose: klatch's own lines, the order in which
 * people came, what is here of downloads that were cancelled, and the draft. It is kept for as long
 * as the tab is open, bounded, and holds for one room of one run of klatch.
 *
 * @typedef {import("./types.js").State} State
 * @typedef {{run: string|null, room: string|null, lines: {order: string, time: number,
 *   text: string}[], order: string[], kept: Record<string, number>}} Kept
 */

const TAB = "klatch.tab";
const DRAFT = "klatch.draft";
const LINES_MAX = 200;
const MEMBERS_MAX = 1024;
const FILES_MAX = 256;
const DRAFT_MAX_CHARS = 64 * 1024;

/**
 * @param {State} state
 * @returns {Kept}
 */
export function kept({ run, room, entries, order, files }) {
  const lines = entries.filter(({ local }) => local).slice(-LINES_MAX);
  const begun = Object.values(files).filter(
    ({ phase, own, bytesDone }) => phase === "offered" && !own && bytesDone > 0,
  );
  return {
    run,
    room: room?.id ?? null,
    lines: lines.map((entry) => ({ order: entry.order, time: entry.time, text: entry.text })),
    order: order.slice(0, MEMBERS_MAX),
    kept: Object.fromEntries(
      begun.slice(0, FILES_MAX).map(({ file, bytesDone }) => [file.id, bytesDone]),
    ),
  };
}

/**
 * @param {Pick<Storage, "setItem">} storage
 * @param {State} state
 */
export function keep(storage, state) {
  if (state.room) store(storage, TAB, kept(state));
}

/**
 * @param {Pick<Storage, "getItem">} storage
 * @returns {Kept|null}
 */
export function recall(storage) {
  return read(storage, TAB);
}

/**
 * @param {Pick<Storage, "setItem"|"removeItem">} storage
 * @param {string} room
 * @param {string} text
 */
export function keepDraft(storage, room, text) {
  if (text) store(storage, DRAFT, { room, text: text.slice(0, DRAFT_MAX_CHARS) });
  else storage.removeItem(DRAFT);
}

/**
 * @param {Pick<Storage, "getItem">} storage
 * @param {string} room
 * @returns {string}
 */
export function recallDraft(storage, room) {
  const draft = read(storage, DRAFT);
  return draft?.room === room ? draft.text : "";
}

function store(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Where the browser keeps no more, a reload loses it: nothing else is wrong.
  }
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}
