/**
 * The rows of files: an offer each, and what this node does with its file.
 *
 * @typedef {import("./types.js").FileRow} FileRow
 */

import { line } from "./text.js";

/** States of a transfer towards this computer. */
const DOWNLOADS = new Set(["fetching", "queued", "waiting"]);

/** An offer that has ended; its file may still be here. */
export function ended(files, id, end) {
  const row = files[id];
  if (!row) return files;
  // What this node took back lies nowhere that it serves from.
  const back = row.own && { phase: "offered", bytesDone: 0 };
  return { ...files, [id]: { ...row, ...back, from: [], own: false, ended: end } };
}

/**
 * Names as people see them, by offer. Only their offers' ids tell equal contents of one name
 * apart; nobody sees how an accent is encoded.
 * @param {FileRow[]} rows
 * @returns {Record<string, string>}
 */
export function labels(rows) {
  const counts = new Map();
  const count = (key) => counts.set(key, (counts.get(key) ?? 0) + 1);
  const many = (key) => counts.get(key) > 1;
  const seen = ({ name }) => name.normalize();
  for (const { file } of rows.filter(({ from, phase }) => from.length || phase !== "offered")) {
    count(seen(file));
    count(`${file.id} ${seen(file)}`);
  }
  const label = ({ id, file }) => {
    if (!many(seen(file))) return line(file.name);
    const short = many(`${file.id} ${seen(file)}`) ? id : file.id;
    return `${line(file.name)} (${short.slice(0, 8)})`;
  };
  return Object.fromEntries(rows.map((row) => [row.id, label(row)]));
}

/** @returns {FileRow} */
export function offered(id, file, folder = null) {
  return {
    id,
    file,
    folder,
    from: [],
    own: false,
    hosts: 0,
    phase: "offered",
    bytesDone: 0,
    rate: 0,
    sources: 0,
    takers: 0,
    path: null,
    failure: null,
    chunks: null,
    version: false,
    ended: null,
    part: 0,
  };
}

/** Uploads; one is still shown for a while after it became idle. */
export function servedOf(list, before) {
  const rows = list.filter(({ to }) => to);
  return rows.map((row) => {
    const last = before.find(({ file, to }) => file.id === row.file.id && to?.id === row.to?.id);
    const moving = last ? row.bytes_done !== last.bytes_done : row.bytes_done < row.file.size;
    return { ...row, moving };
  });
}

/** Sets for each file how many members fetch it from here now. */
export function withTakers(files, served) {
  let next = files;
  for (const [id, row] of Object.entries(files)) {
    const takers = served.filter(({ file, moving }) => moving && file.id === row.file.id).length;
    if (takers !== row.takers) next = { ...next, [id]: { ...row, takers } };
  }
  return next;
}

/** The rows of a snapshot; what only events told of a file (its strip, an error) is kept. */
export function filesOf({ files, transfers, saved }, before, recalled = {}) {
  const downloads = new Map(
    transfers.filter((row) => DOWNLOADS.has(row.state)).map((row) => [row.file.id, row]),
  );
  const paths = new Map(saved.map(({ id, path }) => [id, path]));
  const rows = {};
  for (const { id, file, folder, from, own, hosts, held, fetching, kept = 0 } of files) {
    const fresh = () => ({ ...offered(id, file, folder), bytesDone: recalled[file.id] ?? 0 });
    const known = before[id] ?? fresh();
    const download = downloads.get(file.id);
    let { phase, bytesDone, rate, sources } = known;
    if (held !== undefined || download) {
      phase = held ? "held" : fetching || download ? "fetching" : "offered";
      if (phase === "offered" && known.phase === "held") bytesDone = 0;
    }
    if (phase === "offered" && !own) bytesDone ||= kept;
    if (download?.state === "queued") phase = "queued";
    if (download) {
      ({ bytes_done: bytesDone, bytes_per_second: rate, hosts: sources } = download);
    }
    const path = own ? null : (paths.get(file.id) ?? known.path);
    const now = { from: [from], own, hosts, phase, bytesDone, rate, sources, path, ended: null };
    rows[id] = { ...known, ...now };
  }
  return rows;
}

/**
 * Where the list was too long to be told, what the log holds stands unless it says otherwise: all
 * that ends an offer is newer than the offer.
 */
export function withEntries({ files, filesLeftOut }, entries, known) {
  if (filesLeftOut === 0) return { files, filesLeftOut };
  const over = new Set(entries.map(({ replaces }) => replaces));
  const rows = { ...files };
  let left = filesLeftOut;
  for (const { kind, offerId: id, file, folder, from, own } of entries) {
    if (kind !== "offer" || rows[id] || over.has(id)) continue;
    rows[id] = known[id] ?? { ...offered(id, file, folder), from: [from], own, hosts: 1 };
    left -= 1;
  }
  return { files: rows, filesLeftOut: Math.max(left, 0) };
}

/** An event about a content concerns every offer of it. */
export function changed(state, file, change) {
  const rows = Object.values(state.files).filter((row) => row.file.id === file.id);
  if (rows.length === 0) return state;
  const of = typeof change === "function" ? change : () => change;
  const next = rows.map((row) => [row.id, { ...row, ...of(row) }]);
  return { ...state, files: { ...state.files, ...Object.fromEntries(next) } };
}
