/** The menu `More`: actions on the room. */

import { el } from "../../lib/dom.js";
import { connected } from "../../lib/state.js";
import { lockMark } from "../masthead/marks.js";

/** Loaded when one is asked for. */
const dialogs = () => import("../dialog/room-dialogs.js");
const invitations = () => import("../dialog/invite-dialogs.js");

/**
 * @param {import("../../main.js").App} app
 * @returns {HTMLElement}
 */
export function createMore(app) {
  const item = (text, act, extra = "") =>
    el(
      "button",
      { class: `button ${extra}`, type: "button", on: { click: () => choose(act) } },
      text,
    );
  const invite = item("Invite", async () => (await invitations()).invite(app));
  const lock = item("Lock room", async () => {
    const { lockRoom, unlockRoom } = await dialogs();
    (app.store.state.room?.locked ? unlockRoom : lockRoom)(app);
  });
  const change = item("Change password", async () => (await dialogs()).lockRoom(app));
  const rename = item("Change name", async () => (await dialogs()).changeName(app));
  const leave = item("Leave room", app.leave, "more-ends");
  const quit = item("Quit klatch", app.quit);
  const menu = el(
    "div",
    { class: "more-menu", id: "more-menu", hidden: true },
    invite,
    lock,
    change,
    rename,
    leave,
    quit,
  );
  const button = el(
    "button",
    {
      class: "button small toggle",
      type: "button",
      "aria-expanded": "false",
      "aria-controls": menu.id,
      on: { click: () => show(menu.hidden) },
    },
    "More",
  );
  const element = el("div", { class: "more", on: { focusout: left } }, button, menu);

  function show(open) {
    menu.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  }

  /** What opens a dialog gets the focus back through the menu's button, which stays in sight. */
  async function choose(act) {
    button.focus();
    show(false);
    try {
      await act();
    } catch (failure) {
      app.alert(failure);
    }
  }

  function left({ relatedTarget }) {
    if (relatedTarget && !element.contains(relatedTarget)) show(false);
  }

  document.addEventListener("pointerdown", ({ target }) => {
    if (!menu.hidden && !element.contains(target)) show(false);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.hidden) return;
    event.stopPropagation();
    show(false);
    button.focus();
  });
  app.store.watch((state, before) => {
    const { room } = state;
    if (state.connection !== before.connection) {
      button.disabled = !connected(state);
      if (button.disabled) show(false);
    }
    if (room === before.room && lock.dataset.locked) return;
    const locked = room?.locked ?? false;
    change.hidden = !locked;
    lock.dataset.locked = String(locked);
    lock.replaceChildren(lockMark(!locked), locked ? "Unlock room" : "Lock room");
    if (room?.id !== before.room?.id) show(false);
  });
  return element;
}
