/**
 * Notifications and the title's badge, for messages that arrive while the page is not visible.
 * The browser is asked only when the person presses the button.
 */

import { el } from "../../lib/dom.js";
import { line } from "../../lib/text.js";

const KEY = "klatch.notify";
const PREVIEW_CHARS = 140;

function wanted() {
  const possible = "Notification" in window && Notification.permission === "granted";
  return possible && localStorage.getItem(KEY) === "yes";
}

/**
 * @param {import("../../main.js").App} app
 * @returns {HTMLElement}
 */
export function notifyButton(app) {
  const button = el(
    "button",
    { class: "button quiet small notify", type: "button", on: { click: toggle } },
    "Notify me",
  );
  const show = () => button.setAttribute("aria-pressed", String(wanted()));

  async function toggle() {
    if (wanted()) {
      localStorage.setItem(KEY, "no");
    } else if (!("Notification" in window)) {
      app.alert({ code: "permission_denied", message: "this browser has no notifications" });
    } else if ((await Notification.requestPermission()) === "granted") {
      localStorage.setItem(KEY, "yes");
    } else {
      app.alert({
        code: "permission_denied",
        message: "the browser does not allow notifications here: allow them beside the address",
      });
    }
    show();
  }

  show();
  return button;
}

/**
 * @param {import("../../main.js").App} app
 */
export function watchUnread(app) {
  app.store.watch((state, before) => {
    const { count } = state.unread;
    document.title = count > 0 ? `(${count}) klatch` : "klatch";
    if (count <= before.unread.count || !document.hidden || !wanted()) return;
    const entry = state.entries.findLast(
      ({ own, kind, history }) => !own && !history && kind !== "line",
    );
    if (!entry?.from) return;
    const body = entry.kind === "offer" ? `offers ${entry.text}` : entry.text;
    const note = new Notification(line(entry.from.name), {
      body: line(body).slice(0, PREVIEW_CHARS),
      icon: "/icon.svg",
      tag: "klatch",
    });
    note.onclick = () => {
      window.focus();
      note.close();
    };
  });
}
