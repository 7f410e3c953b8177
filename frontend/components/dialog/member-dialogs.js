/** What one can do about a member: compare words, remove, put above the others. */

import { el } from "../../lib/dom.js";
import { line, marked } from "../../lib/text.js";
import { openDialog } from "./dialog.js";

/**
 * Asks for words to compare; they come once the other side has sent its part.
 * @param {import("../../main.js").App} app
 * @param {import("../../lib/types.js").Member} member
 */
export async function verify(app, member) {
  await app.ask("verify", { nick: member.name });
  const { words } = app.store.state;
  if (words?.member.id === member.id) compare(app, words);
}

/**
 * @param {import("../../main.js").App} app
 * @param {{member: import("../../lib/types.js").Member, words: string}} words
 */
export function compare(app, { member, words }) {
  const name = line(marked(member));
  openDialog({
    name: "Verify",
    text:
      `Read these words to ${name} in person or by phone, and let ${name} read theirs. ` +
      "If they differ, somebody may sit between you: say nothing secret here.",
    fields: [el("p", { class: "dialog-words" }, line(words))],
    accept: "They are the same",
    onAccept: () => app.ask("verify", { nick: member.name, same: true }),
  });
}

/**
 * @param {import("../../main.js").App} app
 * @param {import("../../lib/types.js").Member} member
 */
export function remove(app, member) {
  const name = line(marked(member));
  const closed = app.store.state.room?.locked;
  openDialog({
    name: "Remove",
    text: closed
      ? `${name} is removed from the room, with everybody who came in through them and is ` +
        "not here now. The password stops working as well: you are asked for a new one."
      : `${name} is removed from the room. As long as it is open, ${name} can come back as ` +
        "somebody else: close it to keep others out.",
    accept: "Remove",
    onAccept: async () => {
      await app.ask("remove", { nick: member.name });
      const act = () => app.ask("remove", { nick: member.name, off: true });
      app.undo(`${name} is removed.`, act);
    },
  });
}

/**
 * @param {import("../../main.js").App} app
 * @param {import("../../lib/types.js").Member} member
 */
export function steward(app, member, off = member.standing === "steward") {
  const name = line(marked(member));
  openDialog({
    name: off ? "No steward" : "Make steward",
    text: off
      ? `${name} can no longer remove people whom others let in.`
      : `${name} can remove everybody but you and earlier stewards, even when you are away.`,
    accept: off ? "No steward" : "Make steward",
    onAccept: () => app.ask("steward", { nick: member.name, off }),
  });
}
