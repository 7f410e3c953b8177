/** Folders into the room from the page, and out of it again. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, readdir, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const COUNT = 300;

/** A folder of small photos in three others, one of them deep, and an empty one. */
async function photos(folder, count = COUNT) {
  const top = path.join(folder, "photos");
  const places = ["2024/summer", "2024/winter/mountains", "älter"];
  for (const place of places) await mkdir(path.join(top, place), { recursive: true });
  await mkdir(path.join(top, "none"));
  for (let at = 0; at < count; at += 1) {
    const place = path.join(top, places[at % 3]);
    await writeFile(path.join(place, `IMG_${at}.jpg`), randomBytes(1_000 + at));
  }
  return top;
}

/** Everything in a folder: paths with contents, and of folders that are empty the path. */
async function content(top) {
  const all = {};
  const names = await readdir(top, { recursive: true, withFileTypes: true });
  for (const entry of names) {
    const full = path.join(entry.parentPath, entry.name);
    const name = path.relative(top, full);
    if (entry.isFile()) all[name] = (await readFile(full)).toString("base64");
    else if ((await readdir(full)).length === 0) all[`${name}/`] = null;
  }
  return all;
}

/** Ana and Ben in one room, each in a page; what they share lies below the test's folder. */
async function twoPages({ world, open }) {
  const started = async (name) => {
    const data = path.join(world.folder, `data of ${name}`);
    await mkdir(data);
    const shared = JSON.stringify(path.join(world.folder, `shared by ${name}`));
    await writeFile(path.join(data, "settings.toml"), `share_dir = ${shared}\n`);
    return world.browser(name, ["--data-dir", data]);
  };
  const ana = await started("ana");
  const page = await open(ana);
  await page.create();
  const ben = await started("ben");
  const bens = await open(ben);
  await bens.join(await ana.port());
  await page.others(1);
  await bens.others(1);
  return { ana, page, ben, bens };
}

scene("a folder that is dropped is one card, and arrives exact", async (stage) => {
  const { ana, page, bens } = await twoPages(stage);
  const top = await photos(stage.world.folder);
  await page.dropFromDisk([top]);
  const offered = await ana.has("file_offered");
  const bytes = (COUNT * (2_000 + COUNT - 1)) / 2;
  assert.deepEqual(offered.folder, { files: COUNT, bytes });
  const facts = "300 files, 344.9 kB";
  for (const tab of [page, bens]) {
    const card = tab.log.getByRole("group", { name: /^photos, 300 files, 344\.9 kB, offered by/ });
    await card.getByText("photos/", { exact: true }).waitFor();
    await card.getByText(facts).waitFor();
    assert.equal(await tab.log.getByRole("group", { name: /offered by/ }).count(), 1);
    await tab.files.getByText(facts).waitFor();
  }
  await bens.fileButton("Download", "photos").click();
  const saved = bens.files.getByTitle(/saved as /);
  await saved.waitFor();
  const [, place] = /saved as (.*)$/.exec(await saved.getAttribute("title"));
  assert.deepEqual(await content(place), await content(top));
  assert.equal((await stat(place)).isDirectory(), true);
  for (const word of ["Show", "Save"]) {
    assert.equal(await bens.fileButton(word, "photos").isVisible(), false);
  }
  // The path is known after a reload, too.
  await bens.page.reload();
  await bens.files.getByTitle(`saved as ${place}`).waitFor();
  // The copy outlives the offer only until that cannot be undone any more.
  const copy = path.join(stage.world.folder, "shared by ana", "photos");
  assert.deepEqual(await content(copy), await content(top));
  await page.fileButton("Withdraw", "photos").click();
  await ana.has("file_withdrawn");
  await page.end("Quit klatch");
  await ana.ended;
  await assert.rejects(stat(copy), { code: "ENOENT" });
});

scene("a folder that is chosen keeps its name, and many loose files are one", async (stage) => {
  const { ana, page } = await twoPages(stage);
  const top = await photos(stage.world.folder, 9);
  const [chooser] = await Promise.all([
    page.page.waitForEvent("filechooser"),
    page.button("Share a folder", page.files).click(),
  ]);
  await chooser.setFiles(top);
  const chosen = await ana.has("file_offered", ({ file }) => file.name === "photos");
  assert.equal(chosen.folder.files, 9);
  const files = Array.from({ length: 12 }, (_, at) => ({
    name: `${at}.png`,
    text: `picture ${at}`,
    type: "image/png",
  }));
  await page.drop(files);
  const many = await ana.has("file_offered", ({ file }) => file.name === "12 pictures");
  assert.equal(many.folder.files, 12);
  const shared = path.join(stage.world.folder, "shared by ana", "12 pictures");
  assert.equal(await readFile(path.join(shared, "7.png"), "utf8"), "picture 7");
  await page.drop(files.slice(0, 2));
  const one = await ana.has("file_offered", ({ file }) => file.name === "1.png");
  assert.equal(one.folder, null);
});

scene("sharing a folder shows its progress, and cancelled leaves nothing", async (stage) => {
  const { ana, page } = await twoPages(stage);
  const top = path.join(stage.world.folder, "large");
  await mkdir(top);
  for (const name of ["a.bin", "b.bin", "c.bin"]) {
    await writeFile(path.join(top, name), "");
    await truncate(path.join(top, name), 2 ** 31);
  }
  await page.field("Folder to share").setInputFiles(top);
  const bar = page.page.getByRole("progressbar", { name: "Sharing large" });
  await bar.waitFor();
  await page.files.getByText(/^sharing, /).waitFor();
  await page.button("Cancel sharing large").click();
  await bar.waitFor({ state: "detached" });
  await page.drop([{ name: "after.txt", text: "still works", type: "text/plain" }]);
  await ana.has("file_offered", ({ file }) => file.name === "after.txt");
  assert.equal(ana.events.some(({ file }) => file?.name === "large"), false);
  await page.end("Quit klatch");
  await ana.ended;
  const left = await readdir(path.join(stage.world.folder, "shared by ana"));
  assert.deepEqual(left, ["after.txt"]);
});
