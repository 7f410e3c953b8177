/** Nothing is reported that did not happen, and nothing is lost by one wrong key. */

import assert from "node:assert/strict";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const MIB = 1024 * 1024;

const focused = (page) =>
  page.page.evaluate(() => {
    const at = document.activeElement;
    return at === document.body ? "body" : (at.getAttribute("aria-label") ?? at.textContent);
  });

/** What a keyboard user must always have. */
async function assertFocused(page, what) {
  await page.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => done())));
  assert.notEqual(await focused(page), "body", what);
}

scene("the only host of a file quits: asked once, and then klatch ends", async (stage) => {
  const { meet, world } = stage;
  const { ana, page, ben } = await meet();
  const file = path.join(world.folder, "needed.bin");
  await writeFile(file, "");
  await truncate(file, 400 * MIB);
  await page.field("Files to share").setInputFiles(file);
  await ben.has("file_offered");
  ben.type("limit down 5MB/s");
  ben.type("download needed.bin");
  await ben.has("download_progress", ({ bytes_done: done }) => done > 0);
  await page.files.getByText(/going to 1 member/).waitFor();
  await page.more("Quit klatch");
  const dialog = page.dialog("Quit klatch");
  await dialog.getByText(/ben stays in the room\..*1 member is still downloading/).waitFor();
  await page.button("Cancel", dialog).click();
  await page.hears("Connection", "Connected");
  await page.end("Quit klatch");
  await page.page.getByText("klatch has ended.").waitFor();
  assert.equal(await ana.ended, 0);
});

scene("leaving asks first when there is company or content", async ({ world, open }) => {
  const page = await open(await world.browser("ana"));
  await page.create();
  await page.more("Leave room");
  await page.button("Create room").waitFor();
  await page.create();
  await page.say("worth keeping");
  await page.sees("worth keeping");
  await page.more("Leave room");
  const dialog = page.dialog("Leave room");
  await dialog.getByText(/Nobody else is here/).waitFor();
  await page.button("Cancel", dialog).click();
  await page.sees("worth keeping");
  await page.end("Leave room");
  await page.button("Create room").waitFor();
});

scene("what was withdrawn is offered again by Undo, and its copy stays for that", async (stage) => {
  const { world, open } = stage;
  const data = path.join(world.folder, "data of ana");
  const shared = path.join(data, "shared");
  const ana = await world.browser("ana", ["--data-dir", data]);
  const page = await open(ana);
  await page.create();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(1);
  await page.drop([{ name: "one.txt", text: "the first", type: "text/plain" }]);
  await page.fileButton("Withdraw", "one.txt").click();
  await ben.wait("file_withdrawn");
  await page.fileButton("Withdraw", "one.txt").waitFor({ state: "detached" });
  assert.equal(await readFile(path.join(shared, "one.txt"), "utf8"), "the first");
  await page.button("Undo").click();
  await ben.wait("file_offered");
  ben.type("download one.txt");
  const done = await ben.has("download_finished");
  assert.equal(await readFile(done.path, "utf8"), "the first");
});

scene("klatch is killed: said, nobody shown, nothing to press; back by a button", async (stage) => {
  const { ana, page, again } = await stage.restarts();
  ana.process.kill("SIGKILL");
  await page.says(/klatch does not answer/);
  await page.member("ben").waitFor({ state: "detached" });
  for (const name of ["Send", "Share a file", "More"]) {
    assert.equal(await page.button(name).isDisabled(), true, name);
  }
  await page.assertSound();
  await again();
  await page.button("Rejoin").click();
  await page.others(1);
});

scene("after a kill own offers are told as not served, and parts are gone on with", async (stage) => {
  const { world, restarts } = stage;
  const { ana: killed, ben, page, again } = await restarts(["--limit-up", "20MB/s"]);
  await page.drop([{ name: "mine.txt", text: "7 bytes", type: "text/plain" }]);
  await page.fileButton("Show", "mine.txt").waitFor();
  const file = path.join(world.folder, "large.bin");
  await writeFile(file, "");
  await truncate(file, 400 * MIB);
  ben.type(`send ${file}`);
  await page.fileButton("Download", "large.bin").click();
  await killed.has("download_progress", ({ bytes_done: done }) => done > MIB);
  killed.process.kill("SIGKILL");
  await page.says(/klatch does not answer/);
  const ana = await again();
  await page.button("Rejoin").click();
  await page.others(1);
  await page.files.getByText(/no longer shared: share it again/).waitFor();
  await page.fileButton("Withdraw", "mine.txt").waitFor();
  for (const word of ["Show", "Save"]) {
    assert.equal(await page.fileButton(word, "mine.txt").count(), 0, word);
  }
  await page.files.getByText(/MB of 419\.4 MB kept/).waitFor();
  await page.fileButton("Resume", "large.bin").waitFor();
  await page.page.reload();
  await page.files.getByText(/MB of 419\.4 MB kept/).waitFor();
  await page.fileButton("Discard", "large.bin").click();
  await ana.has("notice", ({ text }) => /large\.bin is removed/.test(text));
  await page.fileButton("Download", "large.bin").waitFor();
  await page.drop([{ name: "mine.txt", text: "7 bytes", type: "text/plain" }]);
  await page.files.getByText(/no longer shared/).waitFor({ state: "detached" });
});

scene("an empty address is asked for, and every failure stands at its field", async (stage) => {
  const page = await stage.open(await stage.world.browser("ana"));
  const failed = async (label, code) => {
    const field = page.field(label);
    const alert = page.page.locator(`[id="${await field.getAttribute("id")}-failed"]`);
    await alert.filter({ hasText: /./ }).waitFor();
    assert.equal(await alert.getAttribute("data-code"), code);
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await field.evaluate((input) => input === document.activeElement), true);
  };
  await page.button("Join room").click();
  await failed("Address", "bad_address");
  await page.field("Address").fill("127.0.0.1");
  await page.field("Port").fill("99999");
  await page.button("Join room").click();
  await failed("Port", "bad_address");
  await page.field("Your name").fill("a:b");
  await page.button("Create room").click();
  await failed("Your name", "usage");
  await page.field("Your name").fill("ana");
  await page.field("Room password").fill("short");
  await page.button("Create room").click();
  await failed("Room password", "password_too_short");
  await page.field("Room password").fill("");
  await page.join(1);
  await failed("Address", "unreachable");
});

scene("joining is said, and cancelled", async ({ world, open }) => {
  const ben = await world.terminal("ben");
  const port = await ben.port();
  const page = await open(await world.browser("ana"));
  ben.process.kill("SIGSTOP"); // It accepts the connection and says nothing.
  await page.join(port);
  await page.page.getByRole("status").filter({ hasText: /^Joining at 127\.0\.0\.1/ }).waitFor();
  await page.button("Cancel").click();
  await page.button("Cancel").waitFor({ state: "hidden" });
  assert.equal(await page.page.getByRole("alert").filter({ hasText: /./ }).count(), 0);
  assert.equal(await page.button("Join room").isEnabled(), true);
  ben.process.kill("SIGCONT");
  await page.button("Join room").click();
  await page.others(1);
});

scene("the focus never falls to the body", async ({ meet, world }) => {
  const { page, ben } = await meet();
  await page.member("ben").getByRole("button", { name: "Ignore" }).focus();
  await page.page.keyboard.press("Enter");
  await page.member("ben").getByText("ignored").waitFor();
  await assertFocused(page, "a row was made anew");
  assert.equal(await focused(page), "Ignore");
  const file = path.join(world.folder, "one.txt");
  await writeFile(file, "text");
  await page.member("ben").getByRole("button", { name: "Ignore" }).click();
  ben.type(`send ${file}`);
  await page.fileButton("Download", "one.txt").focus();
  await page.page.keyboard.press("Enter");
  await page.files.getByText(/^saved/).waitFor();
  await assertFocused(page, "a file was downloaded");
  await page.field("Files to share").setInputFiles({
    name: "two.txt",
    mimeType: "text/plain",
    buffer: Buffer.from("mine"),
  });
  await page.fileButton("Withdraw", "two.txt").focus();
  await page.page.keyboard.press("Enter");
  await page.fileButton("Withdraw", "two.txt").waitFor({ state: "detached" });
  await assertFocused(page, "a file was withdrawn");
  await page.button("Undo").focus();
  await page.page.keyboard.press("Enter");
  await page.fileButton("Withdraw", "two.txt").waitFor();
  await assertFocused(page, "a note was put away");
  await page.member("ben").getByRole("button", { name: "Remove" }).focus();
  ben.type("quit");
  await page.others(0);
  await assertFocused(page, "a member left");
  await page.end("Leave room");
  await page.button("Create room").waitFor();
  await assertFocused(page, "the room was left");
});

scene("Back closes what lies over the page, and only then goes back", async ({ meet, world }) => {
  const { page, ben } = await meet();
  await page.page.setViewportSize({ width: 360, height: 640 });
  const file = path.join(world.folder, "notes.txt");
  await writeFile(file, "text");
  ben.type(`send ${file}`);
  await page.button("Files").click();
  await page.fileButton("Download", "notes.txt").click();
  await page.fileButton("Show", "notes.txt").click();
  await page.dialog("Preview of notes.txt").waitFor();
  await page.page.goBack();
  await page.dialog("Preview of notes.txt").waitFor({ state: "detached" });
  assert.equal(await page.files.isVisible(), true);
  await page.page.goBack();
  await page.files.waitFor({ state: "hidden" });
  await page.button("Members").click();
  await page.button("Members").click();
  await page.region("Members").waitFor({ state: "hidden" });
  // A layer that was closed in another way leaves no step in the history.
  await page.page.waitForFunction(() => !history.state?.layer);
  await page.page.goBack();
  assert.equal(page.page.url(), "about:blank");
});

scene("a cancelled download says what is kept, and is discarded", async ({ meet, world }) => {
  const { ana, page, ben } = await meet();
  const file = path.join(world.folder, "large.bin");
  await writeFile(file, "");
  await truncate(file, 400 * MIB);
  ben.type("limit up 50MB/s");
  ben.type(`send ${file}`);
  await page.fileButton("Download", "large.bin").click();
  await ana.has("download_progress", ({ bytes_done: done }) => done > 0);
  await page.fileButton("Cancel", "large.bin").click();
  await page.files.getByText(/MB of 419\.4 MB kept/).waitFor();
  await page.fileButton("Resume", "large.bin").waitFor();
  await page.fileButton("Discard", "large.bin").click();
  await ana.has("notice", ({ text }) => /large\.bin is removed/.test(text));
  await page.fileButton("Download", "large.bin").waitFor();
});

scene("lines, the order of members and the draft survive a reload", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create();
  for (const [i, name] of ["zoe", "ben", "kim", "eve"].entries()) {
    const other = await world.terminal(name);
    other.type(`connect 127.0.0.1 ${await ana.port()}`);
    await page.others(i + 1);
    other.type(`${name} says hello`);
    await page.sees(`${name} says hello`);
  }
  await page.field("Message").fill("not yet sent");
  const seen = () =>
    page.page.evaluate(() => ({
      log: [...document.querySelectorAll(".entry-line > span, .entry-text")].map(
        ({ textContent }) => textContent,
      ),
      members: [...document.querySelectorAll(".member-name")].map(({ textContent }) => textContent),
    }));
  const before = await seen();
  assert.deepEqual(before.members, ["ana", "zoe", "ben", "kim", "eve"]);
  assert.equal(before.log.length >= 8, true);
  await page.page.reload();
  await page.others(4);
  await page.sees("eve says hello");
  assert.deepEqual(await seen(), before);
  assert.equal(await page.field("Message").inputValue(), "not yet sent");
  await page.page.reload();
  await page.sees("eve says hello");
  assert.deepEqual(await seen(), before);
});

scene("the log stays at its end while a draft grows and goes", async ({ meet }) => {
  const { page, ben } = await meet();
  for (let i = 0; i < 40; i += 1) ben.type(`line ${i}`);
  await page.sees("line 39");
  const atEnd = () =>
    page.page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      await frame();
      await frame();
      const log = document.querySelector(".log");
      return Math.round(log.scrollHeight - log.scrollTop - log.clientHeight);
    });
  const box = page.field("Message");
  for (let rows = 1; rows <= 12; rows += 1) {
    await box.press("Shift+Enter");
    await box.pressSequentially("row");
    assert.ok((await atEnd()) <= 1, `${rows} rows`);
  }
  ben.type("while you write");
  await page.sees("while you write");
  assert.ok((await atEnd()) <= 1);
  for (let rows = 12; rows > 0; rows -= 3) {
    await box.fill("row\n".repeat(rows));
    assert.ok((await atEnd()) <= 1, `down to ${rows} rows`);
  }
  assert.equal(await page.button("Jump to newest").isVisible(), false);
});

scene("a reload in the middle of a share is asked about", async ({ meet, world }) => {
  const { page } = await meet();
  const file = path.join(world.folder, "long.bin");
  await writeFile(file, "");
  await truncate(file, 4096 * MIB);
  await page.field("Message").fill("a draft"); // Browsers ask only after the user did something.
  await page.field("Files to share").setInputFiles(file);
  await page.page.getByRole("progressbar", { name: "Sharing long.bin" }).waitFor();
  const asked = page.page.waitForEvent("dialog");
  page.page.evaluate(() => location.reload()).catch(() => {});
  assert.equal((await asked).type(), "beforeunload");
  await page.button("Cancel sharing long.bin").click();
  page.troubles.length = 0;
});

scene("a file is one row everywhere, numbers are in order, one drop is one card", async (stage) => {
  const { page, ben } = await stage.meet();
  const long = `${"a-very-long-name-".repeat(8)}0007.txt`;
  const names = [long, "page 10.txt", "page 2.txt", "page 1.txt"];
  await page.drop(names.map((name) => ({ name, text: `in ${name}`, type: "text/plain" })));
  await page.log.getByRole("group", { name: /^4 files, offered by ana/ }).waitFor();
  ben.type("said in between");
  await page.sees("said in between");
  const own = path.join(stage.world.folder, "alone.txt");
  await writeFile(own, "text");
  ben.type(`send ${own}`);
  await page.fileButton("Download", "alone.txt").waitFor();
  await page.button("Show all 4 files").click();
  const look = () =>
    page.page.evaluate(() => {
      const rows = [...document.querySelectorAll(".file")];
      return rows.filter(({ offsetParent }) => offsetParent).map((row) => ({
        tall: row.getBoundingClientRect().height,
        out: row.scrollWidth - row.clientWidth,
        end: row.querySelector(".file-tail").getBoundingClientRect().width > 0,
        filled: row.querySelectorAll(".primary").length,
      }));
    });
  const check = async (count) => {
    const rows = await look();
    assert.equal(rows.length, count);
    for (const { tall, out, end, filled } of rows) {
      assert.ok(tall >= 48 && tall <= 56, `${tall} px`);
      assert.ok(out <= 0 && end, "the name is cut before its end");
      assert.equal(filled, 0);
    }
  };
  await check(10);
  const listed = await page.files.locator(".file-name").allTextContents();
  assert.deepEqual(listed, [long, "alone.txt", "page 1.txt", "page 2.txt", "page 10.txt"]);
  await page.page.setViewportSize({ width: 360, height: 740 });
  await check(5);
  await page.button("Files").click();
  await check(10);
});

scene("a drop of more files than the list shows is counted in full after a reload", async (stage) => {
  const { page, ben } = await stage.meet();
  const count = 1100;
  const paths = Array.from({ length: count }, (_, i) => path.join(stage.world.folder, `f${i}.txt`));
  await Promise.all(paths.map((file, i) => writeFile(file, `file ${i}`)));
  for (let i = 0; i < count; i += 100) ben.type(`send ${paths.slice(i, i + 100).join(" ")}`);
  const card = page.log.getByRole("group", { name: /^1100 files, offered by ben/ });
  await card.waitFor();
  await page.page.reload();
  await card.getByText("1100 files", { exact: true }).waitFor();
  await page.button("Download all 1100 files").waitFor();
  assert.doesNotMatch(await card.textContent(), /withdrawn/);
  assert.equal(await page.files.locator(".file").count(), 1000);
  await page.files.getByText(/^And 100 more/).waitFor();
});

scene("301 files are one card, whole, and withdrawn and had again at once", async (stage) => {
  const { ana, page, ben } = await stage.meet();
  const count = 301;
  const of = (event) => ben.events.filter((found) => found.event === event).length;
  const told = async (event, times) => {
    while (of(event) < times) await ben.wait(event);
    assert.equal(of(event), times);
  };
  const names = Array.from({ length: count }, (_, i) => `f${i}.txt`);
  const paths = names.map((name) => path.join(stage.world.folder, name));
  await Promise.all(paths.map((file, i) => writeFile(file, `in ${names[i]}`)));
  for (let i = 0; i < count; i += 100) ana.type(`send ${paths.slice(i, i + 100).join(" ")}`);
  await told("file_offered", count);
  const card = page.log.getByRole("group", { name: /^301 files, offered by ana/ });
  await card.getByText("301 files", { exact: true }).waitFor();
  assert.equal(await page.log.locator(".offers").count(), 1);
  assert.equal(await page.log.locator(".entry-body > .file").count(), 0);
  await page.button("Show all 301 files").click();
  assert.equal(await card.locator(".file").count(), 100);
  await page.button("Show 201 more files").click();
  const listed = await card.locator(".file-name").allTextContents();
  assert.deepEqual(listed, ["301 files", ...names]);
  await assertFocused(page, "the rest is shown");
  assert.equal(await page.button(/more file/).count(), 0);
  await page.fileButton("Withdraw", "f7.txt").click();
  const rest = page.log.getByRole("group", { name: /^300 files, offered by ana/ });
  await rest.getByText(/· 1 withdrawn/).waitFor();
  await page.button("Withdraw all 300 files").click();
  const note = page.page.locator(".room-alert").filter({ hasText: "300 files are withdrawn." });
  await page.button("Undo", note).click();
  await told("file_withdrawn", count);
  await told("file_offered", count + 300);
  await page.log.getByText("301 files were withdrawn.").waitFor();
  await page.log.getByText("you withdrew 301 files").waitFor();
  await page.log.getByRole("group", { name: /^300 files, offered by ana/ }).waitFor();
  assert.equal(await page.page.getByRole("alert").filter({ hasText: /./ }).count(), 0);
  ben.type("download f300.txt");
  const done = await ben.has("download_finished");
  assert.equal(await readFile(done.path, "utf8"), "in f300.txt");
  assert.equal(ana.events.some(({ event }) => event === "error"), false);
});

scene("of a drop that the first page of history cuts nothing stands by itself", async (stage) => {
  const { page, ben, ana } = await stage.meet();
  const carol = await stage.world.terminal("carol");
  carol.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(2);
  const make = async (name) => {
    const file = path.join(stage.world.folder, name);
    await writeFile(file, name);
    return file;
  };
  const send = async (who, name, count) => {
    const names = Array.from({ length: count }, (_, i) => `${name}${i}.txt`);
    who.type(`send ${(await Promise.all(names.map(make))).join(" ")}`);
    await page.log.getByRole("group", { name: new RegExp(`^${count} files`) }).waitFor();
  };
  // A page begins with the newest 200 entries, so with two of these five.
  await send(ben, "first", 5);
  await send(carol, "then", 198);
  await page.page.reload();
  await page.log.getByText("198 files", { exact: true }).waitFor();
  await page.log.getByText("5 files", { exact: true }).waitFor();
  assert.equal(await page.log.locator(".entry-body > .file").count(), 0);
});

scene("what is most to be known of a file is read at every width", async (stage) => {
  const { page, ben } = await stage.meet();
  const large = path.join(stage.world.folder, "large.bin");
  await writeFile(large, "");
  await truncate(large, 400 * MIB);
  ben.type("limit up 5MB/s");
  const folder = path.join(stage.world.folder, "a folder with quite a long name");
  await mkdir(folder);
  const small = path.join(folder, "report.txt");
  await writeFile(small, "the text");
  ben.type(`send "${small}"`);
  await page.fileButton("Download", "report.txt").click();
  await page.files.getByText("saved", { exact: true }).waitFor();
  ben.type(`send ${large}`);
  await page.fileButton("Download", "large.bin").click();
  await page.files.getByText(/ left$/).waitFor();
  /** The facts that can be read as a whole, of every visible row. */
  const read = () =>
    page.page.evaluate(() =>
      [...document.querySelectorAll(".file")].filter(({ offsetParent }) => offsetParent).map((row) => {
        const facts = row.querySelector(".file-facts");
        const { bottom } = facts.getBoundingClientRect();
        const spans = [...facts.children].filter(
          (span) =>
            span.getBoundingClientRect().top < bottom - 4 && span.scrollWidth <= span.clientWidth,
        );
        const tall = row.getBoundingClientRect().height;
        return { text: spans.map(({ textContent }) => textContent).join(""), tall };
      }),
    );
  const check = async (width, most) => {
    await page.page.setViewportSize({ width, height: 860 });
    const look = async () => {
      const rows = await read();
      assert.ok(rows.length >= 2);
      for (const { tall } of rows) assert.ok(tall >= 48 && tall <= 56, `${tall} px`);
      const all = rows.map(({ text }) => text);
      const shown = `${width}: ${all.join(" | ")}`;
      assert.ok(all.some((text) => most.test(text)), shown);
      for (const words of [/^saved · 8 B/, /^\d+ (s|min) left/]) {
        assert.equal(all.filter((text) => words.test(text)).length, all.length / 2, shown);
      }
    };
    await look();
    if (width < 860) {
      await page.button("Files").click();
      await look();
      await page.button("Files").click();
    }
  };
  await check(1280, /left · [\d.]+ MB of 419\.4 MB/);
  await check(390, /left · [\d.]+ MB of 419\.4 MB/);
  await check(360, /left/);
});

scene("an own offer is from you, wherever its source lies", async (stage) => {
  const { ana, page, ben } = await stage.meet();
  const file = path.join(stage.world.folder, "report.txt");
  await writeFile(file, "the text");
  ana.type(`send ${file}`);
  await ben.has("file_offered");
  await page.fileButton("Save", "report.txt").waitFor();
  await page.page.reload();
  await page.fileButton("Save", "report.txt").waitFor();
  const row = (author) => page.files.locator(".file").filter({ hasText: `from ${author}` });
  const own = async () => {
    const facts = row("you").locator(".file-facts");
    assert.equal(await facts.textContent(), "8 B · from you");
    assert.equal(await facts.getAttribute("title"), "8 B · from you");
    assert.equal(await row("you").getByRole("button", { name: /^(Download|Resume) / }).count(), 0);
  };
  await own();
  // Other members that have it, and offer it too, do not change that.
  ben.type("download report.txt");
  const { path: copy } = await ben.has("download_finished");
  ben.type(`send ${copy}`);
  await row("ben").getByText(/2 have it/).waitFor();
  await own();
  const carol = await stage.world.terminal("carol");
  carol.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(2);
  const theirs = path.join(stage.world.folder, "other.txt");
  await writeFile(theirs, "another text");
  carol.type(`send ${theirs}`);
  await page.fileButton("Download", "other.txt").waitFor();
  ana.type(`send ${theirs}`);
  const both = page.files.locator(".file").filter({ hasText: "other.txt" });
  await both.nth(1).waitFor();
  await page.files.getByRole("button", { name: /^Download other/ }).waitFor({ state: "hidden" });
  await page.page.reload();
  await row("carol").waitFor();
  assert.equal(await both.count(), 2);
  assert.equal(await page.files.getByRole("button", { name: /^Download / }).count(), 0);
  const last = path.join(stage.world.folder, "last.txt");
  await writeFile(last, "gone with carol");
  carol.type(`send ${last}`);
  await page.fileButton("Download", "last.txt").waitFor();
  carol.type("quit");
  await page.files.getByText(/^nobody here has it/).waitFor();
});

scene("beside three buttons the name of a file is read, however wide the window", async (stage) => {
  const { page } = await stage.meet();
  await page.drop([{ name: "my notes of today.md", text: "# notes", type: "text/markdown" }]);
  await page.fileButton("Withdraw", "my notes of today.md").waitFor();
  for (const width of [360, 420, 768, 1024, 1280, 1920]) {
    await page.page.setViewportSize({ width, height: 800 });
    const cut = await page.log.locator(".file").evaluate((row) => {
      const head = row.querySelector(".file-head");
      const facts = row.querySelector(".file-facts");
      const line = facts.getBoundingClientRect().bottom - 4;
      const below = [...facts.children].filter((part) => part.getBoundingClientRect().top > line);
      return { name: head.scrollWidth - head.clientWidth, facts: below.length };
    });
    assert.deepEqual(cut, { name: 0, facts: 0 }, `${width} px`);
  }
});
