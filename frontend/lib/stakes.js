/** What would be cut off or lost if the stay in a room ended now. */

import { plural } from "./format.js";
import { listed } from "./rooms.js";
import { line } from "./text.js";

/** Names that are worth saying; more people are counted. */
const NAMED_MAX = 4;

/**
 * @param {import("./types.js").State} state
 * @returns {string[]} sentences; none where there is neither company nor content nor a transfer
 */
export function stakes({ members, entries, files, served, shares, room, standing }) {
  const rows = Object.values(files);
  const outside = standing === "outside";
  const alone = !members.length && !outside;
  const content = entries.some(({ kind }) => kind !== "line");
  const offers = rows.filter(({ own, phase }) => own && phase === "held").length;
  const fetching = rows.filter(({ phase }) => phase === "fetching").length;
  const takers = new Set(served.filter(({ moving }) => moving).map(({ to }) => to?.id)).size;
  return [
    outside
      ? "You are out of this room already: nobody in it hears you."
      : !alone && `${company(members)} stay${members.length === 1 ? "s" : ""} in the room.`,
    content &&
      (alone
        ? "Nobody else is here: what was said and offered will be gone."
        : "What was said stays in the room, and is gone from this computer."),
    alone && room?.locked && "Its password and invitations will no longer work.",
    offers && `${plural(offers, "file")} can no longer be downloaded from you.`,
    fetching &&
      `${plural(fetching, "download")} of yours ${fetching === 1 ? "is" : "are"} not complete.`,
    takers &&
      `${plural(takers, "member")} ${takers === 1 ? "is" : "are"} still downloading from you.`,
    shares.length &&
      `${plural(shares.length, "file")} you share ${shares.length === 1 ? "is" : "are"} not ready.`,
  ].filter(Boolean);
}

function company(members) {
  return members.length > NAMED_MAX ? `${members.length} others` : line(listed(members));
}
