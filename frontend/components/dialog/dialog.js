/** Modal dialogs with one form each: a field or none, one way forward, one way back. */

import { onBack } from "../../lib/back.js";
import { el } from "../../lib/dom.js";

/**
 * @param {object} form
 * @param {string} form.name  the dialog's name and heading
 * @param {string} [form.text]  what it is about
 * @param {HTMLElement[]} [form.fields]
 * @param {ReturnType<typeof field>} [form.at]  the field that failures are about
 * @param {HTMLElement[]} [form.extras]  further buttons
 * @param {string} form.accept  what the button that goes on says
 * @param {string} [form.dismiss]
 * @param {boolean} [form.stays]  it stays open after going on, for more
 * @param {(byButton: boolean) => void} [form.onDismiss]  it was closed without going on
 * @param {() => Promise<void>|void} form.onAccept  a failure it rejects with is shown, and stays
 */
export function openDialog(form) {
  const alert = el("p", { class: "alert", role: "alert" });
  const fail = form.at?.fail ?? ((failure) => showFailure(alert, failure));
  const accept = el("button", { class: "button primary", type: "submit" }, form.accept);
  const dismiss = el(
    "button",
    { class: "button quiet", type: "button", on: { click: () => dialog.close("dismissed") } },
    form.dismiss ?? "Cancel",
  );
  const body = el(
    "form",
    { method: "dialog", noValidate: true, class: "dialog-form", on: { submit } },
    el("h2", { class: "heading" }, form.name),
    form.text && el("p", { class: "dialog-text" }, form.text),
    ...(form.fields ?? []),
    alert,
    el("div", { class: "dialog-actions" }, ...(form.extras ?? []), dismiss, accept),
  );
  const dialog = el("dialog", { class: "dialog", "aria-label": form.name }, body);
  let accepted = false;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (!accepted) form.onDismiss?.(dialog.returnValue === "dismissed");
  });

  async function submit(event) {
    event.preventDefault();
    accept.disabled = true;
    alert.textContent = "";
    form.at?.clear();
    try {
      await form.onAccept();
      accepted = true;
      if (form.stays) accept.disabled = false;
      else dialog.close();
    } catch (failure) {
      accept.disabled = false;
      fail(failure);
    }
  }

  showDialog(dialog);
  body.querySelector("input")?.select();
  return { dialog, fail };
}

/**
 * Shows a dialog, which the browser's Back closes as well.
 * @param {HTMLDialogElement} dialog
 */
export function showDialog(dialog) {
  const forget = onBack(() => dialog.close());
  dialog.addEventListener("close", forget);
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * @param {HTMLElement} alert
 * @param {{code?: string, message: string}} failure
 */
export function showFailure(alert, failure) {
  alert.dataset.code = failure.code ?? "io_error";
  alert.textContent = failure.message;
}

/**
 * A field, with a place for its error.
 * @param {string} label
 * @param {Record<string, unknown>} properties  of the input
 * @param {string} [hint]
 */
export function field(label, properties, hint) {
  fields += 1;
  const id = `field-${fields}`;
  const failed = el("p", { class: "alert", role: "alert", id: `${id}-failed` });
  const input = el("input", {
    class: "input",
    id,
    spellcheck: false,
    "aria-describedby": hint ? `${id}-hint ${failed.id}` : failed.id,
    ...properties,
  });
  const parts = [el("label", { for: id }, label), input];
  if (hint) parts.push(el("p", { class: "hint", id: `${id}-hint` }, hint));

  function clear() {
    failed.textContent = "";
    input.removeAttribute("aria-invalid");
  }

  /** @param {{code?: string, message: string}} failure */
  function fail(failure) {
    showFailure(failed, failure);
    input.setAttribute("aria-invalid", "true");
    input.focus();
    input.select();
  }

  input.addEventListener("input", clear);
  return { element: el("div", { class: "field" }, ...parts, failed), input, clear, fail };
}

/**
 * @param {string} label
 * @param {Record<string, unknown>} [properties]  of the input
 */
export function checkbox(label, properties = {}) {
  const input = el("input", { type: "checkbox", ...properties });
  return { element: el("label", { class: "dialog-check" }, input, label), input };
}

let fields = 0;
