/** The page on every size of screen, with the keyboard alone, and for screen readers. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const PHONE = { width: 360, height: 640 };
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function assertAccessible(page, what) {
  await page.page.evaluate(AXE);
  const { violations } = await page.page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(told, [], what);
}

/** A room with people, messages, code, links and files, as it mostly looks. */
async function livelyRoom({ world, open }, options) {
  const ana = await world.browser("ana");
  const page = await open(ana, options);
  await page.create();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(1);
  const file = path.join(world.folder, `${"a-long-name-".repeat(8)}.txt`);
  await writeFile(file, "text");
  ben.type(`send ${file}`);
  ben.type("look at https://example.org/a/very/long/address?that=goes&on=and#on, please");
  ben.type("x".repeat(600));
  await page.say(
    "```\ncode that is far wider than a phone, for it is one line and goes on and on and on\n```",
  );
  await page.log.getByRole("article").filter({ hasText: "code that is" }).waitFor();
  await page.message("x".repeat(600)).waitFor();
  return { ana, ben, page };
}

for (const colorScheme of ["light", "dark"]) {
  scene(`nothing serious stands in anybody's way (${colorScheme})`, async (stage) => {
    const options = { colorScheme, bypassCSP: true, reducedMotion: "reduce" };
    const fresh = await stage.open(await stage.world.browser("eve"), options);
    await fresh.button("Create room").waitFor();
    await assertAccessible(fresh, "start");
    await fresh.create();
    await assertAccessible(fresh, "empty room");
    await fresh.button("More").click();
    await assertAccessible(fresh, "menu");
    await fresh.button("Lock room").click();
    await fresh.button("Set password").click();
    await fresh.dialog("Lock room").getByRole("alert").filter({ hasText: /./ }).waitFor();
    await assertAccessible(fresh, "dialog with an error");
    const { page } = await livelyRoom(stage, options);
    await assertAccessible(page, "room");
    await page.page.setViewportSize(PHONE);
    await assertAccessible(page, "room on a phone");
    await page.button("Files").click();
    await assertAccessible(page, "files on a phone");
  });
}

scene("names of files can be read in the list", async ({ meet, world }) => {
  const { page, ben } = await meet();
  const name = "Bilder vom See ü🎉.png";
  await writeFile(path.join(world.folder, name), "picture");
  ben.type(`send ${path.join(world.folder, name)}`);
  await page.fileButton("Download", name).click();
  await page.fileButton("Save", name).waitFor();
  for (const width of [1280, 360]) {
    await page.page.setViewportSize({ width, height: 800 });
    if (width === 360) await page.button("Files").click();
    const cut = await page.files.locator(".file-head").evaluate((head) => ({
      lost: head.scrollWidth - head.clientWidth,
      row: head.closest(".file").clientHeight,
    }));
    assert.ok(cut.lost <= 0, `${cut.lost} px of the name are cut off at ${width} px`);
    assert.ok(cut.row <= 56, `a row is ${cut.row} px high`);
    const folder = process.env.KLATCH_PICTURES;
    if (folder) await page.page.screenshot({ path: `${folder}/names-${width}.png` });
    const save = await page.fileButton("Save", name).boundingBox();
    assert.ok(save.width >= 28 && save.height >= 28, "it can be hit");
  }
});

scene("360 px: all is reached, nothing sticks out", async (stage) => {
  const { page } = await livelyRoom(stage, { viewport: PHONE, hasTouch: true });
  await page.assertSound();
  const box = await page.field("Message").boundingBox();
  assert.ok(box.y + box.height <= PHONE.height);
  assert.equal(await page.region("Members").isVisible(), false);
  await page.button("Members").click();
  await page.region("Members").getByText("ben", { exact: true }).waitFor();
  // The rows are redrawn while people come: whichever is there is scrolled to.
  const remove = page.member("ben").getByRole("button", { name: "Remove" });
  await remove.evaluate((button) => button.scrollIntoView());
  await page.assertSound();
  await page.button("More").click();
  await page.button("Lock room").waitFor();
  await page.assertSound();
  await page.page.keyboard.press("Escape");
  await page.button("Files").click();
  await page.files.getByRole("button", { name: /^Download a-long-name/ }).click();
  await page.files.getByText(/^saved/).waitFor();
  await page.assertSound();
  await page.page.keyboard.press("Escape");
  assert.equal(await page.files.isVisible(), false);
  await page.say("sent from a phone");
  await page.sees("sent from a phone");
});

scene("1920 px: members, log and files stand side by side", async (stage) => {
  const { page } = await livelyRoom(stage, { viewport: { width: 1920, height: 1080 } });
  for (const region of [page.region("Members"), page.log, page.files]) {
    assert.ok(await region.isVisible());
  }
  assert.equal(await page.button("Members").isVisible(), false);
});

scene("the keyboard alone: start, dialogs, messages, files, history", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  const keys = page.page.keyboard;
  const to = async (role, name) => {
    for (let i = 0; i < 60; i += 1) {
      const reached = await page.page.evaluate(() => {
        const { activeElement: at } = document;
        return [
          at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent,
          at.localName,
        ];
      });
      if (reached[0] === name) {
        const seen = await page.page.evaluate(() => {
          const { activeElement: at } = document;
          const around = [at, at.parentElement, at.closest("form > *")].filter(Boolean);
          return (
            getComputedStyle(at).outlineStyle !== "none" ||
            around.some((one) => getComputedStyle(one).boxShadow !== "none")
          );
        });
        assert.ok(seen, `the focus on ${name} cannot be seen`);
        return;
      }
      await keys.press("Tab");
    }
    assert.fail(`no ${role} ${name} within reach of the keyboard`);
  };
  await page.button("Create room").waitFor();
  await to("field", "Your name");
  await keys.press("ControlOrMeta+A");
  await keys.type("keys");
  await to("button", "Create room");
  await keys.press("Enter");
  await page.page.getByText("The table is set.").waitFor();
  await to("field", "Message");
  await keys.type("first");
  await keys.press("Shift+Enter");
  await keys.type("second");
  await keys.press("Enter");
  await page.sees("first\nsecond");
  await to("button", "More");
  await keys.press("Enter");
  await to("button", "Lock room");
  await keys.press("Enter");
  const dialog = page.dialog("Lock room");
  await dialog.waitFor();
  await keys.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(
    await page.button("More").evaluate((button) => button === document.activeElement),
    true,
  );
  await keys.press("Enter");
  await to("button", "Lock room");
  await keys.press("Enter");
  // A person looks where the cursor is before typing.
  await page.page.waitForFunction(() => document.activeElement?.closest("dialog input"));
  await keys.type("three blue teapots");
  await keys.press("Enter");
  await page.isClosed();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  ben.type("three blue teapots");
  await page.others(1);
  const file = path.join(world.folder, "by-keyboard.txt");
  await writeFile(file, "text");
  ben.type(`send ${file}`);
  await page.fileButton("Download", "by-keyboard.txt").waitFor();
  await to("button", "Download by-keyboard.txt");
  await keys.press("Enter");
  await ana.has("download_finished");
  await to("log", "Messages");
  await keys.press("Home");
  await keys.press("End");
});

scene(
  "what comes while nobody looks: title, line, and the way to the newest",
  async ({ world, open }) => {
    const ana = await world.browser("ana");
    const page = await open(ana, { viewport: { width: 1000, height: 420 } });
    await page.create();
    const ben = await world.terminal("ben");
    ben.type(`connect 127.0.0.1 ${await ana.port()}`);
    await page.others(1);
    for (let i = 0; i < 30; i += 1) ben.type(`line ${i}`);
    await page.sees("line 29");
    const top = () => page.log.evaluate((log) => (log.scrollTop = 0));
    await top();
    await page.button("Jump to newest").waitFor();
    ben.type("did you see this?");
    await page.page.waitForFunction(() => document.title === "(1) klatch");
    await page.button("Jump to newest").click();
    await page.page.waitForFunction(() => document.title === "klatch");
    await page.sees("did you see this?");
    await page.page.getByRole("separator", { name: "New" }).waitFor();
    assert.equal(await page.button("Jump to newest").isVisible(), false);
  },
);

scene(
  "notifications are asked for by the button, and shown only to those who looked away",
  async ({ world, open }) => {
    const ana = await world.browser("ana");
    const page = await open();
    await page.page.addInitScript(() => {
      globalThis.shown = [];
      globalThis.away = false;
      globalThis.Notification = class {
        static permission = "default";
        static requestPermission = async () => (this.permission = "granted");
        constructor(title, { body }) {
          globalThis.shown.push(`${title}: ${body}`);
        }
      };
      Object.defineProperty(Document.prototype, "hidden", { get: () => globalThis.away });
    });
    await page.goto(ana);
    await page.create();
    const ben = await world.terminal("ben");
    ben.type(`connect 127.0.0.1 ${await ana.port()}`);
    await page.others(1);
    await page.button("Notify me").click();
    assert.equal(await page.button("Notify me").getAttribute("aria-pressed"), "true");
    ben.type("while you looked");
    await page.sees("while you looked");
    const look = (away) =>
      page.page.evaluate((now) => {
        globalThis.away = now;
        document.dispatchEvent(new Event("visibilitychange"));
      }, away);
    await look(true);
    ben.type("while you were away");
    await page.page.waitForFunction(() => document.title === "(1) klatch");
    assert.deepEqual(await page.page.evaluate(() => globalThis.shown), [
      "ben: while you were away",
    ]);
    await look(false);
    await page.page.waitForFunction(() => document.title === "klatch");
  },
);

scene("the theme follows the system, and the person", async ({ world, open }) => {
  const page = await open(await world.browser("ana"), { colorScheme: "dark" });
  const paper = () =>
    page.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.button("Create room").waitFor();
  const dark = await paper();
  await page.button("Theme").click();
  const light = await paper();
  assert.notEqual(light, dark);
  await page.page.reload();
  await page.button("Create room").waitFor();
  assert.equal(await paper(), light);
  await page.button("Theme").click();
  assert.equal(await paper(), dark);
});
