/** The start: who you are, and which of the two ways into a room you take. */

import { el, svg } from "../../lib/dom.js";
import { invitation, splitAddress } from "../../lib/address.js";
import { atStart, connected } from "../../lib/state.js";
import { line } from "../../lib/text.js";
import { field, showFailure } from "../dialog/dialog.js";
import { table } from "../cup/cup.js";
import { themeButton } from "../masthead/theme.js";

const DEFAULT_PORT = "51692";
/** Failures that are about the password, whatever was tried with it. */
const ABOUT_PASSWORDS = [
  "password_too_short",
  "wrong_password",
  "room_not_locked",
  "room_locked",
  "password_required",
];

/**
 * @param {import("../../main.js").App} app
 * @param {HTMLElement} connection  the status of that name
 */
export function createStart(app, connection) {
  const name = field("Your name", { maxLength: 32, autocomplete: "nickname" });
  const password = field(
    "Room password",
    { type: "password", autocomplete: "off", placeholder: "optional" },
    "Given here, it closes the room you create, or opens the one you join.",
  );
  const address = field("Address", {
    autocomplete: "off",
    autocapitalize: "none",
    placeholder: "192.168.1.5",
    on: { paste: () => setTimeout(spread), change: spread },
  });
  const port = field("Port", { value: DEFAULT_PORT, inputMode: "numeric", maxLength: 5 });
  const alert = el("p", { class: "alert", role: "alert" });
  const said = el("p", { class: "start-said", role: "status" });
  const cancel = el(
    "button",
    { class: "button", type: "button", hidden: true, on: { click: () => under?.abort() } },
    "Cancel",
  );
  /** Ends the joining that is under way. @type {AbortController|null} */
  let under = null;
  const create = el(
    "button",
    { class: "button primary", type: "button", on: { click: () => attempt(createRoom) } },
    "Create room",
  );
  const join = el("button", { class: "button primary", type: "submit" }, "Join room");
  const rejoin = el(
    "button",
    { class: "button", type: "button", on: { click: () => attempt(comeBack) } },
    "Rejoin",
  );
  const quit = el(
    "button",
    { class: "button quiet small", type: "button", on: { click: app.quit } },
    "Quit klatch",
  );
  const restarted = el("div", { class: "start-restarted", hidden: true });
  const picture = el("div", { class: "start-table" });

  const form = el(
    "form",
    {
      class: "start-form",
      noValidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          attempt(joinRoom);
        },
      },
    },
    el("div", { class: "start-you" }, name.element, password.element),
    alert,
    el(
      "section",
      { class: "start-way", "aria-label": "Join" },
      el("h2", { class: "heading" }, "Join a room"),
      el(
        "p",
        { class: "start-text" },
        "Paste the invitation or the address that you were given; a line like ",
        el("code", {}, "connect 192.168.1.5 51692"),
        " can be pasted whole.",
      ),
      el("div", { class: "start-address" }, address.element, port.element),
      el("div", { class: "start-go" }, join, cancel, said),
    ),
    el(
      "section",
      { class: "start-way", "aria-label": "Create" },
      el("h2", { class: "heading" }, "Or set a table of your own"),
      el("p", { class: "start-text" }, "You get the line to send to your guests."),
      create,
    ),
  );
  const element = el(
    "main",
    { class: "start" },
    stain(),
    el(
      "header",
      { class: "start-head" },
      picture,
      el("h1", { class: "wordmark" }, "klatch"),
      el("p", { class: "start-motto" }, "A room without a server: yours, and whoever you let in."),
    ),
    restarted,
    form,
    el(
      "footer",
      { class: "start-foot" },
      connection,
      themeButton(),
      quit,
    ),
  );

  /** A pasted connect line fills both fields. */
  function spread() {
    const given = splitAddress(address.input.value);
    address.input.value = given.host;
    if (given.port) port.input.value = given.port;
  }

  async function attempt(way) {
    alert.textContent = "";
    for (const one of [name, password, address, port]) one.clear();
    under = new AbortController();
    busy(true);
    try {
      await way(under.signal);
    } catch (failure) {
      if (failure.code !== "cancelled") fail(failure);
    } finally {
      said.textContent = "";
      under = null;
      busy(false);
    }
  }

  function busy(now) {
    for (const button of [create, join, rejoin]) {
      button.disabled = now || !connected(app.store.state);
    }
    form.setAttribute("aria-busy", String(now));
  }

  /** Errors are shown at the field that can fix them. */
  function fail(failure) {
    const at = failure.at ?? (ABOUT_PASSWORDS.includes(failure.code) ? password : null);
    if (at) at.fail(failure);
    else showFailure(alert, failure);
  }

  /** Does something whose failures all concern one field. */
  async function about(at, act) {
    try {
      await act();
    } catch (failure) {
      if (!failure.lost && !ABOUT_PASSWORDS.includes(failure.code)) failure.at = at;
      throw failure;
    }
  }

  async function useName() {
    const wanted = name.input.value.trim();
    if (wanted === app.store.state.self?.name) return;
    await about(name, () => app.ask("name", { name: wanted }));
  }

  async function createRoom() {
    await useName();
    const secret = password.input.value;
    if (secret) await app.ask("password", { password: secret });
    password.input.value = "";
    app.store.dispatch({ event: "page_entered" });
  }

  async function joinRoom(signal) {
    spread();
    const place = { address: address.input.value.trim(), port: Number(port.input.value) };
    if (!place.address) {
      address.fail({
        code: "bad_address",
        message: "paste the invitation or type the address that you were given",
      });
      return;
    }
    if (!/^\d{1,5}$/.test(port.input.value) || place.port < 1 || place.port > 65535) {
      port.fail({ code: "bad_address", message: "a port is a number from 1 to 65535" });
      return;
    }
    await useName();
    await enterRoom(place, password.input.value, signal);
  }

  async function enterRoom(place, secret, signal) {
    const shown = invitation(place.address) ? "" : ` at ${line(place.address)} port ${place.port}`;
    const enter = async (given, until) => {
      const locked = given ? { locked: true, password: given } : {};
      await app.ask("connect", { ...place, ...locked }, { signal: until });
      password.input.value = "";
      // An invitation is a secret: it is not kept.
      if (shown) app.store.dispatch({ event: "page_connected", ...place });
      app.store.dispatch({ event: "page_entered" });
    };
    said.textContent = `Joining${shown}…`;
    cancel.hidden = false;
    try {
      await about(address, () => enter(secret, signal));
    } catch (failure) {
      const asks = ["room_locked", "password_required"].includes(failure.code) && !secret;
      if (!asks) throw failure;
      const { askPassword } = await import("../dialog/room-dialogs.js");
      const asking = new AbortController();
      askPassword(
        `${place.address} ${place.port}`,
        (given) => enter(given, asking.signal),
        () => asking.abort(),
      );
    } finally {
      cancel.hidden = true;
    }
  }

  app.store.watch((state, before) => {
    const { self, restarted: again, lastAddress, alert: told, connection } = state;
    // Whoever was put out of a room reads it here, in a new one.
    if (told && told !== before.alert && (told.code === "removed" || atStart(state))) {
      showFailure(alert, { code: told.code, message: told.text });
    }
    if (self && (self.name !== before.self?.name || !name.input.value)) {
      if (document.activeElement !== name.input) name.input.value = line(self.name);
    }
    if (self && self.id !== picture.dataset.id) {
      picture.dataset.id = self.id;
      picture.replaceChildren(table([self.id]));
    }
    if (connection !== before.connection) {
      busy(under !== null);
      quit.disabled = !connected(state);
    }
    if (lastAddress && !address.input.value && again) {
      address.input.value = lastAddress.host;
      port.input.value = String(lastAddress.port);
    }
    restarted.hidden = !again;
    if (again !== before.restarted || !restarted.textContent) showRestarted(again, lastAddress);
  });

  function showRestarted(again, last) {
    const where = last && `${line(last.host)} ${last.port}`;
    const text = el(
      "p",
      { role: "status" },
      "klatch was started again, so this is a new room.",
      where ? ` You were last connected to ${where}.` : "",
    );
    rejoin.hidden = !last;
    restarted.replaceChildren(...(again ? [text, rejoin] : []));
  }

  /** Rejoins the last room with one press. */
  function comeBack(signal) {
    const { host, port: last } = app.store.state.lastAddress;
    return enterRoom({ address: host, port: last }, password.input.value, signal);
  }

  return element;
}

/** Two circles that do not quite share their middle leave a ring as coffee does. */
function stain() {
  const ring =
    "M120 14a106 106 0 1 0 0.1 0zM123 23a96 96 0 1 1 -0.1 0z" +
    "M117 8a113 112 0 1 0 0.1 0zM117.6 9.4a111.4 110.8 0 1 1 -0.1 0z";
  const drops = [
    [226, 52, 4],
    [236, 66, 2],
    [29, 205, 3],
  ];
  return svg(
    "svg",
    { class: "stain", viewBox: "0 0 250 250", "aria-hidden": "true" },
    svg("path", { d: ring, "fill-rule": "evenodd" }),
    ...drops.map(([cx, cy, r]) => svg("circle", { cx, cy, r })),
  );
}
