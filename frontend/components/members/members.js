/** Who is at the table, oneself first; and what one can do with the room. */

import { el, setText } from "../../lib/dom.js";
import { fingerprint } from "../../lib/format.js";
import { line, marked } from "../../lib/text.js";
import { cup, table, voice } from "../cup/cup.js";
import { lockMark } from "../masthead/marks.js";
import { notifyButton } from "../masthead/notify.js";
import { themeButton } from "../masthead/theme.js";

/** Loaded when one is asked for. */
const dialogs = () => import("../dialog/room-dialogs.js");

/**
 * @param {import("../../main.js").App} app
 * @returns {{element: HTMLElement, inviteSlot: HTMLElement}}
 */
export function createMembers(app) {
  const picture = el("div", { class: "members-table" });
  const list = el("ul", { class: "members-list" });
  const inviteSlot = el("div", { class: "members-invite" });
  const button = (text, click, extra = "") =>
    el("button", { class: `button small ${extra}`, type: "button", on: { click } }, text);
  const lock = button("Lock room", toggleLock);
  const open = (ask) => () => dialogs().then(ask).catch(app.alert);
  const lockRoom = open((found) => found.lockRoom(app));
  const change = button("Change password", lockRoom);
  const rename = button(
    "Change name",
    open((found) => found.changeName(app)),
    "quiet",
  );
  const leave = button(
    "Leave room",
    open((found) => found.confirmEnd(app, "Leave now?", "Leave anyway", () => app.ask("leave"))),
  );

  function toggleLock() {
    if (app.store.state.room?.locked) app.ask("unlock").catch(app.alert);
    else lockRoom();
  }

  app.store.watch((state, before) => {
    const same = state.members === before.members && state.self === before.self;
    if (state.self && (!same || !list.hasChildNodes())) {
      const self = { ...state.self, address: "" };
      list.replaceChildren(row(self, rename), ...state.members.map((member) => row(member)));
      picture.hidden = state.members.length === 0;
      picture.replaceChildren(table([self.id, ...state.members.map(({ id }) => id)]));
    }
    const locked = state.room?.locked ?? false;
    change.hidden = !locked;
    if (lock.dataset.locked === String(locked)) return;
    lock.dataset.locked = String(locked);
    lock.replaceChildren(lockMark(!locked), locked ? "Unlock room" : "Lock room");
  });

  const element = el(
    "section",
    { class: "panel members", id: "members", "aria-label": "Members" },
    picture,
    list,
    inviteSlot,
    el("div", { class: "members-room" }, lock, change, leave),
    el(
      "div",
      { class: "members-foot" },
      notifyButton(app),
      themeButton(),
      button("Quit klatch", app.quit, "quiet"),
    ),
  );
  return { element, inviteSlot };
}

function row(member, action) {
  const own = action !== undefined;
  const place = own ? "you" : member.address || "reached through others";
  return el(
    "li",
    { class: `member ${voice(member.id)}` },
    cup(member.id),
    el(
      "div",
      { class: "member-facts" },
      el(
        "div",
        { class: "member-head" },
        el("p", { class: "member-name" }, el("bdi", {}, line(marked(member)))),
        action,
      ),
      el("p", { class: "member-place" }, place),
      el(
        "p",
        { class: "member-key", title: `The key begins with ${fingerprint(member.id)}` },
        fingerprint(member.id),
      ),
    ),
  );
}
