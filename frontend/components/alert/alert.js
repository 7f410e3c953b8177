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
