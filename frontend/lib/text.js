/**
 * Text from peers: what could hide or reorder it is made visible, as in the terminal.
 * The ranges are those of `src/router/text.rs`.
 */

/* eslint-disable no-control-regex */
const CONTROL = "\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029";
const FORMAT =
  "\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160" +
  "\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff" +
  "\\uffa0\\ufff0-\\ufffb\\u{110bd}\\u{110cd}\\u{13430}-\\u{1343f}\\u{1bca0}-\\u{1bca3}" +
  "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}";
const HIDDEN = new RegExp(`[${CONTROL}${FORMAT}]`, "gu");
const KEPT_IN_BLOCKS = new Set(["\n", "\t", "\u200c", "\u200d"]);

const escape = (c) => `\\u{${c.codePointAt(0).toString(16)}}`;

/**
 * A name or another text that stays on one line.
 * @param {string} text
 * @returns {string}
 */
export function line(text) {
  return String(text).replace(HIDDEN, escape);
}

/** A name as it is shown. */
export const marked = ({ name, verified }) => (verified ? `${name}✓` : name);

/**
 * A text with its line feeds and tabs, and the joiners that emoji and some scripts need.
 * @param {string} text
 * @returns {string}
 */
export function block(text) {
  return String(text).replace(HIDDEN, (c) => (KEPT_IN_BLOCKS.has(c) ? c : escape(c)));
}

/**
 * @typedef {{kind: 'text'|'code'|'link', text: string, href?: string}} Span
 * @typedef {{kind: 'code', text: string}|{kind: 'paragraph', spans: Span[]}} Block
 */

/**
 * Cuts a message into paragraphs and fenced code, and paragraphs into text, code and links.
 * @param {string} text
 * @returns {Block[]}
 */
export function parse(text) {
  const blocks = [];
  const fence = /^```[^\n`]*\n([\s\S]*?)(?:\n)?^```[ \t]*$/gm;
  const clean = block(text);
  let from = 0;
  for (const match of clean.matchAll(fence)) {
    pushParagraph(blocks, clean.slice(from, match.index));
    blocks.push({ kind: "code", text: match[1] });
    from = match.index + match[0].length;
  }
  pushParagraph(blocks, clean.slice(from));
  return blocks;
}

function pushParagraph(blocks, text) {
  const trimmed = text.replace(/^\n+/, "").trimEnd();
  if (trimmed) blocks.push({ kind: "paragraph", spans: spans(trimmed) });
}

/**
 * @param {string} text
 * @returns {Span[]}
 */
export function spans(text) {
  const found = [];
  const pattern = /`([^`\n]+)`|\bhttps?:\/\/[^\s<>"'`\\]+/gi;
  let from = 0;
  const plain = (until) => {
    if (until > from) found.push({ kind: "text", text: text.slice(from, until) });
  };
  for (const match of text.matchAll(pattern)) {
    if (match[1] !== undefined) {
      plain(match.index);
      found.push({ kind: "code", text: match[1] });
      from = match.index + match[0].length;
      continue;
    }
    const shown = withoutTrailing(match[0]);
    const href = webAddress(shown);
    if (!href) continue;
    plain(match.index);
    found.push({ kind: "link", text: shown, href });
    from = match.index + shown.length;
  }
  plain(text.length);
  return found;
}

const OPENED = { ")": "(", "]": "[", "}": "{" };

/** The full stop after an address belongs to the sentence; a bracket does if it was not opened. */
function withoutTrailing(address) {
  const count = new Map();
  for (const letter of address) count.set(letter, (count.get(letter) ?? 0) + 1);
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const loose = OPENED[last] && (count.get(OPENED[last]) ?? 0) < count.get(last);
    if (!loose && !".,;:!?*_~".includes(last)) break;
    count.set(last, count.get(last) - 1);
  }
  return address.slice(0, end);
}

/** The address as the browser will open it, or null if it is not a web address. */
function webAddress(text) {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = (url.protocol === "http:" || url.protocol === "https:") && url.hostname;
  return plain && !url.username && !url.password ? url.href : null;
}
