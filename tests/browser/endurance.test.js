/** What remains when connections, tabs and klatch itself come and go. */

import assert from "node:assert/strict";
import { scenes } from "./lib/scene.js";
import { Tab } from "./lib/page.js";

const scene = scenes();

scene(
  "klatch restarts on its port: the page comes back, says so, and offers the last address",
  async ({ restarts }) => {
    const { ana, ben, page, again } = await restarts();
    await page.say("before the restart");
    await page.sees("before the restart");
    await ana.stop();
    await page.hears("Connection", "Reconnecting…");
    await again();
    await page.button("Create room").waitFor();
    await page.page.getByText("this is a new room").waitFor();
    assert.equal(await page.field("Address").inputValue(), "127.0.0.1");
    assert.equal(await page.field("Port").inputValue(), String(await ben.port()));
    await page.button("Join room").click();
    await page.others(1);
    await page.sees("before the restart");
  },
);

scene("a connection that was lost misses nothing", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open();
  const cut = [];
  await page.page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    cut.push(() => Promise.all([socket.close(), server.close()]));
  });
  await page.goto(ana);
  await page.create();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await page.others(1);
  ben.type("one");
  await page.sees("one");
  await cut[0]();
  ben.type("two");
  ben.type("three");
  await page.hears("Connection", "Connected");
  await page.sees("three");
  const said = await page.log.getByRole("article").allTextContents();
  const words = said.map((text) => /one|two|three/.exec(text)?.[0]);
  assert.deepEqual(words, ["one", "two", "three"]);
  assert.equal(cut.length, 2);
});

scene("two tabs are in step, and closing one stops nothing", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const first = await open(ana);
  await first.create();
  await first.say("from the first tab");
  const used = await ana.url();
  ana.type("browser");
  const { url: fresh } = await ana.has("bridge", ({ url }) => url !== used);
  const second = await Tab.inContext(first.context);
  await second.page.goto(fresh);
  await second.sees("from the first tab");
  await second.say("from the second tab");
  await first.sees("from the second tab");
  await first.more("Lock room");
  const dialog = first.dialog("Lock room");
  await first.field("New password", dialog).fill("three blue teapots");
  await first.button("Set password", dialog).click();
  await second.isClosed();
  await second.assertSound();
  await second.page.close();
  await first.say("alone now");
  await first.sees("alone now");
});

scene("a tab reloads into the same room; its address works once", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create();
  await page.page.reload();
  await page.page.getByText("The table is set.").waitFor();
  await page.say("still here");
  await page.page.reload();
  await page.sees("still here");
  assert.equal(new URL(page.page.url()).hash, "");
  const stranger = await open();
  await stranger.page.goto(await ana.url());
  await stranger.page.getByText("Type browser in klatch's terminal for a new address.").waitFor();
  const bare = await open();
  await bare.page.goto(new URL("/", await ana.url()).href);
  await bare.page.getByText("Type browser in klatch's terminal for a new address.").waitFor();
});

scene("an unsent message stays when the connection is gone", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create();
  await ana.stop();
  await page.hears("Connection", "Reconnecting…");
  await page.says(/klatch does not answer/);
  await page.say("keep me");
  assert.equal(await page.field("Message").inputValue(), "keep me");
});
