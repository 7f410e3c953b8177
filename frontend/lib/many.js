/** What is done to many files at once. */

import { plural } from "./format.js";

/** Others are not asked for all at once. */
const AT_ONCE = 16;

/**
 * @param {import("../main.js").App} app
 * @param {string[]} ids  of offers
 */
export async function downloadAll(app, ids) {
  await each(ids, (id) => app.fileAction("Download", id));
}

/**
 * Takes own offers back. Those that were can be had again as long as the first of them can.
 * @param {import("../main.js").App} app
 * @param {string[]} ids  of offers
 */
export async function withdrawAll(app, ids) {
  const began = performance.now();
  const { done, failure } = await each(ids, (id) => app.ask("withdraw", { offer: id }));
  if (done.length > 0) {
    const text = `${plural(done.length, "file is", "files are")} withdrawn.`;
    app.undo(text, () => restoreAll(app, done), performance.now() - began);
  }
  if (failure) throw failure;
}

async function restoreAll(app, ids) {
  const { failure } = await each(ids, (id) => app.ask("restore", { offer: id }));
  if (failure) throw failure;
}

/** The first failure is told; the others say the same, and do not end what goes on. */
async function each(ids, act) {
  const left = [...ids];
  const done = [];
  let failure = null;
  const one = async () => {
    for (let id = left.shift(); id; id = left.shift()) {
      try {
        await act(id);
        done.push(id);
      } catch (failed) {
        failure ??= failed;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return { done, failure };
}
