/** Where this page ends: it needs a fresh address, or klatch has ended. */

import { el } from "../../lib/dom.js";

/**
 * @param {import("../../main.js").App} app
 */
export function createFarewell(app) {
  const title = el("h1", { class: "log-empty-title" });
  const text = el("p", { class: "farewell-text", role: "status" });
  const element = el("main", { class: "farewell" }, title, text);
  app.store.watch(({ connection, alert }, before) => {
    if (connection === before.connection && title.textContent) return;
    if (connection === "expired") {
      title.textContent = "A fresh address, please.";
      text.replaceChildren(
        "Type ",
        el("code", {}, "browser"),
        " in klatch's terminal for a new address.",
      );
    } else if (connection === "refused") {
      title.textContent = "klatch does not take this page.";
      text.textContent = alert?.text ?? "Close other pages of klatch, and load this one again.";
    } else if (connection === "ended") {
      title.textContent = "klatch has ended.";
      text.textContent = "What was saved stays where it is. Start klatch again to open a new room.";
    }
  });
  return element;
}
