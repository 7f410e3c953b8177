/**
 * Everyone at the table has a cup, seen from above: its colour and the notches on its saucer come
 * from the member's key, so the same person has the same cup on every screen. Only where the keys
 * of two say the same colour, the one that comes later takes another, as long as one is free.
 */

import { svg } from "../../lib/dom.js";

const NOTCHES = 16;
const VOICES = 12;

/** Prime to the number of voices, so that it leads to each of them, and to no neighbour first. */
const STEP = 5;

/** @type {Map<string, number>} */
const taken = new Map();

/**
 * @param {string} id  a member's id
 * @returns {string}  the class of the member's colour
 */
export function voice(id) {
  if (!taken.has(id)) taken.set(id, choose(id));
  return `voice-${taken.get(id)}`;
}

function choose(id) {
  const first = Number.parseInt(id.slice(-6), 16) % VOICES || 0;
  const used = new Set(taken.values());
  for (let step = 0; step < VOICES; step += 1) {
    const next = (first + step * STEP) % VOICES;
    if (!used.has(next)) return next;
  }
  return first;
}

/**
 * @param {string} id
 * @param {string} [extra]  further classes
 * @returns {SVGElement}
 */
export function cup(id, extra = "") {
  const element = svg("svg", {
    class: `cup ${voice(id)} ${extra}`.trim(),
    viewBox: "0 0 40 40",
    "aria-hidden": "true",
  });
  element.append(...cupParts(id));
  return element;
}

/**
 * The parts of a cup around 20, 20.
 * @param {string} id
 * @returns {SVGElement[]}
 */
export function cupParts(id) {
  return [
    svg("circle", { class: "saucer", cx: 20, cy: 20, r: 17.5 }),
    svg("path", { class: "notches", d: notches(id) }),
    svg("path", { class: "handle", d: "M29 17.2h4.6a2.8 2.8 0 0 1 0 5.6H29" }),
    svg("circle", { class: "rim", cx: 20, cy: 20, r: 10.4 }),
    svg("circle", { class: "coffee", cx: 20, cy: 20, r: 7 }),
  ];
}

function notches(id) {
  const bits = Number.parseInt(id.slice(0, 4), 16) || 0;
  let path = "";
  for (let i = 0; i < NOTCHES; i += 1) {
    if (!((bits >> i) & 1)) continue;
    const angle = (i / NOTCHES) * 2 * Math.PI;
    const at = (radius) =>
      `${(20 + radius * Math.sin(angle)).toFixed(1)} ${(20 - radius * Math.cos(angle)).toFixed(1)}`;
    path += `M${at(13.6)}L${at(15.6)}`;
  }
  return path;
}

/**
 * The table: a place for everyone here, and one for the next guest.
 * @param {string[]} ids  members, oneself first; not more than eight are drawn
 * @returns {SVGElement}
 */
export function table(ids) {
  const shown = ids.slice(0, 8);
  const places = Math.max(shown.length + 1, 4);
  const element = svg("svg", { class: "table", viewBox: "0 0 320 200", "aria-hidden": "true" });
  element.append(
    svg("ellipse", { class: "table-shade", cx: 160, cy: 106, rx: 150, ry: 88 }),
    svg("ellipse", { class: "table-top", cx: 160, cy: 100, rx: 150, ry: 88 }),
    svg("ellipse", { class: "table-grain", cx: 152, cy: 98, rx: 118, ry: 64 }),
    svg("ellipse", { class: "table-grain", cx: 146, cy: 97, rx: 74, ry: 36 }),
    svg("ellipse", { class: "table-grain", cx: 140, cy: 96, rx: 30, ry: 12 }),
  );
  for (let place = 0; place < places; place += 1) {
    const angle = (place / places) * 2 * Math.PI;
    const x = 160 - 108 * Math.sin(angle) - 20;
    const y = 98 + 56 * Math.cos(angle) - 20;
    const id = shown[place];
    const group = svg("g", {
      class: id ? `place ${voice(id)}` : "place free",
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    });
    group.append(
      ...(id ? cupParts(id) : [svg("circle", { class: "free-place", cx: 20, cy: 20, r: 17.5 })]),
    );
    element.append(group);
  }
  return element;
}
