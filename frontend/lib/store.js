/**
 * Holds the state, and tells the components that it changed, once per frame at most.
 *
 * @typedef {import("./types.js").State} State
 */

import { reduce } from "./state.js";

/** A hidden tab gets no frames; its title still has to change. */
const HIDDEN_WAIT_MS = 200;
const FRAME_MS = 16;

/**
 * @param {State} first
 */
export function createStore(first) {
  let state = first;
  let shown = first;
  let planned = false;
  let shownAt = 0;
  const watchers = [];

  function show() {
    if (!planned) return;
    planned = false;
    const before = shown;
    shown = state;
    for (const watch of watchers) watch(shown, before);
    // Behind the work: where that takes a frame, each of many would be shown by itself.
    shownAt = performance.now();
  }

  return {
    get state() {
      return state;
    },
    /** @param {{event: string, [field: string]: any}} notice */
    dispatch(notice) {
      const next = reduce(state, { at: Date.now(), ...notice });
      if (next === state) return;
      state = next;
      if (planned) return;
      planned = true;
      // What comes alone is shown at once; a flood is shown frame by frame.
      if (performance.now() - shownAt > FRAME_MS) return queueMicrotask(show);
      requestAnimationFrame(show);
      setTimeout(show, HIDDEN_WAIT_MS);
    },
    /**
     * Calls back with the present state, and then with each change.
     * @param {(state: State, before: State) => void} watch
     */
    watch(watch) {
      watchers.push(watch);
      watch(state, state);
    },
  };
}
