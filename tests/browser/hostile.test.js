/** Malicious peers (B6 and B9): their texts stay texts, their files stay inert. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { payloads } from "./lib/payloads.js";
import { scenes } from "./lib/scene.js";

const scene = scenes();

/** What a payload could have created. */
const MADE =
  "img, iframe, object, embed, script:not([src='/main.js']), base, meta[http-equiv], math, " +
  "form[action], a[href^='javascript:' i], a[href^='data:' i], [onerror], [onload], [onclick], " +
  "[onfocus], [onmouseover], [ontoggle], [onbegin], [onanimationstart], [style*='expression']";

async function assertHarmless(page) {
  await page.page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
  assert.equal(await page.page.evaluate(() => globalThis.pwned ?? null), null);
  assert.deepEqual(
    await page.page.locator(MADE).evaluateAll((made) => made.map((one) => one.outerHTML)),
    [],
  );
  await page.assertSound();
  const { width, height } = page.page.viewportSize();
  for (const [name, locator] of [
    ["Message", page.field("Message")],
    ["Send", page.button("Send")],
  ]) {
    const box = await locator.boundingBox();
    const inside =
      box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
    assert.ok(inside, `${name} was pushed out of the window`);
  }
}

scene("B6: 500 payloads in every field that a peer controls", async ({ world, open }) => {
  const list = payloads();
  assert.ok(list.length >= 500 && new Set(list).size === list.length);
  const page = await open();
  let say;
  await page.page.routeWebSocket(/\/ws$/, (socket) => {
    socket.connectToServer();
    say = (notice) => socket.send(JSON.stringify(notice));
  });
  await page.goto(await world.browser("ana"));
  await page.create();
  const time = new Date().toISOString();
  for (const [i, text] of list.entries()) {
    const id = i.toString(16).padStart(64, "0");
    const who = { id, name: text };
    const file = { id, name: text, size: 1e9 };
    const common = {
      from: who,
      time,
      own: false,
      history: false,
      order: `f${String(i).padStart(8, "0")}`,
    };
    const member = { ...who, address: text };
    say({ event: "member_joined", member });
    say({ event: "message", id: `m${id}`, text, known: true, ...common });
    say({ event: "file_offered", file, ...common });
    say({ event: "download_started", file });
    say({ event: "download_progress", file, bytes_done: 1, bytes_per_second: 1, hosts: 1 });
    if (i % 2) say({ event: "download_failed", file, code: "no_host", text });
    else
      say({ event: "download_finished", file, path: text, bytes_fetched: 1, seconds: 1, hosts: 1 });
    say({ event: "name_changed", member, before: text });
    const gone = { me_out: i % 5 === 0, also: [who, who] };
    say({ event: "room_locked", by: who, password: i % 2 === 0, out: [who], me_out: false });
    say({ event: "member_removed", member, by: who, ...gone });
    say({ event: "steward_changed", member, off: false });
    say({ event: "verify", member, words: text, asked: true });
    say({ event: "room_unlocked", by: who });
    say({ event: "notice", text });
    say({ event: "error", line: null, command: null, code: text, text });
    say({ event: "listening", addresses: [text, text] });
    if (i % 50 === 0) await assertHarmless(page);
    if (i % 7 === 0) say({ event: "file_withdrawn", file, ...common });
    if (i % 3 === 0) say({ event: "member_left", member });
  }
  await page.message(list.at(-1).trim()).first().waitFor();
  await assertHarmless(page);
  say({ event: "confirm", line: 1, question: list.join(" ") });
  const question = page.dialog("Confirm");
  await page.button("No", question).click();
  await question.waitFor({ state: "detached" });
  await page.button("Compare words").click();
  await page.button("Cancel", page.dialog("Verify")).click();
  await assertHarmless(page);
  await page.page.setViewportSize({ width: 360, height: 640 });
  await assertHarmless(page);
});

scene("B6: what a real peer can say and offer", async ({ world, open, meet }) => {
  const { ana, page, ben } = await meet("<img src=x onerror=pwned=1>");
  const list = payloads();
  for (const [i, text] of list.entries()) {
    ben.type(`say ${text.replaceAll(/[\0\n\r]/g, " ")}`);
    if (i % 25) continue;
    const file = path.join(world.folder, `${text.replaceAll(/[/\0]/g, "_").slice(0, 60)}.html`);
    await writeFile(file, text);
    ben.type(`send ${file}`);
  }
  ben.type("the end of it");
  await page.sees("the end of it");
  await assertHarmless(page);
});

for (const [name, text] of [
  [
    "page.html",
    "<!doctype html><script>parent.pwned = opener && (opener.pwned = 1)</script><h1>hello</h1>",
  ],
  [
    "picture.svg",
    '<svg xmlns="http://www.w3.org/2000/svg" onload="pwned=1"><script>pwned=1</script></svg>',
  ],
]) {
  scene(
    `B9: a received ${name} is text or an attachment, never a document`,
    async ({ world, open, meet }) => {
      const { page, ben } = await meet();
      const file = path.join(world.folder, name);
      await writeFile(file, text);
      ben.type(`send ${file}`);
      await page.fileButton("Download", name).click();
      await page.fileButton("Save", name).waitFor();
      const [answer] = await Promise.all([
        page.page.waitForResponse((found) => found.url().includes("/files/")),
        page.fileButton("Show", name).click(),
      ]);
      const headers = answer.headers();
      assert.match(headers["content-type"], /^text\/plain/);
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.match(headers["content-security-policy"], /sandbox/);
      await page.dialog(`Preview of ${name}`).getByText("pwned").waitFor();
      const document = await open();
      await document.page.goto(answer.url());
      assert.equal(await document.page.locator("h1, svg").count(), 0);
      assert.equal(await document.page.evaluate(() => globalThis.pwned ?? null), null);
      await page.page.keyboard.press("Escape");
      await assertHarmless(page);
    },
  );
}
