/**
 * What a text in the box `Message` is: a message, a command behind a `/`, or something that is
 * better asked about. The words are those of klatch's terminal.
 */

/** Commands of the page, and the words that mean the same. */
export const COMMANDS = {
  lock: ["password"],
  unlock: [],
  invite: [],
  join: ["connect"],
  leave: ["part"],
  quit: ["exit"],
  name: ["nick"],
  members: ["who", "names"],
  files: ["ls", "transfers"],
  send: [],
  download: ["get"],
  cancel: [],
  verify: [],
  ignore: [],
  remove: ["kick"],
  steward: [],
  say: [],
  help: [],
};
/** What only the terminal does. */
const TERMINAL = ["browser", "doctor", "limit", "wait"];
const NO_PRIVATE =
  "klatch has no private messages: messages go to everybody in the room (just type)";
/** Words that people know from elsewhere: what there is instead, in the terminal's sentences. */
const INSTEAD = {
  msg: NO_PRIVATE,
  query: NO_PRIVATE,
  resume: "to resume a download, download the same file again: /download <name>",
  discard: "to discard a partial download: /cancel <name or id>",
  me: "klatch has no actions: send a message instead (type it without the /)",
};
const PASSWORD_STEPS = 2;
const SHOWN_MAX_CHARS = 60;
/** An invitation is much longer, and no word of a sentence is as long. */
const INVITATION_MIN_CHARS = 20;

/**
 * @typedef {{kind: "say", text: string}
 *   | {kind: "do", word: string, rest: string}
 *   | {kind: "secret"}
 *   | {kind: "invitation", text: string}
 *   | {kind: "error", code: string, message: string}} Meant
 */

/**
 * @param {string} text
 * @returns {Meant}
 */
export function meant(text) {
  if (text.startsWith("/")) return command(text.slice(1));
  const invited = invitationAlone(text);
  if (invited) return { kind: "invitation", text: invited };
  const [first] = text.trim().split(/\s/, 1);
  const secret = steps(first.toLowerCase(), "password") <= PASSWORD_STEPS;
  return secret ? { kind: "secret" } : { kind: "say", text };
}

/**
 * The invitation that a text is, if nothing else stands in it.
 * @param {string} text
 * @returns {string|null}
 */
export function invitationAlone(text) {
  const found = /^\s*(?:(?:klatch|\/?join|\/?connect|\/?get)\s+)*(klatch:\S[\s\S]*)$/i.exec(text);
  if (!found) return null;
  const parts = found[1].slice("klatch:".length).trim().split(/\s+/);
  // Where it was broken, only its last part may be short.
  const whole = parts.length > 1 ? parts.slice(0, -1) : parts;
  const long = whole.every((part) => part.length >= INVITATION_MIN_CHARS);
  return long && parts.every((part) => /^[a-z2-7]+$/i.test(part))
    ? `klatch:${parts.join("")}`
    : null;
}

/** Only the word is repeated: what follows it may be a secret. */
function command(body) {
  const [typed] = body.split(/\s/, 1);
  const rest = body.slice(typed.length).trim();
  const names = Object.entries(COMMANDS);
  const known = names.find(([word, others]) => word === typed || others.includes(typed));
  if (known) return { kind: "do", word: known[0], rest };
  const fail = (message) => ({ kind: "error", code: "unknown_command", message });
  if (Object.hasOwn(INSTEAD, typed)) return fail(INSTEAD[typed]);
  const shown = `"/${[...typed].slice(0, SHOWN_MAX_CHARS).join("")}"`;
  if (TERMINAL.includes(typed)) {
    return fail(`/${typed} is a command of klatch's terminal: type it there`);
  }
  const near = nearest(typed, names.flatMap(([word, others]) => [word, ...others]));
  const hint = near ? ` (did you mean /${near}?)` : "";
  return fail(`there is no command ${shown}${hint}: /help shows them all (to say it: /say /…)`);
}

/**
 * The word that is nearest, if a third of the letters at most is wrong.
 * @param {string} typed
 * @param {string[]} words
 */
function nearest(typed, words) {
  const lower = typed.toLowerCase().slice(0, SHOWN_MAX_CHARS);
  const far = (word) => (lower.length > 2 && word.startsWith(lower) ? 0 : steps(lower, word));
  const most = (word) => Math.floor(Math.max(word.length, lower.length) / 3);
  const near = words.filter((word) => far(word) <= most(word));
  return near.sort((left, right) => far(left) - far(right))[0];
}

/**
 * How many letters are too many, too few, wrong or swapped with their neighbours.
 * @param {string} one
 * @param {string} other
 */
export function steps(one, other) {
  // Whatever is longer is far enough.
  const [a, b] = [one.slice(0, 255), other];
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const wrong = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(last[j - 1] + wrong, last[j] + 1, row[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], before[j - 2] + 1);
      }
    }
    [before, last] = [last, row];
  }
  return last[b.length];
}
