/** Actions on many files at once. */

import { plural } from "./format.js";

/** How many downloads are requested at once. */
const AT_ONCE = 16;

/**
 * @param {import("../main.js").App} app
 * @param {string[]} ids  of offers
 */
export async function downloadAll(app, ids) {
  const left = [...ids];
  const one = async () => {
    for (let id = left.shift(); id; id = left.shift()) await app.fileAction("Download", id);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/**
 * Withdraws own offers in one command, so that all can be restored equally long. If some
 * could not be withdrawn, it says why, and the others can still be restored.
 * @param {import("../main.js").App} app
 * @param {string[]} ids  of offers
 */
export async function withdrawAll(app, ids) {
  const began = performance.now();
  let failure = null;
  try {
    await app.ask("withdraw", { offers: ids });
  } catch (failed) {
    failure = failed;
  }
  const { files } = app.store.state;
  const offers = ids.filter((id) => !files[id]?.own);
  if (offers.length > 0) {
    const text = `${plural(offers.length, "file is", "files are")} withdrawn.`;
    app.undo(text, () => app.ask("restore", { offers }), performance.now() - began);
  }
  if (failure) throw failure;
}
