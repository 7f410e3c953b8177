/**
 * The browser's Back closes dialogs and panels before it leaves the page.
 *
 * While one is open the history has one more entry, which goes with the last of them.
 */

/** What lies over the page, the topmost last. @type {(() => void)[]} */
const layers = [];
/** Whether the additional entry is there. */
let ahead = false;
/** Whether it is being removed: until then the history must not be changed. */
let leaving = false;

/**
 * @param {() => void} close
 * @returns {() => void} to be called when it was closed, in whatever way
 */
export function onBack(close) {
  layers.push(close);
  settle();
  return () => {
    const index = layers.indexOf(close);
    if (index < 0) return;
    layers.splice(index, 1);
    settle();
  };
}

function settle() {
  if (leaving || ahead === layers.length > 0) return;
  if (ahead) {
    leaving = true;
    history.back();
  } else {
    ahead = true;
    history.pushState({ layer: true }, "");
  }
}

addEventListener("popstate", () => {
  const asked = leaving;
  ahead = false;
  leaving = false;
  if (!asked) layers.at(-1)?.();
  settle();
});
