/** A long history: little of it is in the document, but all of it can be reached. */

import assert from "node:assert/strict";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const MESSAGES = 5000;
const MOST = 300;

scene(
  "5,000 messages: at most 300 elements, and every one can be reached",
  async ({ world, open }) => {
    const ben = await world.terminal("ben");
    for (let i = 1; i <= MESSAGES; i += 1) ben.type(`number ${i}.`);
    await ben.has("message", ({ text }) => text === `number ${MESSAGES}.`);
    const ana = await world.browser("ana");
    ana.type(`connect 127.0.0.1 ${await ben.port()}`);
    await ana.has("message", ({ text }) => text === `number ${MESSAGES}.`);
    const page = await open(ana);
    await page.sees(`number ${MESSAGES}.`);
    const most = async () => {
      const count = await page.log.locator("[data-key]").count();
      assert.ok(count <= MOST, `${count} elements`);
    };
    await most();

    await page.log.focus();
    await page.page.keyboard.press("Home");
    await page.message("number 1.").waitFor();
    await most();
    const seen = new Set();
    await page.log.evaluate((log) => (log.scrollTop = 0));
    while (!seen.has(MESSAGES)) {
      const before = seen.size;
      for (const text of await page.log.getByRole("article").allTextContents()) {
        seen.add(Number(/number (\d+)\./.exec(text)[1]));
      }
      await most();
      const at = await page.log.evaluate((log) => {
        log.scrollTop = log.scrollHeight;
        return new Promise((done) =>
          requestAnimationFrame(() => requestAnimationFrame(() => done(log.scrollTop))),
        );
      });
      assert.ok(at > 0 && (seen.size > before || seen.has(MESSAGES)), `stuck behind ${seen.size}`);
    }
    assert.equal(seen.size, MESSAGES);

    await page.page.keyboard.press("Home");
    await page.message("number 1.").waitFor();
    await page.button("Jump to newest").click();
    await page.sees(`number ${MESSAGES}.`);
    await most();
    ben.type("one more");
    await page.sees("one more");
  },
);

scene("what is read stays in its place while others write", async ({ world, open }) => {
  const ben = await world.terminal("ben");
  for (let i = 1; i <= 400; i += 1) ben.type(`number ${i}.`);
  await ben.has("message", ({ text }) => text === "number 400.");
  const ana = await world.browser("ana");
  ana.type(`connect 127.0.0.1 ${await ben.port()}`);
  await ana.has("message", ({ text }) => text === "number 400.");
  const page = await open(ana);
  await page.sees("number 400.");
  await page.log.evaluate((log) => (log.scrollTop = 500));
  await page.button("Jump to newest").waitFor();
  const place = () =>
    page.log.evaluate((log) => {
      const top = log.getBoundingClientRect().top;
      const first = [...log.querySelectorAll("article")].find(
        (one) => one.getBoundingClientRect().bottom > top,
      );
      return [first.textContent, Math.round(first.getBoundingClientRect().top)];
    });
  const before = await place();
  for (let i = 0; i < 20; i += 1) ben.type(`late ${i}`);
  await page.page.waitForFunction(() => document.title === "(20) klatch");
  assert.deepEqual(await place(), before);
});
