/** The start: who you are, and which of the two ways into a room you take. */

import { el, svg } from "../../lib/dom.js";
import { invitation, splitAddress } from "../../lib/address.js";
import { line } from "../../lib/text.js";
import { field, showFailure } from "../dialog/dialog.js";
import { table } from "../cup/cup.js";
import { themeButton } from "../masthead/theme.js";

const DEFAULT_PORT = "51692";

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
  const create = el(
    "button",
    { class: "button primary", type: "button", on: { click: () => attempt(createRoom) } },
    "Create room",
  );
  const join = el("button", { class: "button primary", type: "submit" }, "Join room");
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
          attempt(address.input.value.trim() ? joinRoom : createRoom);
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
      join,
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
      el(
        "button",
        { class: "button quiet small", type: "button", on: { click: app.quit } },
        "Quit klatch",
      ),
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
    create.disabled = true;
    join.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      await way();
    } catch (failure) {
      showFailure(alert, failure);
    } finally {
      create.disabled = false;
      join.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  async function useName() {
    const wanted = name.input.value.trim();
    if (wanted !== app.store.state.self?.name) await app.ask("name", { name: wanted });
  }

  async function createRoom() {
    await useName();
    const secret = password.input.value;
    if (secret) await app.ask("password", { password: secret });
    password.input.value = "";
    app.store.dispatch({ event: "page_entered" });
  }

  async function joinRoom() {
    spread();
    await useName();
    const place = { address: address.input.value, port: Number(port.input.value) };
    const secret = password.input.value;
    const enter = async (given) => {
      const locked = given ? { locked: true, password: given } : {};
      await app.ask("connect", { ...place, ...locked });
      password.input.value = "";
      // An invitation is a secret: it is not kept.
      if (!invitation(place.address)) app.store.dispatch({ event: "page_connected", ...place });
      app.store.dispatch({ event: "page_entered" });
    };
    try {
      await enter(secret);
    } catch (failure) {
      const asks = ["room_locked", "password_required"].includes(failure.code) && !secret;
      if (!asks) throw failure;
      const { askPassword } = await import("../dialog/room-dialogs.js");
      askPassword(`${place.address} ${place.port}`, enter);
    }
  }

  app.store.watch(({ self, restarted: again, lastAddress, alert: told }, before) => {
    // Whoever was put out of a room reads it here, in a new one.
    if (told && told !== before.alert && told.code === "removed") {
      showFailure(alert, { code: told.code, message: told.text });
    }
    if (self && (self.name !== before.self?.name || !name.input.value)) {
      if (document.activeElement !== name.input) name.input.value = line(self.name);
    }
    if (self && self.id !== picture.dataset.id) {
      picture.dataset.id = self.id;
      picture.replaceChildren(table([self.id]));
    }
    if (lastAddress && !address.input.value && again) {
      address.input.value = lastAddress.host;
      port.input.value = String(lastAddress.port);
    }
    restarted.hidden = !again;
    if (again !== before.restarted || !restarted.textContent) showRestarted(again, lastAddress);
  });

  function showRestarted(again, last) {
    const text = el(
      "p",
      { role: "status" },
      "klatch was started again, so this is a new room.",
      last ? ` You were last connected to ${line(last.host)} ${last.port}: join it below.` : "",
    );
    restarted.replaceChildren(...(again ? [text] : []));
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
