/** The line that others type to come here, with Copy. */

import { connectLine, isLoopback } from "../../lib/address.js";
import { copyButton } from "../../lib/copy.js";
import { el } from "../../lib/dom.js";

/**
 * @param {import("../../main.js").App} app
 */
export function createInvite(app) {
  const lead = el("p", { class: "invite-lead" });
  const shown = el("code", { class: "invite-line" });
  const others = el("ul", { class: "invite-others" });
  const more = el(
    "details",
    { class: "invite-more" },
    el("summary", {}, "Other addresses"),
    others,
  );
  const element = el(
    "div",
    { class: "invite" },
    lead,
    shown,
    copyButton("Copy address", shown, () => shown.textContent),
    more,
  );

  app.store.watch(({ addresses, standing }, before) => {
    const same = addresses === before.addresses && standing === before.standing;
    if (same && shown.textContent) return;
    const [first, ...rest] = addresses;
    // Whoever was put out has no room to let anybody into.
    element.hidden = !first || standing === "outside";
    if (!first) return;
    lead.textContent = isLoopback(first)
      ? "Others on this computer join with"
      : "Others on your network join with";
    shown.textContent = connectLine(first);
    others.replaceChildren(...rest.map((address) => otherAddress(address)));
    more.hidden = rest.length === 0;
  });

  function otherAddress(address) {
    const text = connectLine(address);
    const note = isLoopback(address) ? " on this computer" : "";
    return el("li", {}, el("code", {}, text), note);
  }

  return element;
}
