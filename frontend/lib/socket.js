/**
 * The one connection to klatch: proves who the tab is, sends commands, hands on notices, and comes
 * back by itself when the connection was lost.
 *
 * @typedef {import("./types.js").Failure} Failure
 */

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 4000;
const TOKEN = "klatch.token";
/** The close code with which klatch says that it ends (RFC 6455, 7.4.1). */
const GOING_AWAY = 1001;

/** What a command ended with when it failed. */
export class CommandError extends Error {
  /** @param {Failure & {lost?: boolean}} failure */
  constructor({ code, text, lost = false }) {
    super(text);
    this.code = code;
    /** Not refused: the connection went before the answer came. */
    this.lost = lost;
  }
}

const CUT_OFF = {
  code: "io_error",
  text: "the connection to klatch was lost: try again",
  lost: true,
};

/**
 * Whether a command waits for an answer of the person: yes or no, or a new password.
 * @param {{event: string, address?: string}} notice
 */
export function isQuestion({ event, address }) {
  return event === "confirm" || (event === "password_required" && address === "");
}

/**
 * @param {object} needs
 * @param {string} needs.url
 * @param {string} [needs.code]  the one-time code of the page's address
 * @param {Pick<Storage, "getItem"|"setItem"|"removeItem">} needs.storage
 * @param {(notice: any) => void} needs.onNotice
 * @param {(status: 'reconnecting'|'away'|'expired'|'refused'|'ended') => void} needs.onStatus
 *   `away`: klatch did not answer when it was tried again
 * @param {(url: string) => WebSocket} [needs.open]
 * @param {(run: () => void, delay_ms: number) => any} [needs.later]
 */
export function createSocket(needs) {
  const { url, storage, onNotice, onStatus } = needs;
  const open = needs.open ?? ((address) => new WebSocket(address));
  const later = needs.later ?? setTimeout;
  /** @type {Map<number, {answers: any[], resolve: Function, reject: Function}>} */
  const asked = new Map();
  let code = needs.code ?? "";
  let socket = null;
  let admitted = false;
  let done = false;
  let failures = 0;
  let nextLine = 1;
  let attempt = 0;
  let ending = false;

  function connect() {
    attempt += 1;
    const token = storage.getItem(TOKEN);
    if (!code && !token) return end("expired");
    done = false;
    const mine = open(url);
    const usedCode = code;
    socket = mine;
    mine.onopen = () => mine.send(JSON.stringify({ hello: usedCode ? { code } : { token } }));
    mine.onmessage = ({ data }) => mine === socket && receive(JSON.parse(data), usedCode);
    mine.onclose = (event) => mine === socket && closed(event?.code);
  }

  function receive(notice, usedCode) {
    if (notice.event === "session") {
      admitted = true;
      failures = 0;
      code = "";
      storage.setItem(TOKEN, notice.token);
    } else if (!admitted && notice.event === "error") {
      return refused(notice, usedCode);
    }
    const request = asked.get(notice.line);
    // History changes the state, whoever asked for it; a question is for the person.
    if (!request || notice.event === "history" || isQuestion(notice)) return onNotice(notice);
    if (notice.event === "command_done") {
      asked.delete(notice.line);
      request.resolve(request.answers);
    } else if (notice.event === "error") {
      asked.delete(notice.line);
      request.reject(new CommandError(notice));
    } else {
      request.answers.push(notice);
    }
  }

  /** A code that was used already may still have given this tab its token. */
  function refused(notice, usedCode) {
    if (notice.code !== "expired_address") {
      onNotice(notice);
      return end("refused");
    }
    code = "";
    if (!usedCode) storage.removeItem(TOKEN);
    if (usedCode && storage.getItem(TOKEN)) return drop(connect);
    end("expired");
  }

  function drop(then) {
    const old = socket;
    socket = null;
    old?.close();
    then();
  }

  function end(status) {
    done = true;
    drop(() => onStatus(status));
  }

  function closed(closeCode) {
    const over = ending && closeCode === GOING_AWAY;
    admitted = false;
    ending = false;
    socket = null;
    for (const { reject } of asked.values()) reject(new CommandError(CUT_OFF));
    asked.clear();
    if (done) return;
    if (over) return end("ended");
    onStatus(failures === 0 ? "reconnecting" : "away");
    const wait = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS);
    failures += 1;
    const planned = attempt;
    later(() => planned === attempt && !done && connect(), wait);
  }

  function ask(command, fields = {}, { signal } = {}) {
    if (!admitted) return Promise.reject(new CommandError(CUT_OFF));
    const line = nextLine;
    nextLine += 1;
    socket.send(JSON.stringify({ line, command, ...fields }));
    // The command itself answers whether that came in time.
    const giveUp = () => asked.has(line) && ask("give_up", { of: line }).catch(() => {});
    signal?.addEventListener("abort", giveUp);
    return new Promise((resolve, reject) => asked.set(line, { answers: [], resolve, reject }));
  }

  connect();

  return {
    /**
     * Gives a command; resolves with what it answered besides `command_done`.
     * @type {(command: string, fields?: object, how?: {signal?: AbortSignal}) => Promise<any[]>}
     */
    ask,
    /** Ends klatch. That it has ended is only said once it took its leave. */
    async quit() {
      ending = true;
      try {
        await ask("quit");
      } catch (failure) {
        if (failure.lost) return;
        ending = false;
        throw failure;
      }
    },
    /** Tries at once what would be tried later: the tab woke up, or the network is back. */
    retry() {
      if (!socket && !done) connect();
    },
    /**
     * The person opened a fresh address in this tab.
     * @param {string} fresh
     */
    useCode(fresh) {
      code = fresh;
      admitted = false;
      drop(connect);
    },
    /** @returns {string} for requests that carry it in a header */
    token: () => storage.getItem(TOKEN) ?? "",
  };
}
