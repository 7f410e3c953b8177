/** What is in a folder, and a part of it, by the boxes in its card. */

import assert from "node:assert/strict";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const HOSTILE = "<img src=x> \u202egpj.exe";

/** Ben offers a folder in a room with Ana's page. */
async function offered(stage) {
  const { ana, page, ben } = await stage.meet();
  const top = path.join(stage.world.folder, "photos");
  for (const place of ["2024/summer", "2024/winter", "äl ter"]) {
    await mkdir(path.join(top, place), { recursive: true });
    for (let at = 0; at < 3; at += 1) {
      await writeFile(path.join(top, place, `IMG_${at}.jpg`), `${place} ${at}`);
    }
  }
  await writeFile(path.join(top, HOSTILE), "hostile");
  await writeFile(path.join(top, "read [me]*.txt"), "literally");
  ben.type(`send ${top}`);
  const card = page.log.getByRole("group", { name: /^photos, 11 files/ });
  await card.waitFor();
  return { ana, page, card };
}

async function saved(ana) {
  const { path: top } = await ana.wait("download_finished");
  const names = await readdir(top, { recursive: true, withFileTypes: true });
  const read = async ({ parentPath, name }) => {
    const file = path.join(parentPath, name);
    return [path.relative(top, file), await readFile(file, "utf8")];
  };
  return Object.fromEntries(await Promise.all(names.filter((one) => one.isFile()).map(read)));
}

scene("some of a folder is ticked with the keyboard alone, and arrives", async (stage) => {
  const { ana, page, card } = await offered(stage);
  const box = (name) => card.getByRole("checkbox", { name, exact: true });
  const press = (key) => page.page.keyboard.press(key);
  await page.button("Look inside photos", card).focus();
  await press("Enter");
  await box("2024/").waitFor();
  assert.equal(await box("summer/").count(), 0, "one level at a time");
  await box("2024/").focus();
  await press("ArrowRight");
  await box("summer/").waitFor();
  await press("ArrowRight");
  await press("Space");
  assert.equal(await box("2024/").evaluate(({ indeterminate }) => indeterminate), true);
  await box("read [me]*.txt").focus();
  await press("Space");
  await card.getByText("4 files, 48 B ticked").waitFor();
  await page.button("Download selection", card).focus();
  await press("Enter");
  assert.deepEqual(await saved(ana), {
    "2024/summer/IMG_0.jpg": "2024/summer 0",
    "2024/summer/IMG_1.jpg": "2024/summer 1",
    "2024/summer/IMG_2.jpg": "2024/summer 2",
    "read [me]_.txt": "literally",
  });
  await card.getByText("part of it saved").waitFor();
  await page.fileButton("Download", "photos").waitFor();
});

scene("one is taken out of a folder that is ticked, on a phone", async (stage) => {
  const { ana, page, card } = await offered(stage);
  await page.page.setViewportSize({ width: 360, height: 640 });
  const box = (name) => card.getByRole("checkbox", { name, exact: true });
  await page.button("Look inside photos", card).click();
  await box("äl ter/").check();
  await page.button("Look inside äl ter", card).click();
  await box("IMG_1.jpg").uncheck();
  await card.getByText("2 files, 18 B ticked").waitFor();
  const shown = await card.getByText("<img").first().textContent();
  assert.ok(!shown.includes("\u202e"), "nothing reorders text");
  assert.equal(await card.locator("img").count(), 0);
  await page.assertSound();
  await page.button("Download selection", card).click();
  assert.deepEqual(await saved(ana), {
    "äl ter/IMG_0.jpg": "äl ter 0",
    "äl ter/IMG_2.jpg": "äl ter 2",
  });
});
