/** The few drawn marks of the page. */

import { svg } from "../../lib/dom.js";

const PATHS = {
  locked: "M4.5 7V5a3.5 3.5 0 0 1 7 0v2M3 7h10v6.5H3zM8 9.6v1.6",
  open: "M4.5 7V5a3.5 3.5 0 0 1 6.8-1.2M3 7h10v6.5H3zM8 9.6v1.6",
  down: "M8 2.5v10M3.8 8.6 8 12.8l4.2-4.2",
  system: "M8 2.2a5.8 5.8 0 1 0 0 11.6zM8 2.2a5.8 5.8 0 0 1 0 11.6M6.4 4.5v7M4.6 6v4",
  light:
    "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15" +
    "M3 3l1.1 1.1M11.9 11.9 13 13M3 13l1.1-1.1M11.9 4.1 13 3",
  download: "M8 2v8.4M4.8 7.2 8 10.4l3.2-3.2M3 13.2h10",
  resume: "M5 3.2v9.6L12.5 8z",
  discard: "M3 4.5h10M6.2 4.5V3h3.6v1.5M4.4 4.5l.6 8.7h6l.6-8.7",
  cancel: "M4 4l8 8M12 4l-8 8",
  show:
    "M1.8 8S4.2 3.8 8 3.8 14.2 8 14.2 8 11.8 12.2 8 12.2 1.8 8 1.8 8z" +
    "M8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6",
  look: "M2.5 3.5h4M4.5 3.5v9H8M4.5 8H8M10 8h3.5M10 12.5h3.5",
  more: "M6 3.5 10.5 8 6 12.5",
  save: "M3 3h8l2 2v8H3zM5.5 3v3.2H10V3M5.5 13V9.5h5V13",
  withdraw: "M5.5 3.5 2.8 6.2l2.7 2.7M3 6.2h6.2a3.6 3.6 0 0 1 0 7.2H6",
  dark: "M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z",
  clip:
    "M11.5 6.5 7 11a1.8 1.8 0 0 1-2.6-2.6l5-5" +
    "a2.9 2.9 0 0 1 4.1 4.1l-5.2 5.2a4.1 4.1 0 0 1-5.8-5.8L6.8 2.6",
};

/**
 * @param {keyof PATHS} name
 * @returns {SVGElement}
 */
export function mark(name) {
  return svg(
    "svg",
    { class: "mark", viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", {
      d: PATHS[name],
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.5,
      "stroke-linejoin": "round",
      "stroke-linecap": "round",
    }),
  );
}

/** @param {boolean} locked */
export function lockMark(locked) {
  return mark(locked ? "locked" : "open");
}
