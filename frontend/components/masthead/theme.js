/** Light, dark, or as the system has it; remembered by this browser. */

import { el } from "../../lib/dom.js";
import { mark } from "./marks.js";

const KEY = "klatch.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const SAID = { system: "follows the system", light: "is light", dark: "is dark" };
const buttons = new Set();

function current() {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

/** Puts the chosen theme on the page. */
function applyTheme() {
  const theme = current();
  document.documentElement.dataset.theme = theme;
  for (const button of buttons) {
    button.firstChild.replaceWith(mark(theme));
    button.setAttribute("aria-description", `It ${SAID[theme]} now`);
  }
}

/** @returns {HTMLElement} */
export function themeButton() {
  const button = el(
    "button",
    { class: "button quiet small", type: "button", on: { click: change } },
    mark("system"),
    "Theme",
  );
  buttons.add(button);
  applyTheme();
  return button;
}

function change() {
  localStorage.setItem(KEY, NEXT[current()]);
  applyTheme();
}
