/**
 * What is ticked in a folder, as the fewest paths that say it. A path that ends in `/` means all
 * that is below it; the empty one is the whole folder.
 *
 * @typedef {{name: string, folder: boolean, files: number, bytes: number, path: string}} Inside
 * @typedef {{list: Inside[], more: number}} Level  What is in a folder; `more` is not listed.
 * @typedef {Map<string, Level>} Levels  Those that were looked into, by their paths.
 */

/**
 * Klatch's answer to the question what is in a folder, or in one in it: folders first.
 * @param {{path: string, list: any[], more: number}} told
 * @param {(left: string, right: string) => number} compare
 * @returns {Level}
 */
export function levelOf({ path, list, more }, compare) {
  const rows = list.map((row) => ({ ...row, path: `${path}${row.name}${row.folder ? "/" : ""}` }));
  rows.sort((a, b) => Number(b.folder) - Number(a.folder) || compare(a.name, b.name));
  return { list: rows, more };
}

/** The folders in which something lies, from the nearest on. */
function above(path) {
  const parts = path.replace(/\/$/, "").split("/");
  return parts.map((_, at) => parts.slice(0, parts.length - 1 - at).map((p) => `${p}/`).join(""));
}

/**
 * @param {Set<string>} ticked
 * @param {string} path
 * @returns {boolean|'mixed'}
 */
export function tickOf(ticked, path) {
  if (ticked.has(path) || above(path).some((folder) => ticked.has(folder))) return true;
  const below = path.endsWith("/") && [...ticked].some((one) => one.startsWith(path));
  return below ? "mixed" : false;
}

/**
 * Ticks something, or takes the tick away.
 * @param {Set<string>} ticked
 * @param {Levels} levels
 * @param {string} path
 * @returns {Set<string>}
 */
export function toggled(ticked, levels, path) {
  const next = new Set(ticked);
  if (tickOf(ticked, path) === true) {
    const folders = above(path);
    // What lies beside the way from a folder that was ticked to here stays ticked.
    const whole = next.delete(path) ? -1 : folders.findIndex((folder) => next.delete(folder));
    for (const folder of folders.slice(0, whole + 1)) {
      for (const row of levels.get(folder)?.list ?? []) {
        if (row.path !== path && !(row.folder && path.startsWith(row.path))) next.add(row.path);
      }
    }
    return next;
  }
  for (const one of next) if (path.endsWith("/") && one.startsWith(path)) next.delete(one);
  next.add(path);
  for (const folder of above(path)) {
    const level = levels.get(folder);
    if (!level || level.more > 0 || !level.list.every((row) => next.has(row.path))) break;
    for (const row of level.list) next.delete(row.path);
    next.add(folder);
  }
  return next;
}

/**
 * How much is ticked.
 * @param {Set<string>} ticked
 * @param {Levels} levels
 * @param {{files: number, bytes: number}} whole
 * @returns {{files: number, bytes: number}}
 */
export function sum(ticked, levels, whole) {
  if (ticked.has("")) return whole;
  const all = { files: 0, bytes: 0 };
  for (const { list } of levels.values()) {
    for (const { path, files, bytes } of list) {
      if (!ticked.has(path)) continue;
      all.files += files;
      all.bytes += bytes;
    }
  }
  return all;
}
