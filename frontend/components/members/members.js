/** The members, oneself first, and the actions on each. */

import { el } from "../../lib/dom.js";
import { fingerprint } from "../../lib/format.js";
import { standing } from "../../lib/rooms.js";
import { line, marked } from "../../lib/text.js";
import { cup, table, voice } from "../cup/cup.js";
import { notifyButton } from "../masthead/notify.js";
import { themeButton } from "../masthead/theme.js";

/** Loaded when one is asked for. */
const dialogs = () => import("../dialog/member-dialogs.js");

/**
 * @param {import("../../main.js").App} app
 * @returns {{element: HTMLElement, inviteSlot: HTMLElement}}
 */
export function createMembers(app) {
  const picture = el("div", { class: "members-table" });
  const list = el("ul", { class: "members-list" });
  const inviteSlot = el("div", { class: "members-invite" });
  const attempt = (act) => () => act().catch(app.alert);

  function actions(member, founder) {
    const button = (text, act, more = {}) =>
      el(
        "button",
        { class: "button quiet small", type: "button", on: { click: attempt(act) }, ...more },
        text,
      );
    const off = Boolean(member.ignored);
    return el(
      "div",
      { class: "member-actions", role: "group", "aria-label": line(marked(member)) },
      button("Verify", async () => (await dialogs()).verify(app, member)),
      button("Ignore", () => ignore(member, off), { "aria-pressed": String(off) }),
      button("Remove", async () => (await dialogs()).remove(app, member)),
      founder &&
        button(member.standing === "steward" ? "No steward" : "Make steward", async () =>
          (await dialogs()).steward(app, member),
        ),
    );
  }

  async function ignore(member, off) {
    await app.ask("ignore", { nick: member.name, off });
    await app.ask("members");
  }

  app.store.watch((state, before) => {
    const { self, members, standing: own } = state;
    const same = members === before.members && self === before.self && own === before.standing;
    if (!self || (same && list.hasChildNodes())) return;
    const founder = own === "founder";
    const me = { ...self, address: "", standing: own };
    list.replaceChildren(
      row(me, self),
      ...members.map((member) => row(member, self, actions(member, founder))),
    );
    picture.hidden = members.length === 0;
    picture.replaceChildren(table([self.id, ...members.map(({ id }) => id)]));
  });

  const element = el(
    "section",
    { class: "panel members", id: "members", "aria-label": "Members" },
    picture,
    list,
    inviteSlot,
    el("div", { class: "members-foot" }, notifyButton(app), themeButton()),
  );
  return { element, inviteSlot };
}

function row(member, self, actions) {
  const place = actions ? member.address || "no direct link" : "you";
  const what = [standing(member, self), member.ignored && "ignored"].filter(Boolean).join(", ");
  return el(
    "li",
    { class: `member ${voice(member.id)}` },
    cup(member.id),
    el(
      "div",
      { class: "member-facts" },
      el("p", { class: "member-name" }, el("bdi", {}, line(marked(member)))),
      el("p", { class: "member-place" }, place),
      what && el("p", { class: "member-place" }, line(what)),
      el(
        "p",
        { class: "member-key", title: `The key begins with ${fingerprint(member.id)}` },
        fingerprint(member.id),
      ),
      actions,
    ),
  );
}
