/** What went wrong in the room, and what there is to know. */

import { el } from "../../lib/dom.js";
import { atStart, connected } from "../../lib/state.js";

const AWAY =
  "klatch does not answer: it has ended, or hangs. When it runs again, this page is back " +
  "by itself.";
const OUTSIDE =
  "You are out of this room: nobody in it hears you, and nothing comes in. Leave room, in the " +
  "menu More, starts a new one.";

/**
 * Said as long as klatch does not answer, or the room is not one's own any more.
 * @param {import("../../main.js").App} app
 */
export function createBanner(app) {
  const element = el("p", { class: "banner", role: "alert", hidden: true });
  app.store.watch((state) => {
    const out = state.standing === "outside" && !atStart(state);
    const text = state.connection === "away" ? AWAY : out ? OUTSIDE : "";
    if (text === element.textContent) return;
    element.hidden = !text;
    element.textContent = text;
  });
  return element;
}

/**
 * @param {import("../../main.js").App} app
 */
export function createRoomAlert(app) {
  const text = el("div", { class: "alert", role: "alert" });
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
    const texts = alert?.texts ?? [];
    if (texts.length > 1) text.replaceChildren(listOf(texts, alert.more ?? 0));
    else text.textContent = alert?.text ?? "";
    if (alert) text.dataset.code = alert.code;
  });
  return element;
}

function listOf(texts, more) {
  const rows = texts.map((text) => el("li", {}, text));
  return el("ul", {}, ...rows, more > 0 && el("li", {}, `and ${more} more`));
}

/** So many notes of one's own doing at once; the oldest give way. */
const NOTES_MAX = 5;

/**
 * What is to be known and perhaps acted on, each for a while.
 * @param {import("../../main.js").App} app
 */
export function createNotes(app) {
  const element = el("div", { class: "notes", role: "status" });
  app.store.watch((state) => {
    for (const button of element.querySelectorAll("button")) button.disabled = !connected(state);
    // There is nobody left to compare words with.
    if (state.standing === "outside") element.querySelector('[data-slot="words"]')?.remove();
  });

  return {
    element,
    /**
     * @param {{text: string, label: string, act: () => any, ms: number, slot?: string}} note
     *   of those of one slot the latest stays: what others can cause takes no other's place
     */
    show({ text, label, act, ms, slot = "" }) {
      const done = () => {
        clearTimeout(timer);
        row.remove();
      };
      const choose = () => {
        done();
        Promise.resolve(act()).catch(app.alert);
      };
      const row = el(
        "div",
        { class: "room-alert", "data-slot": slot },
        el("p", { class: "note" }, text),
        el("button", { class: "button small", type: "button", on: { click: choose } }, label),
      );
      const timer = setTimeout(done, ms);
      const shown = [...element.children].filter(({ dataset }) => dataset.slot === slot);
      if (shown.length >= (slot ? 1 : NOTES_MAX)) shown[0].remove();
      element.append(row);
    },
  };
}
