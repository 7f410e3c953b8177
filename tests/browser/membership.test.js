/** Who may come in: invitations, a closed room, removed members, and what a page asks about it. */

import assert from "node:assert/strict";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const PASSWORD = "three blue teapots";

/** Makes an invitation in the page; resolves with its text. */
async function invited(page) {
  await page.more("Invite");
  const dialog = page.dialog("Invite");
  await page.button("Make invitation", dialog).click();
  const shown = dialog.getByText(/^klatch klatch:[a-z2-7]+$/);
  const text = (await shown.textContent()).replace("klatch ", "");
  await page.button("Close", dialog).click();
  await dialog.waitFor({ state: "detached" });
  return text;
}

scene("the page invites, and a terminal joins by the text", async ({ world, open }) => {
  const ana = await world.browser("ana");
  const page = await open(ana);
  await page.create();
  const text = await invited(page);
  await page.isClosed();
  const ben = await world.terminal("ben");
  ben.type(`/join ${text}`);
  assert.equal((await ben.has("joined")).locked, true);
  await page.others(1);
  await page.member("ben").getByText("through you").waitFor();
});

scene("a terminal invites, and the page joins by what was pasted", async ({ world, open }) => {
  const ben = await world.terminal("ben");
  ben.type("/invite once 1h");
  const { line, once } = await ben.has("invitation");
  assert.equal(once, true);
  const page = await open(await world.browser("ana"));
  await page.field("Address").fill(line);
  await page.field("Address").press("Enter");
  await page.others(1);
  await page.isClosed();
  const kept = await page.page.evaluate(() => JSON.stringify({ ...sessionStorage }));
  assert.equal(kept.includes("klatch:"), false, "an invitation is kept nowhere");
  const eve = await world.terminal("eve");
  eve.type(`/join ${line}`);
  await eve.has("error", ({ code }) => code === "invitation_used");
});

scene("an invitation is copied, listed and ended", async ({ world, open }) => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const page = await open(await world.browser("ana"), { permissions });
  await page.create();
  await page.more("Invite");
  const dialog = page.dialog("Invite");
  await dialog.getByLabel("Admits one person only").check();
  await dialog.getByLabel("It lasts").selectOption("168");
  await page.button("Make invitation", dialog).click();
  await dialog.getByText(/It admits one person, until/).waitFor();
  await page.button("Copy invitation", dialog).click();
  await dialog.getByText("Copied").waitFor();
  const copied = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^klatch:[a-z2-7]+$/);
  await dialog.getByText(/^yours, until .*, 1 person$/).waitFor();
  await page.button("End my invitations", dialog).click();
  await dialog.getByText(/^yours/).waitFor({ state: "detached" });
  await page.button("Close", dialog).click();
  const ben = await world.terminal("ben");
  ben.type(`/join ${copied}`);
  await ben.has("error");
});

scene("whoever is removed reads so, and the room goes on without them", async ({ world, open }) => {
  const [ana, eve] = [await world.browser("ana"), await world.browser("eve")];
  const [page, hers] = [await open(ana), await open(eve)];
  await page.create({ password: PASSWORD });
  await hers.join(await ana.port(), { password: PASSWORD });
  await page.others(1);
  await page.member("eve").getByRole("button", { name: "Remove" }).click();
  const dialog = page.dialog("Remove");
  await page.button("Remove", dialog).click();
  // In the room or on the start screen, whichever she sees now.
  const told = hers.page.getByText("ana removed you from this room").filter({ visible: true });
  await told.first().waitFor();
  await hers.page.getByText("You are out of this room:").filter({ visible: true }).waitFor();
  const line = hers.page.getByText(/join with$/).filter({ visible: true });
  assert.equal(await line.count(), 0);
  await hers.more("Leave room");
  await hers.dialog("Leave room").getByText("You are out of this room already").waitFor();
  await hers.button("Cancel", hers.dialog("Leave room")).click();
  await page.others(0);
  // The password ended with her membership, so a new one is asked for.
  const again = page.dialog("Lock room");
  await page.field("New password", again).fill("four green kettles");
  await page.button("Set password", again).click();
  await again.waitFor({ state: "detached" });
  await page.log.getByText("changed the password of the room").waitFor();
  const back = await world.terminal("eve");
  back.type(`connect 127.0.0.1 ${await ana.port()} locked`);
  back.type(PASSWORD);
  await back.has("error", ({ code }) => code === "wrong_password");
});

scene("a room is closed without a password", async ({ meet, world }) => {
  const { ana, page, ben } = await meet();
  await page.more("Lock room");
  const dialog = page.dialog("Lock room");
  await dialog.getByLabel("No password: only people with an invitation").check();
  await page.button("Set password", dialog).click();
  const confirm = page.dialog("Confirm");
  await confirm.or(page.page.getByText("Closed room", { exact: true })).first().waitFor();
  if (await confirm.isVisible()) await page.button("Yes", confirm).click();
  await dialog.waitFor({ state: "detached" });
  await page.isClosed();
  assert.equal((await ben.has("room_locked")).password, false);
  const eve = await world.terminal("eve");
  eve.type(`connect 127.0.0.1 ${await ana.port()}`);
  await eve.has("error");
  await page.others(1);
});

scene("closing can be undone for a while", async ({ meet }) => {
  const { page, ben } = await meet();
  await page.more("Lock room");
  await page.field("New password", page.dialog("Lock room")).fill(PASSWORD);
  await page.button("Set password", page.dialog("Lock room")).click();
  await ben.has("room_locked");
  await page.button("Undo").click();
  await ben.has("room_unlocked");
  await page.isClosed(false);
});

scene("a question is asked, and no leaves things as they are", async ({ meet }) => {
  const { page, ben } = await meet();
  await page.more("Lock room");
  await page.field("New password", page.dialog("Lock room")).fill(PASSWORD);
  await page.button("Set password", page.dialog("Lock room")).click();
  await page.isClosed();
  await page.more("Unlock room");
  const dialog = page.dialog("Unlock room");
  await page.button("Cancel", dialog).click();
  await dialog.waitFor({ state: "detached" });
  await page.isClosed();
  assert.equal(ben.events.filter(({ event }) => event === "room_unlocked").length, 0);
});

scene("two compare words, one in a page and one in a terminal", async ({ meet }) => {
  const { page, ben } = await meet();
  await page.member("ben").getByRole("button", { name: "Verify" }).click();
  const dialog = page.dialog("Verify");
  const words = await dialog.locator(".dialog-words").textContent();
  const theirs = await ben.has("verify");
  assert.deepEqual([theirs.words, theirs.asked], [words, true]);
  assert.equal(words.split(" ").length, 4);
  await page.button("They are the same", dialog).click();
  await page.region("Members").getByText("ben✓", { exact: true }).waitFor();
  ben.type("verify ana same");
  await ben.has("member_verified");
});

scene("somebody is hidden here, and seen again", async ({ meet }) => {
  const { page, ben } = await meet();
  const ignore = page.member("ben").getByRole("button", { name: "Ignore" });
  await ignore.click();
  await page.member("ben").getByText("ignored").waitFor();
  ben.type("can you hear me?");
  await ben.has("message", ({ own }) => own);
  await page.say("nothing from ben");
  await ben.has("message", ({ own }) => !own);
  await page.sees("nothing from ben");
  assert.equal(await page.message("can you hear me?").count(), 0);
  await ignore.click();
  await page.member("ben").getByText("ignored").waitFor({ state: "detached" });
  ben.type("and now?");
  await page.sees("and now?");
});

scene("the founder names a steward", async ({ meet }) => {
  const { page, ben } = await meet();
  await page.member("ben").getByRole("button", { name: "Make steward" }).click();
  await page.button("Make steward", page.dialog("Make steward")).click();
  assert.equal((await ben.has("steward_changed")).off, false);
  await page.member("ben").getByText("steward", { exact: true }).waitFor();
});
