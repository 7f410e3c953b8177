/** Light, dark, or as the system has it; remembered by this browser. */

import { el, setText } from "../../lib/dom.js";

const KEY = "klatch.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const SAID = { system: "auto", light: "light", dark: "dark" };
const shown = new Set();

function current() {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

/** Puts the chosen theme on the page. */
export function applyTheme() {
  const theme = current();
  document.documentElement.dataset.theme = theme;
  for (const state of shown) setText(state, SAID[theme]);
}

/** @returns {HTMLElement} */
export function themeButton() {
  const state = el("span", { class: "theme-state", "aria-hidden": "true" });
  shown.add(state);
  const button = el(
    "button",
    {
      class: "button quiet small",
      type: "button",
      "aria-label": "Theme",
      on: {
        click: () => {
          localStorage.setItem(KEY, NEXT[current()]);
          applyTheme();
        },
      },
    },
    "Theme",
    state,
  );
  applyTheme();
  return button;
}
