/** The bar above the room: which room, who is here, and whether klatch answers. */

import { onBack } from "../../lib/back.js";
import { el, setText } from "../../lib/dom.js";
import { people } from "../../lib/format.js";
import { lockMark } from "./marks.js";

const CONNECTION = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  away: "Reconnecting…",
  expired: "Address expired",
  refused: "Refused",
  ended: "klatch has ended",
};

/**
 * @param {import("../../main.js").App} app
 * @returns {HTMLElement} the status `Connection`
 */
export function connectionStatus(app) {
  const status = el("p", { class: "connection", role: "status", "aria-label": "Connection" });
  app.store.watch(({ connection }) => {
    status.dataset.status = connection;
    setText(status, CONNECTION[connection]);
  });
  return status;
}

/**
 * @param {import("../../main.js").App} app
 * @param {{name: string, panel: HTMLElement}[]} panels  what the toggles of narrow screens open
 * @param {HTMLElement} more  the menu
 */
export function createMasthead(app, panels, more) {
  const room = el("p", { class: "masthead-room" });
  const here = el("p", { class: "people", role: "status", "aria-label": "People" });
  const toggles = panels.map(({ name, panel }) => {
    const count = el("span", { class: "toggle-count", "aria-hidden": "true" });
    const button = el(
      "button",
      {
        class: "button small toggle",
        type: "button",
        "aria-expanded": "false",
        "aria-controls": panel.id,
        on: { click: () => open(button.getAttribute("aria-expanded") === "true" ? null : panel) },
      },
      name,
      count,
    );
    return { panel, button, count };
  });

  let forget = () => {};

  function open(wanted) {
    forget();
    // Where there is room for them the panels lie beside the log, and there is nothing to close.
    forget = wanted ? onBack(() => close(wanted)) : () => {};
    for (const { panel, button } of toggles) {
      panel.classList.toggle("open", panel === wanted);
      button.setAttribute("aria-expanded", String(panel === wanted));
    }
  }

  function close(wanted) {
    open(null);
    toggles.find(({ panel }) => panel === wanted).button.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    const opened = toggles.find(({ button }) => button.getAttribute("aria-expanded") === "true");
    if (opened) close(opened.panel);
  });

  app.store.watch((state, before) => {
    if (state.room !== before.room || !room.hasChildNodes()) {
      const locked = state.room?.locked ?? false;
      room.replaceChildren(lockMark(locked), locked ? "Closed room" : "Open room");
      room.classList.toggle("locked", locked);
    }
    setText(here, state.connection === "away" ? "" : people(state.members.length));
    const offers = Object.values(state.files).filter(({ from }) => from.length > 0).length;
    setText(toggles[0].count, String(state.members.length + 1));
    setText(toggles[1].count, offers ? String(offers) : "");
    if (state.room?.id !== before.room?.id) open(null);
  });

  return el(
    "header",
    { class: "masthead" },
    el("h1", { class: "masthead-name" }, "klatch"),
    el("div", { class: "masthead-facts" }, room, here),
    connectionStatus(app),
    el("div", { class: "toggles" }, ...toggles.map(({ button }) => button)),
    more,
  );
}
