/** Who gets together, from which face, and with which password. */

import assert from "node:assert/strict";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const PASSWORD = "three blue teapots";

scene("the page creates a room and a terminal joins", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create({ name: "Ana Maria" });
  await page.others(0);
  await page.say("is anybody there?");
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  const said = await ben.has("message", ({ text }) => text === "is anybody there?");
  assert.equal(said.from.name, "Ana Maria");
  await page.others(1);
  ben.type("yes, I am");
  await page.sees("yes, I am");
  await page.log.getByRole("article", { name: /^ben, \d\d:\d\d$/ }).waitFor();
  await page.message("is anybody there?").getByText("1 of 1 have it").waitFor();
  await page.region("Members").getByText("ben", { exact: true }).waitFor();
});

scene("a terminal has a room and the page joins", async ({ world, open }) => {
  const ben = await world.terminal("ben");
  ben.type("said before anybody came");
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.join(await ben.port());
  await page.others(1);
  await page.sees("said before anybody came");
  await page.say("first line\nsecond line");
  const said = await ben.has("message", ({ own }) => !own);
  assert.equal(said.text, "first line\nsecond line");
});

scene("page to page, each in step with its own terminal", async ({ world, open }) => {
  const [ana, ben] = [await world.browser("ana"), await world.browser("ben")];
  const [left, right] = [await open(ana), await open(ben)];
  await left.create();
  await right.join(await ana.port());
  await left.others(1);
  await right.others(1);
  await left.say("hello ben");
  await right.sees("hello ben");
  ben.type("typed in the terminal");
  await left.sees("typed in the terminal");
  await right.sees("typed in the terminal");
  await ana.has("message", ({ text }) => text === "typed in the terminal");
});

scene("the page locks, and a terminal needs the password", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create({ password: PASSWORD });
  await page.isClosed();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  ben.type("not the password");
  await ben.has("error", ({ code }) => code === "wrong_password");
  await page.others(0);
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  ben.type(PASSWORD);
  assert.equal((await ben.has("joined")).locked, true);
  await page.others(1);
});

scene(
  "a terminal locks, and the page asks until the password is right",
  async ({ world, open }) => {
    const ben = await world.terminal("ben");
    ben.type(`password ${PASSWORD}`);
    await ben.has("room_locked");
    const ana = await world.browser("ana");
    const page = await open(ana);
    await page.join(await ben.port());
    const dialog = page.dialog("Room is locked");
    await page.field("Room password", dialog).fill("not the password");
    await page.button("Enter room", dialog).click();
    const alert = dialog.getByRole("alert").filter({ hasText: /./ });
    assert.equal(await alert.getAttribute("data-code"), "wrong_password");
    await page.button("Cancel", dialog).click();
    await dialog.waitFor({ state: "detached" });
    await page.button("Join room").click();
    await page.field("Room password", dialog).fill(PASSWORD);
    await page.field("Room password", dialog).press("Enter");
    await page.others(1);
    await page.isClosed();
  },
);

scene(
  "a password given at the start opens a locked room, and no open one",
  async ({ world, open }) => {
    const ben = await world.terminal("ben");
    const ana = await world.browser("ana");
    const page = await open(ana);
    await page.join(await ben.port(), { password: PASSWORD });
    const alert = page.page.getByRole("alert").filter({ hasText: /./ });
    await alert.waitFor();
    assert.equal(await alert.getAttribute("data-code"), "room_not_locked");
    ben.type(`password ${PASSWORD}`);
    await ben.has("room_locked");
    await page.button("Join room").click();
    await page.others(1);
  },
);

scene(
  "lock, change, suggest and unlock from the page; everybody is told",
  async ({ meet }) => {
    const { page, ben } = await meet();
    await page.more("Lock room");
    const dialog = page.dialog("Lock room");
    await page.field("New password", dialog).fill("short");
    await page.button("Set password", dialog).click();
    const alert = dialog.getByRole("alert").filter({ hasText: /./ });
    assert.equal(await alert.getAttribute("data-code"), "password_too_short");
    await page.button("Suggest password", dialog).click();
    const suggested = page.field("New password", dialog);
    await page.page.waitForFunction(
      (input) => input.value.length >= 12,
      await suggested.elementHandle(),
    );
    await page.button("Set password", dialog).click();
    await ben.has("room_locked");
    await dialog.waitFor({ state: "detached" });
    await page.more("Change password");
    await page.field("New password", dialog).fill(PASSWORD);
    await page.button("Set password", dialog).click();
    await dialog.waitFor({ state: "detached" });
    await page.unlock();
    await ben.has("room_unlocked");
    await page.isClosed(false);
    await page.button("More").click();
    await page.button("Lock room").waitFor();
    assert.equal(await page.button("Change password").count(), 0);
  },
);

scene("nobody there is said in the terminal's words", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.join(1);
  const alert = page.page.getByRole("alert").filter({ hasText: /./ });
  await alert.waitFor();
  assert.equal(await alert.getAttribute("data-code"), "unreachable");
  assert.match(await alert.textContent(), /127\.0\.0\.1/);
});

scene("names change, rooms are left, klatch is quit", async ({ meet }) => {
  const { ana, page, ben } = await meet();
  await page.more("Change name");
  const dialog = page.dialog("Change name");
  await page.field("Your name", dialog).fill("anastasia");
  await page.field("Your name", dialog).press("Enter");
  await ben.has("name_changed", ({ member }) => member.name === "anastasia");
  ben.type("name benedict");
  await page.region("Members").getByText("benedict", { exact: true }).waitFor();
  await page.end("Leave room");
  await page.button("Create room").waitFor();
  await ben.has("member_left");
  await page.button("Quit klatch").click();
  await page.page.getByText("klatch has ended.").waitFor();
  assert.equal(await ana.ended, 0);
});

scene("two browser peers on one computer without any option", async ({ world, open }) => {
  const [ana, ben] = [
    await world.start("ana", ["--no-open"]),
    await world.start("ben", ["--no-open"]),
  ];
  const pages = [];
  for (const klatch of [ana, ben]) {
    klatch.type("y");
    const [url] = await klatch.line(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
    const page = await open();
    await page.page.goto(url);
    pages.push(page);
  }
  const [left, right] = pages;
  const [, port] = await ana.line(/connect 127\.0\.0\.1 (\d+)/);
  await left.create();
  await right.join(port);
  await left.others(1);
  await right.say("two on one computer");
  await left.sees("two on one computer");
});

scene("a pasted connect line fills address and port", async ({ world, open }) => {
  const ben = await world.terminal("ben");
  const page = await open(await world.browser("ana"));
  await page.field("Address").fill(`connect 127.0.0.1 ${await ben.port()}`);
  await page.field("Address").press("Enter");
  await page.others(1);
});

scene("the line to send to guests is copied", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.create();
  await page.button("Copy address").click();
  await page.page.getByText("Copied").waitFor();
  const copied = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `connect 127.0.0.1 ${await ana.port()}`);
});
