/**
 * The focus never falls to the body: if its element is removed, hidden or disabled,
 * the nearest remaining one takes it over.
 *
 * A click beside everything is intended, and removes no element.
 */

const FOCUSABLE =
  "a[href], button, input:not([tabindex='-1']), textarea, select, summary, [tabindex='0']";

/** The element that had the focus last, and its ancestors, the nearest first. */
let last = null;
let around = [];

/** Begins to watch over the page. */
export function keepFocus() {
  document.addEventListener("focusin", ({ target }) => {
    last = target;
    around = [];
    for (let at = target.parentElement; at; at = at.parentElement) around.push(at);
  });
  new MutationObserver(look).observe(document.body, {
    subtree: true,
    childList: true,
    attributeFilter: ["hidden", "disabled", "class", "open"],
  });
}

/** @param {MutationRecord[]} changes */
function look(changes) {
  const { activeElement: at, body } = document;
  // Whether something can be seen costs a layout: it is asked only of what a change is about.
  const touched = ({ type, target }) => type === "attributes" && target.contains(at);
  const lost = !at || at === body || (changes.some(touched) && !usable(at));
  if (!lost || !last || usable(last)) return;
  if (document.querySelector("dialog:modal") && !inDialog(last)) return;
  heir()?.focus({ preventScroll: true });
}

const inDialog = (element) => Boolean(element.closest("dialog:modal"));

/** The same control, rendered again, or the first one in the nearest remaining ancestor. */
function heir() {
  const name = nameOf(last);
  for (const place of around) {
    if (!place.isConnected || !visible(place)) continue;
    const inside = [...place.querySelectorAll(FOCUSABLE)].filter(usable);
    const same = inside.find((one) => one.localName === last.localName && nameOf(one) === name);
    const own = usable(place) && place.matches(FOCUSABLE) ? place : null;
    const found = same ?? own ?? (place === document.body ? main(inside) : inside[0]);
    if (found) return found;
  }
  return null;
}

/** If the whole view changed, the focus goes to the text box. */
function main(inside) {
  return inside.find((one) => one.matches("textarea, main input")) ?? inside[0];
}

const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent;
const visible = (element) => element.getClientRects().length > 0;
const usable = (element) => element.isConnected && !element.disabled && visible(element);
