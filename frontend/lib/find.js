/**
 * Which member or file a typed name means. How its accents are encoded depends on the keyboard, so
 * names are compared in NFC.
 *
 * @typedef {import("./types.js").Member} Member
 * @typedef {import("./types.js").FileRow} FileRow
 */

import { line } from "./text.js";

/**
 * @param {Member[]} members
 * @param {string} nick  its key's first digits may follow: `ana·3f9c`
 * @returns {Member}
 */
export function findMember(members, nick) {
  const wanted = nick.normalize();
  const named = ({ id, name }) => {
    const own = name.normalize();
    // It may be shown with more of them: others were made to begin alike.
    const [bare] = own.split(/·[0-9a-f]+$/);
    const digits = wanted.startsWith(`${bare}·`) && wanted.slice(bare.length + 1);
    return wanted === own || (digits && id.startsWith(digits));
  };
  return only(
    members.filter(named),
    ["ambiguous_name", `several here are called ${line(nick)}: use the buttons in Members`],
    ["name_not_found", `nobody here is called ${line(nick)}`],
  );
}

/** At least this many digits of an id can stand for it. */
const ID = /^[0-9a-f]{8,64}$/i;

/**
 * @param {FileRow[]} rows
 * @param {Record<string, string>} labels  what the rows are called, by offer
 * @param {string} name  or the beginning of the id of a file or an offer
 * @returns {FileRow}
 */
export function findOffer(rows, labels, name) {
  const wanted = name.normalize();
  const named = ({ id, file }) =>
    [labels[id], file.name].some((known) => known.normalize() === wanted);
  // What was withdrawn and is not here takes no name from what stands.
  const standing = rows.filter(({ from, phase }) => from.length || phase !== "offered");
  const digits = ID.test(wanted) && wanted.toLowerCase();
  const meant = ({ id, file }) => [id, file.id].some((known) => known.startsWith(digits));
  const found = standing.filter(named);
  if (found.length === 0 && digits) found.push(...standing.filter(meant));
  return only(
    wanted ? found : [],
    ["ambiguous_name", `several files are called ${line(name)}: use the buttons in Files`],
    ["no_such_offer", "nobody here offers a file of that name: Files shows what there is"],
  );
}

function only(found, many, none) {
  if (found.length === 1) return found[0];
  const [code, message] = found.length > 1 ? many : none;
  throw Object.assign(new Error(message), { code });
}
