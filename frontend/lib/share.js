/**
 * Gives files to klatch, a few at a time: for each klatch waits for its disk, and many small ones
 * would wait for each other. The browser reads them from the disk as they are sent; nothing is held
 * in memory.
 *
 * @typedef {import("./types.js").Share} Share
 */

import { line } from "./text.js";

/** Files on their way at once; klatch takes more, and the browser has some connections to spare. */
const AT_ONCE = 4;
/** Often enough to be seen moving; each time costs the browser memory that it frees only later. */
const PROGRESS_MS = 250;
/** Words for what klatch could not say itself. */
const UNREACHABLE = { code: "io_error", text: "klatch could not be reached: try again" };

const GONE = {
  code: "file_not_found",
  text: "it is not there any more, or was changed after you chose it: choose it again",
};
/** Folders of one drop that are named; more are counted. */
const NAMED_MAX = 3;

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
  /** @type {{share: Share, file: File}[]} */
  const waiting = [];
  /** @type {Map<string, XMLHttpRequest>} */
  const going = new Map();
  let made = 0;

  function next() {
    while (going.size < AT_ONCE && waiting.length > 0) send(waiting.shift());
  }

  function send({ share, file }) {
    const { key } = share;
    const sending = request();
    const finish = (failure) => finished(key, file.name, failure);
    going.set(key, sending);
    tell(key, { phase: "sending" });
    sending.open("PUT", `/share?name=${encodeURIComponent(file.name)}`);
    sending.setRequestHeader("Authorization", `Bearer ${token()}`);
    let told = -PROGRESS_MS;
    sending.upload.onprogress = ({ loaded }) => {
      if (now() - told < PROGRESS_MS) return;
      told = now();
      tell(key, { sent: loaded });
    };
    sending.upload.onload = () => tell(key, { sent: 0, phase: "reading" });
    sending.onload = () => finish(sending.status === 201 ? null : failureOf(sending));
    sending.onerror = async () => finish((await gone(file)) ?? failureOf(sending));
    sending.onabort = () => finish(null);
    sending.send(file);
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

  return {
    /** @param {Iterable<File>} files */
    add(files) {
      for (const file of files) {
        made += 1;
        const key = `share-${made}`;
        const share = { key, name: file.name, size: file.size, sent: 0, phase: "waiting" };
        waiting.push({ share, file });
        dispatch({ event: "page_share", share });
      }
      next();
    },
    /**
     * Says once what cannot be shared of a drop.
     * @param {string[]} folders  their names
     */
    refuse(folders) {
      if (folders.length === 0) return;
      dispatch({ event: "page_failed", code: "not_a_file", text: refusal(folders) });
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

function refusal(folders) {
  const named = folders.slice(0, NAMED_MAX).map(line).join(", ");
  const more = folders.length - NAMED_MAX;
  return folders.length === 1
    ? `${named}: a folder cannot be shared yet: drop the files that are in it`
    : `${named}${more > 0 ? ` and ${more} more` : ""}: folders cannot be shared yet: ` +
        "drop the files that are in them";
}

/** What is wrong with a file that cannot be read, for nothing else tells that it is the file. */
async function gone(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return null;
  } catch {
    return GONE;
  }
}

function failureOf({ responseText }) {
  try {
    const { code, text } = JSON.parse(responseText);
    return code && text ? { code, text } : UNREACHABLE;
  } catch {
    return UNREACHABLE;
  }
}
