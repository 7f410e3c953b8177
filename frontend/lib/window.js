/**
 * Which part of the log is in the document. The rest is only in the state, so that a long
 * history costs no layout.
 *
 * @typedef {{start: number, end: number}} Range  from `start` up to, not including, `end`
 */

/** Elements after a jump, added by one step of scrolling, and at most. */
export const FIRST = 120;
export const STEP = 60;
export const MOST = 240;

/**
 * @param {number} length
 * @returns {Range}
 */
export function newest(length) {
  return { start: Math.max(0, length - FIRST), end: length };
}

/** @returns {Range} */
export function oldest(length) {
  return { start: 0, end: Math.min(length, FIRST) };
}

/**
 * @param {Range} range
 * @returns {Range}
 */
export function older({ start, end }) {
  const from = Math.max(0, start - STEP);
  return { start: from, end: Math.min(end, from + MOST) };
}

/**
 * @param {Range} range
 * @param {number} length
 * @returns {Range}
 */
export function newer({ start, end }, length) {
  const to = Math.min(length, end + STEP);
  return { start: Math.max(start, to - MOST), end: to };
}

/**
 * The range after the log changed: it stays with the entry at its top, and at the end of the log
 * it follows the newest.
 * @param {Range} range
 * @param {number} length
 * @param {boolean} following
 * @param {number} top  where the entry that was at the top is now, or -1
 * @returns {Range}
 */
export function moved(range, length, following, top) {
  const follows = following && length - top <= MOST - STEP;
  if (top < 0 || (following && !follows)) return newest(length);
  if (follows) return { start: top, end: length };
  const size = Math.min(MOST, range.end - range.start + STEP);
  return { start: top, end: Math.min(length, top + size) };
}
