/**
 * What a person drops or chooses, as one folder: found in it, named, and put into one body that
 * the browser reads from the disk as it is sent.
 *
 * @typedef {{path: string, file?: File}} Found  A file by its path below the folder, or an empty
 *   folder.
 * @typedef {{name: string, isDirectory: boolean, [more: string]: any}} DroppedEntry
 */

import { plural } from "./format.js";

/** The most that klatch takes, files and empty folders together. */
export const FOUND_MAX = 262_144;

/**
 * Everything in these folders, each below its own name.
 * @param {DroppedEntry[]} folders
 * @param {AbortSignal} signal
 * @returns {Promise<Found[]>}
 */
export async function inside(folders, signal) {
  const found = [];
  for (const folder of folders) await walk(folder, "", found, signal);
  return found;
}

async function walk(folder, above, found, signal) {
  const reader = folder.createReader();
  const deeper = [];
  let empty = true;
  for (let batch = await next(reader); batch.length > 0; batch = await next(reader)) {
    signal.throwIfAborted();
    empty = false;
    if (found.length + batch.length > FOUND_MAX) {
      const text = `it has more than ${FOUND_MAX} files: share its parts, or an archive`;
      throw failure("too_many_files", text);
    }
    deeper.push(...batch.filter(({ isDirectory }) => isDirectory));
    const files = batch.filter(({ isDirectory }) => !isDirectory);
    found.push(...(await Promise.all(files.map((entry) => opened(entry, above)))));
  }
  if (empty && above) found.push({ path: above.slice(0, -1) });
  for (const entry of deeper) await walk(entry, `${above}${entry.name}/`, found, signal);
}

/** A browser tells what is in a folder in parts, the last of which is empty. */
const next = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));

async function opened(entry, above) {
  const path = `${above}${entry.name}`;
  try {
    return { path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) };
  } catch {
    throw failure("permission_denied", `${path} cannot be read`);
  }
}

const failure = (code, text) => Object.assign(new Error(text), { code });

/**
 * The same of a folder that was chosen: a browser names each file in it with the folder before it.
 * @param {File[]} files
 * @returns {{name: string, found: Found[]}}
 */
export function chosen(files) {
  const [name] = files[0].webkitRelativePath.split("/");
  const found = files.map((file) => {
    return { path: file.webkitRelativePath.slice(name.length + 1), file };
  });
  return { name, found };
}

/**
 * Several things of one drop beside each other; two of one name stay two.
 * @param {File[]} files
 * @param {{name: string, found: Found[]}[]} folders
 * @returns {Found[]}
 */
export function together(files, folders) {
  const taken = new Set();
  const own = (name) => {
    let number = 1;
    while (taken.has(numbered(name, number))) number += 1;
    taken.add(numbered(name, number));
    return numbered(name, number);
  };
  const below = ({ name, found }) => {
    const top = own(name);
    if (found.length === 0) return [{ path: top }];
    return found.map(({ path, file }) => ({ path: `${top}/${path}`, file }));
  };
  return [...folders.flatMap(below), ...files.map((file) => ({ path: own(file.name), file }))];
}

/** As klatch numbers files of one name. */
function numbered(name, number) {
  if (number < 2) return name;
  const dot = name.lastIndexOf(".");
  const at = dot > 0 ? dot : name.length;
  return `${name.slice(0, at)} (${number})${name.slice(at)}`;
}

/**
 * What many loose things are called together.
 * @param {File[]} files
 * @param {number} folders  how many
 */
export function nameOf(files, folders) {
  if (folders > 0 && files.length > 0) return plural(files.length + folders, "item");
  if (folders > 0) return plural(folders, "folder");
  const all = (kind) => files.every(({ type }) => type?.startsWith(kind));
  return plural(files.length, all("image/") ? "picture" : all("video/") ? "video" : "file");
}

/**
 * The body of a request that shares a folder (`src/bridge/upload/folder.rs`): a list, then the
 * files in its order.
 * @param {Found[]} found
 * @returns {{body: Blob, list: number, size: number}}  bytes of the list, and of the files
 */
export function bodyOf(found) {
  const sorted = found
    .map(({ path, file }) => ({ path: path.toWellFormed?.() ?? path, file }))
    .sort((left, right) => byBytes(left.path, right.path));
  const line = ({ path, file }) => {
    const facts = file && { size: file.size, modified: Math.floor(file.lastModified / 1000) };
    return `${JSON.stringify({ path, ...facts })}\n`;
  };
  const list = new Blob(sorted.map(line));
  const files = sorted.flatMap(({ file }) => file ?? []);
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return { body: new Blob([list, ...files]), list: list.size, size };
}

/**
 * The order of the bytes of UTF-8, which is that of code points: half of a pair stands behind all
 * that needs none.
 * @param {string} left
 * @param {string} right
 */
export function byBytes(left, right) {
  const most = Math.min(left.length, right.length);
  for (let at = 0; at < most; at += 1) {
    const [a, b] = [left.charCodeAt(at), right.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

const rank = (unit) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
