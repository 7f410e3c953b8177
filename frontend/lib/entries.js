/**
 * The log as a sorted list: by the room's order, then by arrival.
 *
 * @typedef {import("./types.js").Entry} Entry
 */

import { marked } from "./text.js";

/**
 * @param {any[]} messages  `message`, `file_offered` and `file_withdrawn` as klatch sends them
 * @param {number} seq  the number of the first
 * @returns {Entry[]}
 */
export function fromHistory(messages, seq) {
  let order = "";
  return messages.map((notice, index) => {
    order = notice.order ?? order;
    const { from, own, history } = notice;
    const common = { order, seq: seq + index, time: Date.parse(notice.time), from, own, history };
    if (notice.event === "message") {
      const { id: key, text, known, held_by: heldBy, present } = notice;
      return { ...common, key, kind: "message", text, known: known ?? true, heldBy, present };
    }
    const key = `${notice.event} ${notice.id}`;
    if (notice.event === "file_offered") {
      const { id: offerId, file, folder, replaces } = notice;
      const offer = { ...common, key, kind: "offer", offerId, file, replaces, text: file.name };
      return { ...offer, folder: folder ?? null };
    }
    return { ...common, key, kind: "line", replaces: notice.id, text: withdrawal(notice) };
  });
}

export const withdrawal = ({ own, from, file }) =>
  `${own ? "you" : marked(from)} withdrew ${file.name}`;

function before(a, b) {
  return a.order === b.order ? a.seq < b.seq : a.order < b.order;
}

/**
 * Puts an entry in its place, which nearly always is the end; one that is there already stays.
 * @param {Entry[]} entries
 * @param {Entry} entry
 * @returns {Entry[]}
 */
export function insert(entries, entry) {
  let index = entries.length;
  while (index > 0 && before(entry, entries[index - 1])) index -= 1;
  const same = entries.findLastIndex(({ key }) => key === entry.key);
  if (same >= 0) return entries;
  return [...entries.slice(0, index), entry, ...entries.slice(index)];
}

/**
 * Joins two parts of one log. If the newer part begins after the older one ends, what lies between
 * is unknown: only the newer part stays, and klatch has the rest.
 * @param {Entry[]} older
 * @param {Entry[]} newer
 * @returns {Entry[]}  `newer` itself if nothing was added to it
 */
export function merge(older, newer) {
  if (older.length === 0) return newer;
  const keys = new Set(newer.map(({ key }) => key));
  const added = older.filter(({ key }) => !keys.has(key));
  return [...added, ...newer].sort((a, b) => (before(a, b) ? -1 : 1));
}

/**
 * What is left of an older part once klatch has told the newest one anew: messages that this lacks
 * were taken back meanwhile.
 * @param {Entry[]} older
 * @param {Entry[]} newest
 * @returns {Entry[]}
 */
export function stillSaid(older, newest) {
  const keys = new Set(newest.map(({ key }) => key));
  const gone = (entry) =>
    entry.kind === "message" && !keys.has(entry.key) && !before(entry, newest[0]);
  return newest.length > 0 ? older.filter((entry) => !gone(entry)) : older;
}
