/** The dialogs of the contract: entering a locked room, locking one; and those of our own. */

import { el } from "../../lib/dom.js";
import { line } from "../../lib/text.js";
import { stakes } from "../../lib/stakes.js";
import { checkbox, field, openDialog } from "./dialog.js";

/**
 * Asks for the password of the room at an address until it opens or the person gives up.
 * @param {string} place  `host port`, as it was typed
 * @param {(password: string) => Promise<void>} enter
 * @param {() => void} giveUp
 */
export function askPassword(place, enter, giveUp) {
  const password = field("Room password", {
    type: "password",
    autocomplete: "off",
    required: true,
  });
  openDialog({
    name: "Room is locked",
    text: `The room at ${line(place)} is closed: its password opens it. Ask whoever is inside.`,
    fields: [password.element],
    at: password,
    accept: "Enter room",
    onDismiss: giveUp,
    onAccept: () => enter(password.input.value),
  });
}

/**
 * Closes the room, or changes its password.
 * @param {import("../../main.js").App} app
 */
export function lockRoom(app) {
  const locked = app.store.state.room?.locked;
  newPassword(app, {
    text: locked
      ? "From now on newcomers need the new password or an invitation. Those here stay."
      : "Newcomers will need the password or an invitation. Those here stay.",
    onAccept: async (password) => {
      await app.ask("password", { password });
      const closed = app.store.state.room?.locked;
      if (closed && !locked) app.undo("The room is closed now.", () => app.ask("unlock"));
    },
  });
}

/**
 * Answers a command that asks for a new password in the middle of what it does.
 * @param {import("../../main.js").App} app
 * @param {{line: number}} question
 */
export function answerPassword(app, { line: of }) {
  newPassword(app, {
    text: "The old password no longer works. Set a new one for newcomers.",
    onAccept: (password) => app.ask("give_password", { of, password }),
    onDismiss: () => app.ask("give_password", { of, cancel: true }).catch(app.alert),
  });
}

/**
 * Answers a command that asks a question of yes or no.
 * @param {import("../../main.js").App} app
 * @param {{line: number, question: string}} question
 */
export function answerQuestion(app, { line: of, question }) {
  openDialog({
    name: "Confirm",
    text: line(question),
    accept: "Yes",
    dismiss: "No",
    onAccept: () => app.ask("confirm", { of, yes: true }),
    // Escape is no answer: the whole command ends.
    onDismiss: (byButton) =>
      app.ask("confirm", { of, yes: false, cancel: !byButton }).catch(app.alert),
  });
}

/**
 * @param {import("../../main.js").App} app
 */
export function unlockRoom(app) {
  openDialog({
    name: "Unlock room",
    text: "Anyone who can reach it can then join, without password or invitation.",
    accept: "Unlock room",
    onAccept: () => app.ask("unlock"),
  });
}

function newPassword(app, { text, onAccept, onDismiss }) {
  const password = field(
    "New password",
    { type: "text", autocomplete: "off", autocapitalize: "none", minLength: 8 },
    "8 characters or more. Tell it to your guests yourself; klatch does not show it again.",
  );
  const none = checkbox("No password: only people with an invitation", {
    on: { change: () => (password.input.disabled = none.input.checked) },
  });
  const suggest = el(
    "button",
    { class: "button aside", type: "button", on: { click: fill } },
    "Suggest password",
  );
  const { fail } = openDialog({
    name: "Lock room",
    text,
    fields: [password.element, none.element],
    at: password,
    extras: [suggest],
    accept: "Set password",
    onAccept: () => onAccept(none.input.checked ? null : password.input.value),
    onDismiss,
  });

  async function fill() {
    try {
      const answers = await app.ask("suggest_password");
      const found = answers.find(({ event }) => event === "suggested_password");
      none.input.checked = false;
      password.input.disabled = false;
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
    at: name,
    accept: "Use name",
    onAccept: async () => {
      await app.ask("name", { name: name.input.value });
    },
  });
}

/**
 * Ends the stay in a room: at once where there is nothing to lose, otherwise after a question.
 * @param {import("../../main.js").App} app
 * @param {"Leave room"|"Quit klatch"} name
 * @param {() => Promise<any>} act
 */
export async function confirmEnd(app, name, act) {
  const losses = stakes(app.store.state);
  if (losses.length === 0) return act();
  openDialog({ name, text: losses.join(" "), accept: name, onAccept: act });
}
