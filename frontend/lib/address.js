/** What people paste into the address field. */

const DEFAULT_PORT = "51692";

/**
 * Takes `connect 192.168.1.5 51692`, `192.168.1.5:51692`, `[::1]:51692` or a bare host apart.
 * @param {string} text
 * @returns {{host: string, port: string|null}}  port is null where the text names none
 */
export function splitAddress(text) {
  const invited = invitation(text);
  if (invited) return { host: invited, port: null };
  const words = text
    .trim()
    .replace(/^\/?connect\s+/i, "")
    .split(/\s+/);
  const [first, second] = words;
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(first);
  if (bracketed) return { host: bracketed[1], port: bracketed[2] ?? digits(second) };
  const named = /^([^:]+):(\d{1,5})$/.exec(first);
  if (named) return { host: named[1], port: named[2] };
  return { host: first, port: digits(second) };
}

/**
 * The invitation in what was pasted: the bare text, or the whole line that guests type.
 * @param {string} text
 * @returns {string|null}
 */
export function invitation(text) {
  const found = /^\s*(?:\/?(?:join|connect)\s+)?(?:klatch\s+)?(klatch:[\s\S]*)$/i.exec(text);
  return found && found[1].replace(/\s+/g, "");
}

function digits(word) {
  return word !== undefined && /^\d{1,5}$/.test(word) ? word : null;
}

/**
 * The line that others type to come here.
 * @param {string} address  `host:port`
 * @returns {string}
 */
export function connectLine(address) {
  const { host, port } = splitAddress(address);
  return `connect ${host} ${port ?? DEFAULT_PORT}`;
}

/**
 * Whether only programs on this computer can use the address.
 * @param {string} address  `host:port`
 * @returns {boolean}
 */
export function isLoopback(address) {
  const { host } = splitAddress(address);
  return host.startsWith("127.") || host === "::1" || host === "localhost";
}
