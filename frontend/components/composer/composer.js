/** Where one writes. Enter sends; Shift+Enter breaks the line; what could not be sent stays. */

import { el } from "../../lib/dom.js";
import { mark } from "../masthead/marks.js";

const MESSAGE_MAX_BYTES = 8 * 1024;
const TIGHT_BYTES = 7 * 1024;
const encoder = new TextEncoder();

/**
 * @param {import("../../main.js").App} app
 * @param {{chooseFiles: () => void, caughtUp: () => void}} needs
 */
export function createComposer(app, needs) {
  const box = el("textarea", {
    class: "composer-box",
    id: "message",
    rows: 1,
    placeholder: "Write to the room",
    autocomplete: "off",
    "aria-label": "Message",
    on: { input: fit, keydown },
  });
  const room = el("p", { class: "composer-room", role: "status", hidden: true });
  const send = el("button", { class: "button primary", type: "submit" }, "Send");
  const attach = el(
    "button",
    {
      class: "button quiet attach",
      type: "button",
      "aria-label": "Add files",
      on: { click: needs.chooseFiles },
    },
    mark("clip"),
  );
  const element = el(
    "form",
    { class: "composer", on: { submit } },
    room,
    el("div", { class: "composer-row" }, attach, box, send),
  );

  function keydown(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    element.requestSubmit();
  }

  function fit() {
    box.style.setProperty("height", "auto");
    box.style.setProperty("height", `${box.scrollHeight + 2}px`);
    const left = MESSAGE_MAX_BYTES - encoder.encode(box.value).length;
    room.hidden = left > MESSAGE_MAX_BYTES - TIGHT_BYTES;
    if (room.hidden) return;
    room.textContent =
      left < 0 ? `${-left} bytes too long: send it as a file` : `${left} bytes left`;
  }

  async function submit(event) {
    event.preventDefault();
    const text = box.value;
    if (!text.trim()) return;
    box.value = "";
    fit();
    try {
      await app.ask("say", { text });
      needs.caughtUp();
    } catch (failure) {
      if (!box.value) box.value = text;
      fit();
      app.alert(failure);
    }
  }

  return { element, focus: () => box.focus() };
}
