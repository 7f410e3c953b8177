/** The dialogs of the contract: entering a locked room, locking one; and those of our own. */

import { el } from "../../lib/dom.js";
import { line } from "../../lib/text.js";
import { plural } from "../../lib/format.js";
import { field, openDialog } from "./dialog.js";

/**
 * Asks for the password of the room at an address until it opens or the person gives up.
 * @param {string} place  `host port`, as it was typed
 * @param {(password: string) => Promise<void>} enter
 */
export function askPassword(place, enter) {
  const password = field("Room password", {
    type: "password",
    autocomplete: "off",
    required: true,
  });
  openDialog({
    name: "Room is locked",
    text: `The room at ${line(place)} opens with its password. Ask whoever is inside.`,
    fields: [password.element],
    accept: "Enter room",
    onAccept: () => enter(password.input.value),
  });
}

/**
 * @param {import("../../main.js").App} app
 */
export function lockRoom(app) {
  const locked = app.store.state.room?.locked;
  const password = field(
    "New password",
    { type: "text", autocomplete: "off", autocapitalize: "none", minLength: 8 },
    "8 characters or more. Tell it to your guests yourself; klatch does not show it again.",
  );
  const suggest = el(
    "button",
    { class: "button aside", type: "button", on: { click: fill } },
    "Suggest password",
  );
  const { fail } = openDialog({
    name: "Lock room",
    text: locked
      ? "From now on newcomers need the new password. Who is here stays."
      : "Newcomers will need a password. Who is here stays.",
    fields: [password.element],
    extras: [suggest],
    accept: "Set password",
    onAccept: async () => {
      await app.ask("password", { password: password.input.value });
    },
  });

  async function fill() {
    try {
      const answers = await app.ask("suggest_password");
      const found = answers.find(({ event }) => event === "suggested_password");
      password.input.value = found?.password ?? "";
      password.input.select();
    } catch (failure) {
      fail(failure);
    }
  }
}

/**
 * @param {import("../../main.js").App} app
 */
export function changeName(app) {
  const name = field("Your name", {
    value: app.store.state.self?.name ?? "",
    maxLength: 32,
    autocomplete: "nickname",
  });
  openDialog({
    name: "Change name",
    text: "Everybody here sees the new one.",
    fields: [name.element],
    accept: "Use name",
    onAccept: async () => {
      await app.ask("name", { name: name.input.value });
    },
  });
}

/**
 * Goes on at once where nothing is moving; otherwise says what would be cut off.
 * @param {import("../../main.js").App} app
 * @param {string} name
 * @param {string} accept
 * @param {() => Promise<any>} goOn
 */
export function confirmEnd(app, name, accept, goOn) {
  const { files, served, shares } = app.store.state;
  const fetching = Object.values(files).filter(({ phase }) => phase === "fetching").length;
  const takers = new Set(served.filter(({ moving }) => moving).map(({ to }) => to?.id)).size;
  const losses = [
    fetching &&
      `${plural(fetching, "download")} of yours ${fetching === 1 ? "is" : "are"} not complete`,
    takers &&
      `${plural(takers, "member")} ${takers === 1 ? "is" : "are"} still fetching files from you`,
    shares.length &&
      `${plural(shares.length, "file")} you share ${shares.length === 1 ? "is" : "are"} not ready`,
  ].filter(Boolean);
  if (losses.length === 0) {
    goOn().catch(app.alert);
    return;
  }
  openDialog({ name, text: `${losses.join("; ")}.`, accept, dismiss: "Stay", onAccept: goOn });
}
