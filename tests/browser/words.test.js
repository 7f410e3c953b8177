/** What is typed into the box `Message` but is no message. */

import assert from "node:assert/strict";
import { scenes } from "./lib/scene.js";

const scene = scenes();
const SECRET = "three-blue-teapots";

/** Types a line into the box and presses Enter. */
async function type(page, text) {
  await page.field("Message").fill(text);
  await page.field("Message").press("Enter");
}

/** Half a minute's worth. */
const LOOKS = 1_500;

/** Waits until the box `Message` holds this. */
async function holds(page, text) {
  const box = page.field("Message");
  for (let looks = 0; (await box.inputValue()) !== text; looks += 1) {
    assert.ok(looks < LOOKS, `the box holds ${await box.inputValue()}`);
    await page.page.waitForTimeout(20);
  }
}

scene("a line that begins with a slash never reaches the room", async ({ meet }) => {
  const { page, ben } = await meet();
  await type(page, `/password ${SECRET}`);
  const lock = page.dialog("Lock room");
  assert.equal(await page.field("New password", lock).inputValue(), "");
  await page.button("Cancel", lock).click();
  await type(page, "/invite");
  await page.button("Close", page.dialog("Invite")).click();
  for (const [line, name] of [
    ["/quit", "Quit klatch"],
    ["/leave", "Leave room"],
    ["/remove ben", "Remove"],
  ]) {
    await type(page, line);
    await page.button("Cancel", page.dialog(name)).click();
  }
  await type(page, "/nick Anna");
  await ben.has("name_changed", ({ member }) => member.name === "Anna");
  await type(page, "/help");
  await page.page.getByText(/In this box: \/lock, /).waitFor();
  await type(page, "/members");
  await page.page.waitForFunction(() => document.activeElement?.id === "members");
  for (const [line, code, said] of [
    [`/pasword ${SECRET}`, "unknown_command", "did you mean /password?"],
    ["/doctor", "unknown_command", "terminal"],
    ["/kick nobody", "name_not_found", "nobody here is called nobody"],
    ["/quit now", "usage", "/quit"],
  ]) {
    await type(page, line);
    const alert = page.page.locator(`[role="alert"][data-code="${code}"]`);
    await alert.filter({ hasText: said }).filter({ visible: true }).waitFor();
    await holds(page, line);
  }
  await type(page, "/say /quit");
  const { text } = await ben.has("message");
  assert.equal(text, "/quit", "nothing else was sent before it");
});

scene("what may hold a password, and an invitation, are asked about", async ({ meet, world }) => {
  const { page, ben } = await meet();
  await type(page, `pasword ${SECRET}`);
  const asked = page.dialog("Send message");
  await page.button("Cancel", asked).click();
  await holds(page, `pasword ${SECRET}`);
  await type(page, "passwords are for everybody");
  await page.button("Send message", asked).click();
  const { text } = await ben.has("message");
  assert.equal(text, "passwords are for everybody", "nothing else was sent before it");
  const carol = await world.terminal("carol");
  carol.type("/invite");
  const invitation = await carol.has("invitation");
  const join = page.dialog("Join room");
  await type(page, invitation.line);
  await page.button("Join room", join).waitFor();
  await page.page.keyboard.press("Escape");
  await join.waitFor({ state: "detached" });
  await holds(page, invitation.line);
  await type(page, invitation.line);
  await page.button("Send message", join).click();
  await ben.has("message", (said) => said.text === invitation.line);
});

scene("a line that is asked about is not lost by a reload", async ({ meet }) => {
  const { page, ben } = await meet();
  const line = "passwords are for everybody";
  const again = async () => {
    await page.page.reload();
    await page.others(1);
  };
  await type(page, line);
  const asked = page.dialog("Send message");
  await asked.waitFor();
  await holds(page, "");
  await again();
  await holds(page, line);
  await page.field("Message").press("Enter");
  await page.button("Cancel", asked).click();
  await holds(page, line);
  await again();
  await holds(page, line);
  await page.field("Message").press("Enter");
  await page.button("Send message", asked).click();
  await asked.waitFor({ state: "detached" });
  const { text } = await ben.has("message");
  assert.equal(text, line, "nothing else was sent before it");
  await again();
  await page.sees(line);
  await holds(page, "");
  const invitation = `klatch:${"abcdefg234567".repeat(5)}`;
  await type(page, invitation);
  await page.dialog("Join room").waitFor();
  await again();
  await holds(page, invitation);
});

scene("an invitation in the box is entered", async ({ world, open }) => {
  const page = await open(await world.browser("ana"));
  await page.create();
  const carol = await world.terminal("carol");
  carol.type("/invite");
  const { line } = await carol.has("invitation");
  await type(page, line);
  await page.button("Join room", page.dialog("Join room")).click();
  await carol.has("joined", ({ members }) => members[0].name === "ana");
  await page.others(1);
});

scene("Escape at a question ends its command", async ({ meet }) => {
  const { page, ben } = await meet();
  ben.type("hello");
  await page.message("hello").waitFor();
  ben.type("quit");
  await page.status("People").getByText("Nobody else is here yet").waitFor();
  await page.more("Lock room");
  const lock = page.dialog("Lock room");
  await page.field("New password", lock).fill(SECRET);
  await page.button("Set password", lock).click();
  await page.dialog("Confirm").waitFor();
  await page.page.keyboard.press("Escape");
  await lock.getByRole("alert").filter({ hasText: "nothing was changed" }).waitFor();
  await page.isClosed(false);
  await page.button("Set password", lock).click();
  await page.button("No", page.dialog("Confirm")).click();
  await page.isClosed();
});
