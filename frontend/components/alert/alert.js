/** What went wrong in the room, until it is put away. */

import { el } from "../../lib/dom.js";

/**
 * @param {import("../../main.js").App} app
 */
export function createRoomAlert(app) {
  const text = el("p", { class: "alert", role: "alert" });
  const element = el(
    "div",
    { class: "room-alert", hidden: true },
    text,
    el(
      "button",
      {
        class: "button quiet small",
        type: "button",
        on: { click: () => app.store.dispatch({ event: "page_alert_closed" }) },
      },
      "Dismiss",
    ),
  );
  app.store.watch(({ alert }, before) => {
    if (alert === before.alert) return;
    element.hidden = alert === null;
    text.textContent = alert?.text ?? "";
    if (alert) text.dataset.code = alert.code;
  });
  return element;
}

/**
 * Something to know and perhaps to act on, for a while; a later one takes its place.
 * @param {import("../../main.js").App} app
 */
export function createNote(app) {
  const text = el("p", { class: "note", role: "status" });
  const button = el("button", { class: "button small", type: "button", on: { click: act } });
  const element = el("div", { class: "room-alert", hidden: true }, text, button);
  let current = null;
  let timer = 0;

  function hide() {
    clearTimeout(timer);
    element.hidden = true;
    current = null;
  }

  function act() {
    const { act: what } = current ?? {};
    hide();
    Promise.resolve(what?.()).catch(app.alert);
  }

  return {
    element,
    /** @param {{text: string, label: string, act: () => any, ms: number}} note */
    show(note) {
      hide();
      current = note;
      element.hidden = false;
      text.textContent = note.text;
      button.textContent = note.label;
      timer = setTimeout(hide, note.ms);
    },
  };
}
