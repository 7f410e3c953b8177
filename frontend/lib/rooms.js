/** Sentences about a room, as the terminal has them: whose it is, who may come in, who is out. */

import { marked } from "./text.js";

/**
 * @param {import("./types.js").State} state
 * @param {{members: any[], locked: boolean, founder: any}} notice
 * @returns {string}
 */
export function joinedLine({ self }, { members, locked, founder }) {
  const whose = !founder || founder.id === self?.id ? "your room" : `${marked(founder)}'s room`;
  const who = listed(members);
  const kind = locked ? "closed" : "open: anyone who can reach it can join";
  return `you are in ${whose}${who && ` with ${who}`} (${kind})`;
}

/**
 * @param {import("./types.js").State} state  before the notice
 * @param {{by: any, password: boolean, out: any[], me_out: boolean}} notice
 * @returns {string}
 */
export function lockedLine(state, { by, password, out, me_out: meOut }) {
  const who = actor(state, by);
  const changed = state.room?.locked ?? false;
  if (meOut) {
    const did = changed ? "changed the password of" : "closed";
    return `${who} ${did} the room, and you are no longer in it`;
  }
  const need = password ? "the password or an invitation" : "an invitation";
  const closed = `closed the room: those here stay; others need ${need}`;
  const own = by.id === state.self?.id;
  const before = own ? "" : ": the old one no longer works";
  const again = password
    ? `changed the password of the room${before}`
    : "removed the room's password: others need an invitation";
  const gone = out.length ? `; ${listed(out)} ${out.length === 1 ? "is" : "are"} out` : "";
  return `${who} ${changed ? again : closed}${gone}`;
}

/**
 * @param {import("./types.js").State} state
 * @param {{by: any}} notice
 * @returns {string}
 */
export function unlockedLine(state, { by }) {
  return `${actor(state, by)} opened the room: anyone who can reach it can join`;
}

/**
 * @param {import("./types.js").State} state
 * @param {{member: any, by: any, me_out: boolean, also: any[]}} notice
 * @returns {string}
 */
export function removedLine(state, { member, by, me_out: meOut, also }) {
  const who = actor(state, by);
  const name = marked(member);
  if (meOut && member.id !== state.self?.id) {
    return `${who} removed ${name}, through whom you came in: you are out of the room as well`;
  }
  if (meOut) return `${who} removed you from this room`;
  if (also.length === 0) return `${who} removed ${name}`;
  if (also.length === 1) {
    return `${who} removed ${name}, and ${listed(also)}, whom ${name} had let in`;
  }
  return `${who} removed ${name}, and whom ${name} had let in: ${listed(also)}`;
}

/**
 * @param {import("./types.js").State} state
 * @param {{member: any, off: boolean}} notice
 * @returns {string}
 */
export function stewardLine({ self }, { member, off }) {
  const who = member.id === self?.id ? "you are" : `${marked(member)} is`;
  return off
    ? `${who} no longer a steward`
    : `${who} a steward now, above everybody but the founder and earlier stewards`;
}

/**
 * What a member is in the room, or through whom it came in.
 * @param {import("./types.js").Member} member
 * @param {{id: string}|null} self
 * @returns {string}  empty where nobody knows
 */
export function standing({ standing: what, through }, self) {
  const by = through && `through ${through.id === self?.id ? "you" : marked(through)}`;
  if (what === "member") return by ?? "";
  if (what === "visitor") return by ? `visitor, ${by}` : "visitor";
  return what === "outside" ? "no longer a member" : (what ?? "");
}

/**
 * @param {{id: string, name: string}[]} members
 * @returns {string} `ana, ben and eve`
 */
export function listed(members) {
  const list = members.map(marked);
  return list.length < 3
    ? list.join(" and ")
    : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
}

/**
 * @param {import("./types.js").State} state
 * @param {{id: string, name: string}} by
 * @returns {string}
 */
export function actor({ self }, by) {
  return by.id === self?.id ? "you" : marked(by);
}
