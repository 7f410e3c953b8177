/** Does what was written in the box `Message`; nothing that begins with a `/` reaches the room. */

import { splitAddress } from "../../lib/address.js";
import { el } from "../../lib/dom.js";
import { findMember, findOffer } from "../../lib/find.js";
import { COMMANDS, meant } from "../../lib/words.js";
import { openDialog } from "../dialog/dialog.js";

const DEFAULT_PORT = 51692;
const HELP_MS = 60_000;
const roomDialogs = () => import("../dialog/room-dialogs.js");
const memberDialogs = () => import("../dialog/member-dialogs.js");

/**
 * Ends when the line is taken, or stands in the box again: not before a question is answered.
 * @param {import("../../main.js").App} app
 * @param {string} text
 * @param {object} box
 * @param {(text: string) => Promise<void>} box.say
 * @param {() => void} box.putBack  the text stands in the box again
 * @param {() => void} box.chooseFiles
 */
export async function take(app, text, box) {
  const what = meant(text);
  if (what.kind === "error") throw what;
  if (what.kind === "do") return COMMAND[what.word](app, what.rest, box);
  if (what.kind === "say") return box.say(what.text);
  if (what.kind === "invitation") return offerToJoin(app, what.text, text, box);
  return asked(box, {
    name: "Send message",
    text:
      "This looks like /password, and may contain a password. Everybody in the room would read " +
      "it: send it as a message? (Lock room in the menu More sets a password.)",
    accept: "Send message",
    onAccept: () => box.say(text),
  });
}

/**
 * Asks about a line; it stands in the box again unless the answer is to go on, this way or the
 * other.
 */
function asked(box, form, other) {
  return new Promise((resolve, reject) => {
    let goesOn = false;
    const instead = () => {
      goesOn = true;
      dialog.close();
      other.act().then(resolve, reject);
    };
    const { dialog } = openDialog({
      ...form,
      extras: other && [
        el("button", { class: "button aside", type: "button", on: { click: instead } }, other.name),
      ],
      onDismiss: () => {
        if (goesOn) return;
        box.putBack();
        resolve();
      },
      onAccept: () => form.onAccept().then(resolve),
    });
  });
}

function offerToJoin(app, invitation, text, box) {
  const form = {
    name: "Join room",
    text: "This is an invitation: anyone who reads it can join that room. Join it yourself?",
    accept: "Join room",
    onAccept: () => join(app, invitation),
  };
  return asked(box, form, { name: "Send message", act: () => box.say(text) });
}

const misused = (form) =>
  Object.assign(new Error(`this is used as: ${form} (to say it: /say /…)`), { code: "usage" });

/** A command that takes nothing behind its word. */
const alone = (form, act) => (app, rest, box) => {
  if (rest) throw misused(form);
  return act(app, box);
};

/** A command about a member, whose name may be followed by one word more. */
const about = (form, more, act, undo) => async (app, rest) => {
  const words = rest.split(/\s+/);
  const again = words.length > 1 && words.at(-1) === more;
  const nick = unquoted(again ? words.slice(0, -1).join(" ") : rest);
  if (!nick) throw misused(form);
  return again ? undo(app, nick) : act(app, member(app, nick));
};

/** @type {Record<string, (app: any, rest: string, box: any) => any>} */
const COMMAND = {
  // A password behind it would have stood on the screen: it is asked for.
  lock: async (app) => (await roomDialogs()).lockRoom(app),
  unlock: alone("/unlock", async (app) => (await roomDialogs()).unlockRoom(app)),
  invite: alone("/invite", async (app) =>
    (await import("../dialog/invite-dialogs.js")).invite(app),
  ),
  join: (app, rest) => join(app, rest),
  leave: alone("/leave", (app) => app.leave()),
  quit: alone("/quit", (app) => app.quit()),
  name: async (app, rest) =>
    rest ? app.ask("name", { name: unquoted(rest) }) : (await roomDialogs()).changeName(app),
  members: alone("/members", () => show("members")),
  files: () => show("files"),
  send: alone("/send", (app, box) => box.chooseFiles()),
  download: (app, rest) => app.fileAction("Download", offer(app, rest)),
  cancel: (app, rest) => {
    const id = offer(app, rest);
    return app.fileAction(app.store.state.files[id].own ? "Withdraw" : "Cancel", id);
  },
  verify: about(
    "/verify <nick>",
    "same",
    async (app, who) => (await memberDialogs()).verify(app, who),
    (app, nick) => app.ask("verify", { nick, same: true }),
  ),
  ignore: about(
    "/ignore <nick> [off]",
    "off",
    (app, who) => app.ask("ignore", { nick: who.name }).then(() => app.ask("members")),
    (app, nick) => app.ask("ignore", { nick, off: true }).then(() => app.ask("members")),
  ),
  remove: about(
    "/remove <nick> [off]",
    "off",
    async (app, who) => (await memberDialogs()).remove(app, who),
    (app, nick) => app.ask("remove", { nick, off: true }),
  ),
  steward: about(
    "/steward <nick> [off]",
    "off",
    async (app, who) => (await memberDialogs()).steward(app, who, false),
    (app, nick) => app.ask("steward", { nick, off: true }),
  ),
  say: (app, rest, box) => {
    if (!unquoted(rest)) throw misused("/say <text>");
    return box.say(unquoted(rest));
  },
  help: (app) => {
    const words = Object.keys(COMMANDS).map((word) => `/${word}`);
    const text = `In this box: ${words.join(", ")}. Anything else is a message.`;
    app.note({ text, label: "Close", act: () => {}, ms: HELP_MS, slot: "help" });
  },
};

async function join(app, text) {
  const words = text.split(/\s+/);
  const closed = words.length > 1 && words.at(-1) === "locked";
  const { host, port } = splitAddress(closed ? words.slice(0, -1).join(" ") : text);
  if (!host) throw misused("/join <invitation or address>");
  const place = { address: host, port: Number(port ?? DEFAULT_PORT) };
  const enter = async (more, how) => {
    await app.ask("connect", { ...place, ...more }, how);
    // An invitation is a secret: it is not kept.
    if (!/^klatch:/i.test(host)) app.store.dispatch({ event: "page_connected", ...place });
  };
  try {
    if (!closed) return await enter({});
  } catch (failure) {
    if (!["room_locked", "password_required"].includes(failure.code)) throw failure;
  }
  const { askPassword } = await roomDialogs();
  const asking = new AbortController();
  askPassword(
    `${place.address} ${place.port}`,
    (password) => enter({ locked: true, password }, { signal: asking.signal }),
    () => asking.abort(),
  );
}

const member = ({ store }, nick) => findMember(store.state.members, nick);

/** The id of the offer that a name means. */
function offer({ store, fileLabels }, rest) {
  return findOffer(Object.values(store.state.files), fileLabels(), unquoted(rest)).id;
}

function show(id) {
  const toggle = document.querySelector(`[aria-controls="${id}"]`);
  const shut = toggle?.getAttribute("aria-expanded") === "false";
  if (shut && toggle.offsetParent) toggle.click();
  const region = document.getElementById(id);
  region.tabIndex = -1;
  region.focus();
}

const unquoted = (text) => /^(["'])(.*)\1$/s.exec(text.trim())?.[2] ?? text.trim();
