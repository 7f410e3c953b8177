/**
 * Uploads files and folders to klatch, a few at a time: klatch waits for its disk for each, and
 * many small ones would wait for each other. The browser reads them from the disk as they are sent;
 * nothing is held in memory.
 *
 * @typedef {import("./types.js").Share} Share
 * @typedef {{share: Share, url: string, body?: Blob, files: File[],
 *   gather?: (signal: AbortSignal) => Promise<import("./gather.js").Found[]>}} Waiting
 *   `gather`: finds what is in a folder, once its turn has come
 */

import { bodyOf, chosen, inside, nameOf, together } from "./gather.js";

/** Files on their way at once; klatch takes more, and the browser has some connections to spare. */
const AT_ONCE = 4;
/** So many loose files are shared one by one; more of one drop are a folder. */
const LOOSE_MAX = 4;
/** Often enough to look smooth; each update costs the browser memory that it frees only later. */
const PROGRESS_MS = 250;
/** Messages for failures that klatch itself could not report. */
const UNREACHABLE = { code: "io_error", text: "klatch could not be reached: try again" };
const GONE =
  "it is not there any more, or was changed after you chose it: choose it again";
const EMPTY = "there is nothing in it that can be shared";

/**
 * @param {object} needs
 * @param {() => string} needs.token
 * @param {(notice: any) => void} needs.dispatch
 * @param {() => XMLHttpRequest} [needs.request]
 * @param {() => number} [needs.now]  milliseconds
 */
export function createSharing(needs) {
  const { token, dispatch } = needs;
  const request = needs.request ?? (() => new XMLHttpRequest());
  const now = needs.now ?? (() => performance.now());
  /** @type {Waiting[]} */
  const waiting = [];
  /** @type {Map<string, {abort: () => void, folder: boolean}>} */
  const going = new Map();
  let made = 0;

  function next() {
    // Folders go one by one: each keeps klatch's disk busy.
    const busy = () => [...going.values()].some(({ folder }) => folder);
    while (going.size < AT_ONCE) {
      const at = waiting.findIndex(({ gather }) => !gather || !busy());
      if (at < 0) return;
      const [job] = waiting.splice(at, 1);
      if (job.gather) look(job);
      else send(job);
    }
  }

  /** Looks what is in a folder, and sends it. */
  async function look(job) {
    const { key, name } = job.share;
    const stop = new AbortController();
    going.set(key, { abort: () => stop.abort(), folder: true });
    tell(key, { phase: "looking" });
    try {
      const found = await job.gather(stop.signal);
      stop.signal.throwIfAborted();
      if (found.length === 0) throw Object.assign(new Error(EMPTY), { code: "file_not_found" });
      const { body, list, size } = bodyOf(found);
      const url = `/share/folder?name=${encodeURIComponent(name)}&list=${list}`;
      tell(key, { size });
      send({ ...job, url, body, files: found.flatMap(({ file }) => file ?? []) });
    } catch (failure) {
      const { code, message: text } = failure;
      const told = { code: typeof code === "string" ? code : "io_error", text };
      finished(key, name, stop.signal.aborted ? null : told);
    }
  }

  function send({ share, url, body, files, gather }) {
    const { key, name } = share;
    const sending = request();
    const finish = (failure) => finished(key, name, failure);
    going.set(key, { abort: () => sending.abort(), folder: Boolean(gather) });
    tell(key, { phase: "sending" });
    sending.open("PUT", url);
    sending.setRequestHeader("Authorization", `Bearer ${token()}`);
    let told = -PROGRESS_MS;
    sending.upload.onprogress = ({ loaded }) => {
      if (now() - told < PROGRESS_MS) return;
      told = now();
      tell(key, { sent: loaded });
    };
    sending.upload.onload = () => tell(key, { sent: 0, phase: "reading" });
    sending.onload = () => finish(sending.status === 201 ? null : failureOf(sending));
    sending.onerror = async () =>
      finish((await gone(files, Boolean(gather))) ?? failureOf(sending));
    sending.onabort = () => finish(null);
    sending.send(body ?? files[0]);
  }

  function tell(key, change) {
    dispatch({ event: "page_share", share: { key, ...change } });
  }

  function finished(key, name, failure) {
    going.delete(key);
    dispatch({ event: "page_share_gone", key });
    if (failure) dispatch({ event: "page_failed", ...failure, text: `${name}: ${failure.text}` });
    next();
  }

  /** @param {Pick<Share, "name"|"size">} what */
  function wait(what, job) {
    made += 1;
    const share = { key: `share-${made}`, ...what, sent: 0, phase: "waiting" };
    waiting.push({ share, ...job });
    dispatch({ event: "page_share", share });
  }

  function waitFolder(name, gather) {
    wait({ name, size: 0 }, { gather, files: [] });
  }

  return {
    /**
     * Shares what was dropped, pasted or chosen: a few things each by itself, many as one.
     * @param {{files: File[], folders?: import("./gather.js").DroppedEntry[]}} given
     */
    add({ files, folders = [] }) {
      if (files.length + folders.length > LOOSE_MAX) {
        waitFolder(nameOf(files, folders.length), async (signal) => {
          const full = [];
          for (const folder of folders) {
            full.push({ name: folder.name, found: await inside([folder], signal) });
          }
          return together(files, full);
        });
      } else {
        for (const folder of folders) waitFolder(folder.name, (signal) => inside([folder], signal));
        for (const file of files) {
          const url = `/share?name=${encodeURIComponent(file.name)}`;
          wait({ name: file.name, size: file.size }, { url, files: [file] });
        }
      }
      next();
    },
    /**
     * Shares a folder that was chosen.
     * @param {File[]} files  all that is in it
     */
    addFolder(files) {
      if (files.length === 0) return;
      const { name, found } = chosen(files);
      waitFolder(name, async () => found);
      next();
    },
    /** @param {string} key */
    cancel(key) {
      if (going.has(key)) return going.get(key).abort();
      const index = waiting.findIndex(({ share }) => share.key === key);
      if (index < 0) return;
      waiting.splice(index, 1);
      dispatch({ event: "page_share_gone", key });
    },
  };
}

/** What is wrong with a file that cannot be read, for nothing else tells that it is the file. */
async function gone(files, named) {
  for (const file of files) {
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      const text = named ? `${file.webkitRelativePath || file.name}: ${GONE}` : GONE;
      return { code: "file_not_found", text };
    }
  }
  return null;
}

function failureOf({ responseText }) {
  try {
    const { code, text } = JSON.parse(responseText);
    return code && text ? { code, text } : UNREACHABLE;
  } catch {
    return UNREACHABLE;
  }
}
