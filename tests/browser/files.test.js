/** Files into the room by every way that the page has, and out of it again. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { ownMemory } from "./lib/klatch.js";
import { scenes } from "./lib/scene.js";
import { film } from "./lib/film.js";

const scene = scenes();
const MIB = 1024 * 1024;

async function sha256(file) {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(file)) hash.update(piece);
  return hash.digest("hex");
}

/** Ana's page in a room with Ben's terminal. */
async function anaAndBen({ world, open }, benOptions = []) {
  const data = path.join(world.folder, "data of ana");
  await mkdir(data);
  const shared = JSON.stringify(path.join(world.folder, "shared"));
  await writeFile(path.join(data, "settings.toml"), `share_dir = ${shared}\n`);
  const ana = await world.browser("ana", ["--data-dir", data]);
  const page = await open(ana);
  await page.create();
  const ben = await world.terminal("ben", benOptions);
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(1);
  return { ana, ben, page };
}

scene("shared by the button, fetched in a terminal, byte for byte", async (stage) => {
  const { ben, page } = await anaAndBen(stage);
  const file = path.join(stage.world.folder, "käse & brot.bin");
  await writeFile(file, randomBytes(3 * MIB + 7));
  const [chooser] = await Promise.all([
    page.page.waitForEvent("filechooser"),
    page.button("Share a file", page.files).click(),
  ]);
  await chooser.setFiles([file]);
  await ben.has("file_offered", (found) => found.file.name === "käse & brot.bin");
  ben.type("download käse & brot.bin");
  const done = await ben.has("download_finished");
  assert.equal(await sha256(done.path), await sha256(file));
  await page.log.getByRole("group", { name: /^käse & brot\.bin, offered by ana/ }).waitFor();
});

scene("shared by a drop, several at once, and withdrawn", async (stage) => {
  const { ben, page, ana } = await anaAndBen(stage);
  await page.drop([
    { name: "one.txt", text: "the first", type: "text/plain" },
    { name: "two.txt", text: "the second", type: "text/plain" },
  ]);
  await ben.has("file_offered", ({ file }) => file.name === "one.txt");
  await ben.has("file_offered", ({ file }) => file.name === "two.txt");
  ben.type("download two.txt");
  const done = await ben.has("download_finished");
  assert.equal(await readFile(done.path, "utf8"), "the second");
  await page.fileButton("Withdraw", "one.txt").click();
  await ben.has("file_withdrawn", ({ file }) => file.name === "one.txt");
  await page.fileButton("Withdraw", "one.txt").waitFor({ state: "detached" });
  const left = await ana.has("file_withdrawn");
  assert.equal(left.own, true);
  await page.end("Quit klatch");
  await ana.ended; // Nothing can be undone after this.
  await assert.rejects(readFile(path.join(stage.world.folder, "shared", "one.txt")), {
    code: "ENOENT",
  });
});

scene("shared by pasting", async (stage) => {
  const { ben, page } = await anaAndBen(stage);
  await page.page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(["pasted bytes"], "clip.txt", { type: "text/plain" }));
    const event = new ClipboardEvent("paste", {
      clipboardData: data,
      bubbles: true,
      cancelable: true,
    });
    document.querySelector("textarea").dispatchEvent(event);
  });
  const { file } = await ben.has("file_offered");
  assert.equal(file.name, "clip.txt");
});

scene("downloaded in the page, saved, and looked at", async (stage) => {
  const { ben, page, ana } = await anaAndBen(stage);
  const text = path.join(stage.world.folder, "notes.txt");
  await writeFile(text, "<b>not bold</b>\n".repeat(1000));
  ben.type(`send ${text}`);
  await page.fileButton("Download", "notes.txt").click();
  const done = await ana.has("download_finished");
  assert.equal(await sha256(done.path), await sha256(text));
  await page.files.getByText("saved", { exact: true }).waitFor();
  await page.files.getByTitle(`saved as ${done.path}`).waitFor();
  const [download] = await Promise.all([
    page.page.waitForEvent("download"),
    page.fileButton("Save", "notes.txt").click(),
  ]);
  assert.equal(download.suggestedFilename(), "notes.txt");
  assert.equal(await sha256(await download.path()), await sha256(text));
  await page.fileButton("Show", "notes.txt").click();
  const preview = page.dialog("Preview of notes.txt");
  await preview.getByText("<b>not bold</b>").waitFor();
  assert.equal(await preview.locator("b").count(), 0);
  await page.page.keyboard.press("Escape");
  await preview.waitFor({ state: "detached" });
});

scene(
  "two files of one name are told apart, and each is fetched by its own button",
  async (stage) => {
    const { ben, page, ana } = await anaAndBen(stage);
    for (const [folder, text] of [
      ["a", "first"],
      ["b", "second"],
    ]) {
      const file = path.join(stage.world.folder, folder, "same.txt");
      await mkdir(path.dirname(file));
      await writeFile(file, text);
      ben.type(`send ${file}`);
    }
    await ana.wait("file_offered");
    const { file: second } = await ana.wait("file_offered");
    await page.fileButton("Download", `same.txt (${second.id.slice(0, 8)})`).click();
    const done = await ana.has("download_finished");
    assert.equal(await readFile(done.path, "utf8"), "second");
  },
);

scene("a download is cancelled, and goes on where it stopped", async (stage) => {
  const { ben, page, ana } = await anaAndBen(stage, ["--limit-up", "100MB/s"]);
  const file = path.join(stage.world.folder, "large.bin");
  await writeFile(file, "");
  await truncate(file, 600 * MIB);
  ben.type(`send ${file}`);
  await page.fileButton("Download", "large.bin").click();
  await ana.has("download_progress", ({ bytes_done: done }) => done > 0);
  ben.process.kill("SIGSTOP");
  await page.fileButton("Cancel", "large.bin").click();
  await ana.has("download_failed", ({ code }) => code === "cancelled");
  await page.fileButton("Resume", "large.bin").waitFor();
  await page.files.getByText(/^[\d.]+ MB of 629\.1 MB kept/).waitFor();
  assert.equal(await page.page.getByRole("alert").filter({ hasText: /./ }).count(), 0);
  await page.page.reload();
  await page.files.getByText(/^[\d.]+ MB of 629\.1 MB kept/).waitFor();
  ben.process.kill("SIGCONT");
  await page.fileButton("Resume", "large.bin").click();
  const done = await ana.has("download_finished");
  assert.ok(done.bytes_fetched < 600 * MIB, `${done.bytes_fetched} bytes were fetched again`);
  await page.fileButton("Save", "large.bin").waitFor();
});

scene("sharing shows its progress and is cancelled", async (stage) => {
  const { ana, page } = await anaAndBen(stage);
  const file = path.join(stage.world.folder, "stopped.bin");
  await writeFile(file, "");
  await truncate(file, 4096 * MIB);
  await page.field("Files to share").setInputFiles(file);
  const bar = page.page.getByRole("progressbar", { name: "Sharing stopped.bin" });
  await bar.waitFor();
  await page.button("Cancel sharing stopped.bin").click();
  await bar.waitFor({ state: "detached" });
  await page.drop([{ name: "after.txt", text: "still works", type: "text/plain" }]);
  await ana.has("file_offered", ({ file: found }) => found.name === "after.txt");
  assert.equal(
    ana.events.some(
      ({ event, file: found }) => event === "file_offered" && found.name === "stopped.bin",
    ),
    false,
  );
});

scene("every failure is listed, empty folders and what vanished among them", async (stage) => {
  const { page, ben } = await stage.meet();
  const files = [];
  const first = [1, 2, 3, 4].map((i) => `first-${i}.txt`);
  for (const name of ["gone-1.txt", "gone-2.txt", ...first, "last.txt"]) {
    const file = path.join(stage.world.folder, name);
    await writeFile(file, name);
    files.push(file);
  }
  // Chosen, but gone before their turn: they wait behind as many as are sent at once.
  let chosen;
  const removed = new Promise((resolve) => (chosen = resolve)).then(() =>
    Promise.all([rm(files[0]), rm(files[1])]),
  );
  await page.page.route("**/share?name=first-*", async (route) => {
    await removed;
    await route.continue();
  });
  const [gone1, gone2, ...others] = files;
  const input = page.field("Files to share");
  await input.setInputFiles(others.slice(0, 4));
  await input.setInputFiles([gone1, gone2, others[4]]);
  chosen();
  await ben.has("file_offered", ({ file }) => file.name === "last.txt");
  await page.page.evaluate(() => {
    const data = new DataTransfer();
    const names = ["photos", "music"];
    for (const name of names) data.items.add(new File(["x"], name));
    const createReader = () => ({ readEntries: (resolve) => resolve([]) });
    DataTransferItem.prototype.webkitGetAsEntry = () => {
      return { isDirectory: true, name: names.shift(), createReader };
    };
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
  });
  const alert = page.page.getByRole("alert").filter({ hasText: "gone-1.txt" });
  const empty = [/photos: there is nothing in it/, /music: there is nothing/];
  for (const text of [/gone-1\.txt: it is not there/, /gone-2\.txt: it/, ...empty]) {
    await alert.getByRole("listitem").filter({ hasText: text }).waitFor();
  }
  assert.equal(await alert.getByRole("listitem").count(), 4);
});

scene("a film plays before it has arrived", async (stage) => {
  const { ben, page, ana } = await anaAndBen(stage, ["--limit-up", "50MB/s"]);
  const file = path.join(stage.world.folder, "film.webm");
  await film(stage.browser, file, 1024 * MIB);
  ben.type(`send ${file}`);
  await page.fileButton("Download", "film.webm").click();
  await page.fileButton("Show", "film.webm").click();
  const player = await page.dialog("Preview of film.webm").locator("video").elementHandle();
  await page.page.waitForFunction((video) => video.readyState >= 2, player);
  ben.process.kill("SIGSTOP"); // From now on nothing arrives.
  await page.page.waitForFunction((video) => video.currentTime > 0.5, player);
  assert.equal(
    ana.events.some(({ event }) => event === "download_finished"),
    false,
  );
  ben.process.kill("SIGCONT");
});

scene("a large file through the page costs neither klatch nor the tab memory", async (stage) => {
  const { ana, page, ben } = await anaAndBen(stage);
  const file = path.join(stage.world.folder, "big.bin");
  const size = Number(process.env.KLATCH_SHARE_BYTES ?? 200_000_000);
  await writeFile(file, "");
  await truncate(file, size);
  const session = await stage.browser.newBrowserCDPSession();
  const tabs = async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const memory = processInfo.map(({ id }) => ownMemory(id).catch(() => 0));
    return (await Promise.all(memory)).reduce((sum, one) => sum + one, 0);
  };
  const before = { klatch: await ana.memory(), tab: await tabs() };
  const most = { klatch: 0, tab: 0 };
  let running = true;
  const watch = (async () => {
    while (running) {
      most.klatch = Math.max(most.klatch, await ana.memory());
      most.tab = Math.max(most.tab, await tabs());
    }
  })();
  await page.field("Files to share").setInputFiles(file);
  await ben.has("file_offered", ({ file: found }) => found.size === size);
  running = false;
  await watch;
  const grown = { klatch: (most.klatch - before.klatch) / MIB, tab: (most.tab - before.tab) / MIB };
  console.log(
    `${size} bytes: klatch +${grown.klatch.toFixed(1)} MiB, tab +${grown.tab.toFixed(1)} MiB`,
  );
  assert.ok(grown.klatch < 32, `klatch grew by ${grown.klatch} MiB`);
  assert.ok(grown.tab < 32, `the browser grew by ${grown.tab} MiB`);
});
