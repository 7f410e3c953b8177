/**
 * Gives files to klatch, one after the other. The browser reads them from the disk as they are
 * sent; nothing is held in memory.
 *
 * @typedef {import("./types.js").Share} Share
 */

/** Often enough to be seen moving; each time costs the browser memory that it frees only later. */
const PROGRESS_MS = 250;
/** Words for what klatch could not say itself. */
const UNREACHABLE = { code: "io_error", text: "klatch could not be reached: try it again" };

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
  let current = null;
  let made = 0;

  function next() {
    const first = waiting.shift();
    if (!first) return;
    const { share, file } = first;
    const sending = request();
    current = { key: share.key, sending };
    tell(share.key, { phase: "sending" });
    sending.open("PUT", `/share?name=${encodeURIComponent(file.name)}`);
    sending.setRequestHeader("Authorization", `Bearer ${token()}`);
    let told = -PROGRESS_MS;
    sending.upload.onprogress = ({ loaded }) => {
      if (now() - told < PROGRESS_MS) return;
      told = now();
      tell(share.key, { sent: loaded });
    };
    sending.upload.onload = () => tell(share.key, { sent: 0, phase: "reading" });
    sending.onload = () => finish(file.name, sending.status === 201 ? null : failureOf(sending));
    sending.onerror = () => finish(file.name, failureOf(sending));
    sending.onabort = () => finish(file.name, null);
    sending.send(file);
  }

  function tell(key, change) {
    dispatch({ event: "page_share", share: { key, ...change } });
  }

  function finish(name, failure) {
    const { key } = current;
    current = null;
    dispatch({ event: "page_share_gone", key });
    if (failure) dispatch({ event: "page_alert", ...failure, text: `${name}: ${failure.text}` });
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
      if (!current) next();
    },
    /** @param {string} key */
    cancel(key) {
      if (current?.key === key) return current.sending.abort();
      const index = waiting.findIndex(({ share }) => share.key === key);
      if (index < 0) return;
      waiting.splice(index, 1);
      dispatch({ event: "page_share_gone", key });
    },
  };
}

function failureOf({ responseText }) {
  try {
    const { code, text } = JSON.parse(responseText);
    return code && text ? { code, text } : UNREACHABLE;
  } catch {
    return UNREACHABLE;
  }
}
