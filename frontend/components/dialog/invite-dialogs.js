/** Inviting: what to pass on, until when it lets people in, and which invitations live. */

import { copyButton } from "../../lib/copy.js";
import { el } from "../../lib/dom.js";
import { moment, plural } from "../../lib/format.js";
import { line, marked } from "../../lib/text.js";
import { checkbox, field, openDialog } from "./dialog.js";

const LIFETIMES = [
  ["1", "An hour"],
  ["24", "A day"],
  ["168", "7 days"],
];

/**
 * @param {import("../../main.js").App} app
 */
export function invite(app) {
  const once = checkbox("Admits one person only");
  const lasts = lifetime();
  const made = el("div", { class: "invite", hidden: true });
  const live = el("div", { class: "invite" });
  const endAll = el(
    "button",
    { class: "button small", type: "button", on: { click: end } },
    "End my invitations",
  );
  const closes = el("p", { class: "dialog-text" });
  const { dialog, fail } = openDialog({
    name: "Invite",
    fields: [closes, once.element, lasts.element, made, live],
    accept: "Make invitation",
    dismiss: "Close",
    stays: true,
    onAccept: async () => {
      await app.ask("invite", { once: once.input.checked, hours: Number(lasts.input.value) });
      show();
    },
  });

  function show() {
    const { invitation } = app.store.state;
    made.hidden = !invitation;
    if (invitation) made.replaceChildren(...passOn(invitation));
    showLive();
  }

  function showLive() {
    const { invitations, room } = app.store.state;
    closes.textContent = room?.locked
      ? "Anyone with an invitation can join, without a password."
      : "This closes the room: only members and people with an invitation can join then.";
    const now = Date.now();
    const rows = invitations.filter(({ expires }) => Date.parse(expires) > now);
    const parts = [];
    if (rows.length > 0) {
      const list = rows.map((row) => liveRow(row, now));
      parts.push(el("p", { class: "invite-lead" }, "These can be used now:"));
      parts.push(el("ul", { class: "dialog-list" }, ...list));
    }
    if (rows.some(({ own }) => own)) parts.push(endAll);
    live.replaceChildren(...parts);
  }

  async function end() {
    try {
      await app.ask("invite_off");
      made.hidden = true;
      app.store.dispatch({ event: "page_invitations_ended" });
      showLive();
    } catch (failure) {
      fail(failure);
    }
  }

  showLive();
  return dialog;
}

/** The line that guests type, to be copied whole. */
function passOn({ line: typed, text, expires, once }) {
  const until = moment(Date.parse(expires), Date.now());
  const shown = el("code", { class: "invite-line" }, typed);
  const lead = once
    ? `Send this to the person you invite. It admits one person, until ${until}.`
    : `Send this to the people you invite. Anyone who has it can join until ${until}.`;
  return [
    el("p", { class: "invite-lead", role: "status" }, lead),
    shown,
    copyButton("Copy invitation", shown, () => text),
  ];
}

function liveRow({ maker, own, expires, left }, now) {
  const whose = own ? "yours" : `by ${line(marked(maker))}`;
  const who = left === null ? "any number of people" : plural(left, "person", "people");
  return el("li", {}, `${whose}, until ${moment(Date.parse(expires), now)}, ${who}`);
}

function lifetime() {
  const { element, input } = field("It lasts", {});
  const select = el(
    "select",
    { class: "input", id: input.id },
    ...LIFETIMES.map(([value, text]) => el("option", { value, selected: value === "24" }, text)),
  );
  input.replaceWith(select);
  return { element, input: select };
}
