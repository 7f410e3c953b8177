/**
 * What lies over the page is closed by the browser's Back, before Back leaves the page.
 *
 * While something lies there the history has one entry more. It goes with the last of them.
 */

/** What lies over the page, the topmost last. @type {(() => void)[]} */
const layers = [];
/** The further entry is there. */
let ahead = false;
/** It is being taken away: until that is told nothing else may be done with the history. */
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
