/**
 * The only ways in which the page makes elements. Strings become text nodes, never markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, unknown>} [properties]  `class`, `on` (listeners), anything with a dash
 *   or `role` as attributes, the rest as properties; null and undefined are left out
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key === "class") element.className = value;
    else if (key === "on") listen(element, value);
    else if (key === "role" || key === "for" || key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/**
 * @param {string} name
 * @param {Record<string, string|number>} [attributes]
 * @param {...Node} children
 * @returns {any}
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Loads a style sheet that comes with a component which few visits need.
 * @param {string} href
 */
export const sheet = (href) =>
  new Promise((resolve) => {
    const on = { load: resolve, error: resolve };
    document.head.append(el("link", { rel: "stylesheet", href, on }));
  });

/**
 * Sets text only where it changed: a live region must not speak twice.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Names a control: its action as visible text, with its file's name for screen readers.
 * @param {HTMLElement} element
 * @param {string} name
 */
export function setLabel(element, name) {
  if (element.getAttribute("aria-label") !== name) element.setAttribute("aria-label", name);
}

function listen(element, listeners) {
  for (const [type, listener] of Object.entries(listeners))
    element.addEventListener(type, listener);
}
