/** The text box. Enter sends; Shift+Enter breaks the line; text that could not be sent stays. */

import { el } from "../../lib/dom.js";
import { keepDraft, recallDraft } from "../../lib/keep.js";
import { connected } from "../../lib/state.js";
import { mark } from "../masthead/marks.js";

const MESSAGE_MAX_BYTES = 8 * 1024;
const TIGHT_BYTES = 7 * 1024;
const encoder = new TextEncoder();

/** What `commands.js` has to look at. */
const MAY_BE_MORE = /^\s*\/|klatch:|^\s*\S{6,10}(\s|$)/i;

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
    on: { input: changed, keydown },
  });
  // The same text stands behind the box and gives both their height: the log never moves.
  const grown = el("div", { class: "composer-grown" }, box);
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
    el("div", { class: "composer-row" }, attach, grown, send),
  );

  function keydown(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    element.requestSubmit();
  }

  /** Lines that left the box and are not taken yet: after a reload they are back in it. */
  let given = [];

  function changed() {
    fit();
    const { room: where } = app.store.state;
    const draft = [...given.map(({ text }) => text), box.value].filter(Boolean).join("\n");
    if (where) keepDraft(sessionStorage, where.id, draft);
  }

  function set(text) {
    box.value = text;
    changed();
  }

  function fit() {
    grown.dataset.text = box.value;
    const left = MESSAGE_MAX_BYTES - encoder.encode(box.value).length;
    room.hidden = left > MESSAGE_MAX_BYTES - TIGHT_BYTES;
    if (room.hidden) return;
    room.textContent =
      left < 0 ? `${-left} bytes too long: send it as a file` : `${left} bytes left`;
  }

  async function submit(event) {
    event.preventDefault();
    const text = box.value;
    // Until klatch is back the draft stays where it is.
    if (!text.trim() || send.disabled) return;
    const line = { text };
    const settle = () => {
      const open = given.includes(line);
      given = given.filter((one) => one !== line);
      return open;
    };
    // More may have been typed meanwhile.
    const putBack = () => settle() && set(box.value ? `${text}\n${box.value}` : text);
    try {
      const commands = MAY_BE_MORE.test(text) && (await import("./commands.js"));
      if (!box.value.startsWith(text)) return;
      given.push(line);
      set(box.value.slice(text.length));
      if (!commands) return await say(text);
      await commands.take(app, text, { say, putBack, chooseFiles: needs.chooseFiles });
    } catch (failure) {
      putBack();
      app.alert(failure);
    } finally {
      if (settle()) changed();
    }
  }

  async function say(text) {
    await app.ask("say", { text });
    needs.caughtUp();
  }

  app.store.watch((state, before) => {
    if (state.room && state.room.id !== before.room?.id && !box.value) {
      box.value = recallDraft(sessionStorage, state.room.id);
      fit();
    }
    if (state.connection === before.connection) return;
    send.disabled = !connected(state);
    attach.disabled = !connected(state);
  });

  return { element, focus: () => box.focus() };
}
