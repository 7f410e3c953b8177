/** One browser per test file, one world per test. */

import { after, before, test } from "node:test";
import path from "node:path";
import { World } from "./klatch.js";
import { Tab, launch } from "./page.js";

/**
 * @typedef {object} Scene
 * @property {World} world
 * @property {(klatch: import("./klatch.js").Klatch, options?: object) => Promise<Tab>} open
 * @property {import("playwright-core").Browser} browser
 * @property {(name?: string) => Promise<object>} meet
 * @property {(args?: string[]) => Promise<object>} restarts
 */

/**
 * Declares tests that each get a scene; every page of it must have stayed sound.
 * @returns {(name: string, play: (scene: Scene) => Promise<void>) => void}
 */
export function scenes() {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  return (name, play) =>
    test(name, async () => {
      const world = await World.create();
      const tabs = [];
      const open = async (klatch, options) => {
        const tab = await Tab.open(browser, options);
        tabs.push(tab);
        if (klatch) await tab.goto(klatch);
        return tab;
      };
      /** Ana in a page, in a room of hers, and `name`, who joined it from a terminal. */
      const meet = async (name = "ben") => {
        const ana = await world.browser("ana");
        const page = await open(ana);
        await page.create();
        const ben = await world.terminal(name);
        ben.type(`connect 127.0.0.1 ${await ana.port()}`);
        await page.others(1);
        return { ana, page, ben };
      };
      /** Ana in a page, in ben's room (`args` are for ben); `again` restarts hers. */
      const restarts = async (args) => {
        const folder = path.join(world.folder, "ana");
        const data = ["--data-dir", path.join(folder, "identity")];
        const ana = await world.browser("ana", data, folder);
        const bridge = new URL(await ana.url()).host;
        const ben = await world.terminal("ben", args);
        const page = await open(ana);
        await page.join(await ben.port());
        await page.others(1);
        const again = () => world.browser("ana", [...data, "--bridge", bridge], folder);
        return { ana, ben, page, again };
      };
      try {
        await play({ world, open, browser, meet, restarts });
        for (const tab of tabs) await tab.assertSound();
      } catch (failure) {
        await keepPictures(name, tabs);
        throw failure;
      } finally {
        await Promise.all(tabs.map((tab) => tab.close()));
        await world.end();
      }
    });
}

/** What the pages looked like when a test failed, if somebody asked for pictures. */
async function keepPictures(name, tabs) {
  const folder = process.env.KLATCH_PICTURES;
  if (!folder) return;
  const file = name.replace(/\W+/g, "-");
  await Promise.all(
    tabs.map((tab, i) => tab.page.screenshot({ path: `${folder}/${file}-${i}.png` })),
  );
}
