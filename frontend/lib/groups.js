/**
 * Many files of one drop are one thing in the log: offers that follow each other, of one author and
 * within a short time; and so are many that are withdrawn together.
 *
 * @typedef {import("./types.js").Entry} Entry
 * @typedef {Entry & {entries?: Entry[]}} Unit  One thing in the log; `entries`: what it is made of.
 */

import { plural } from "./format.js";
import { marked } from "./text.js";

/** Fewer files in a row are shown one by one. */
const TOGETHER_MIN = 4;
/** Offers that are further apart are not of one drop. */
const APART_MS = 60_000;

/**
 * @param {Entry[]} entries
 * @param {string|null} after  the key of the last entry that was seen: a line is drawn behind it
 * @param {Unit[]} [before]  earlier units: of these, what did not change is used again
 * @returns {Unit[]}
 */
export function units(entries, after, before = []) {
  const known = new Map(before.filter((unit) => unit.entries).map((unit) => [unit.key, unit]));
  const made = [];
  let from = 0;
  while (from < entries.length) {
    let to = from + 1;
    while (to < entries.length && follows(entries[to - 1], entries[to], after)) to += 1;
    if (to - from < TOGETHER_MIN) made.push(...entries.slice(from, to));
    else made.push(together(entries.slice(from, to), known));
    from = to;
  }
  return made;
}

function follows(left, right, after) {
  return (
    ofFile(left) &&
    left.kind === right.kind &&
    ofFile(right) &&
    // A folder is many files already.
    !left.folder &&
    !right.folder &&
    left.from.id === right.from.id &&
    left.key !== after &&
    Math.abs(right.time - left.time) <= APART_MS
  );
}

/**
 * Whether an entry is an offer or a withdrawal.
 * @param {Entry} entry
 */
export function ofFile({ kind, replaces }) {
  return kind.startsWith("offer") || (kind === "line" && Boolean(replaces));
}

function together(entries, known) {
  const [first] = entries;
  const key = `many ${first.key}`;
  const before = known.get(key);
  const same =
    before?.entries.length === entries.length &&
    entries.every((entry, index) => entry === before.entries[index]);
  if (same) return before;
  if (first.kind === "offer") return { ...first, key, kind: "offers", entries };
  const who = first.own ? "you" : marked(first.from);
  return { ...first, key, entries, text: `${who} withdrew ${plural(entries.length, "file")}` };
}

/**
 * Whether a unit is this entry, or holds it.
 * @param {Unit} unit
 * @param {string} key
 */
export function holds(unit, key) {
  return unit.key === key || Boolean(unit.entries?.some((entry) => entry.key === key));
}

/**
 * @param {Unit} unit
 * @returns {string} the key of the last entry in it
 */
export function lastKey(unit) {
  return unit.entries?.at(-1).key ?? unit.key;
}
