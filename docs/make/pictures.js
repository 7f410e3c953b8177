/** Makes docs/screenshots/ from a real session. Run by `scripts/pictures`. */

import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { World } from "../../tests/browser/lib/klatch.js";
import { Tab, launch } from "../../tests/browser/lib/page.js";
import { scenery } from "./scenery.js";
import { Terminal, endTerminals } from "./terminal.js";

const OUT = fileURLToPath(new URL("../screenshots/", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BINARY = path.resolve(ROOT, process.env.KLATCH_BIN ?? "target/release/klatch");
const PASSWORD = "three blue teapots";
const DESK = { width: 1360, height: 860 };
const PHONE = { width: 390, height: 780 };
/** Addresses of the house in the pictures; `scripts/pictures` lays its network. */
const [ANA, MIRA, JONAS] = (process.env.KLATCH_HOUSE ?? "127.0.0.1,127.0.0.1,127.0.0.1").split(",");

await mkdir(OUT, { recursive: true });
const browser = await launch();
const world = await World.create();
/** Where the people in the pictures live. */
const homes = process.env.KLATCH_HOMES ? "/home" : world.folder;
const at = await scenery(browser, await home("mira"));
await rename(at("swim-at-six.webm"), path.join(await home("jonas"), "swim-at-six.webm"));
const easel = await browser.newPage({
  viewport: { width: 900, height: 620 },
  deviceScaleFactor: 2,
});

async function home(name) {
  const folder = path.join(homes, name);
  await mkdir(folder, { recursive: true });
  return folder;
}

async function photographTerminal(terminal, name) {
  await easel.setContent(terminal.html({ title: `${terminal.name} in a terminal` }));
  await easel.screenshot({ path: `${OUT}terminal-${name}.png` });
}

/** The same page by day, by night, and on a phone. */
async function photographPage(tab, name, { phone = true } = {}) {
  const { page } = tab;
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: `${OUT}page-${name}-${colorScheme}.png` });
  }
  await page.emulateMedia({ colorScheme: "light" });
  if (!phone) return;
  await page.setViewportSize(PHONE);
  await page.screenshot({ path: `${OUT}page-${name}-phone.png` });
  await page.setViewportSize(DESK);
}

try {
  const listen = (host) => ["--listen", `${host}:0`];
  const ana = await world.browser("ana", listen(ANA), await home("ana"));
  const tab = await Tab.open(browser, { viewport: DESK });
  await tab.goto(ana);
  await tab.button("Create room").waitFor();
  await photographPage(tab, "start");
  await tab.create();
  await photographPage(tab, "empty");

  const port = await ana.port();
  const klatch = async (name, host) =>
    `cd ${await home(name)} && exec ${BINARY} --ui terminal --ephemeral --name ${name} ` +
    `--listen ${host}:0`;
  const mira = new Terminal("mira", await klatch("mira", MIRA));
  await mira.sees(/type a message, or help/);
  mira.line(`connect ${ANA} ${port}`);
  await tab.others(1);
  await photographTerminal(mira, "connecting");

  await tab.more("Lock room");
  await tab.field("New password", tab.dialog("Lock room")).fill(PASSWORD);
  await photographPage(tab, "lock", { phone: false });
  await tab.button("Set password", tab.dialog("Lock room")).click();
  await mira.sees(/closed the room/);

  const jonas = new Terminal("jonas", await klatch("jonas", JONAS));
  await jonas.sees(/type a message, or help/);
  jonas.line(`connect ${ANA} ${port}`);
  await jonas.sees(/Password of the room/);
  jonas.line("not the password");
  await jonas.sees(/That is not the password/);
  await photographTerminal(jonas, "password");
  jonas.line(PASSWORD);
  await tab.others(2);

  const said = [
    [mira, "Morning! Is the cabin still free in the second week of August?"],
    [jonas, "It is. She keeps it for us until Friday."],
    [tab, "Then let's take it. I bring the big tent for whoever sleeps outside."],
    [
      mira,
      "Who drives? There is a train to https://en.wikipedia.org/wiki/Abisko, and no bus after nine.",
    ],
    [jonas, "I do. Three seats left, four if nobody minds the dog."],
    [
      tab,
      "Nobody minds the dog. I put the money into a small script, so that we can argue about facts:\n" +
        "```\n$ split --people 5 --nights 7\ncabin    3 500 kr    700 each\npetrol   1 150 kr    230 each\n```",
    ],
  ];
  for (const [who, text] of said) {
    if (who === tab) await tab.say(text);
    else who.line(text);
    await tab.sees(text.split("\n")[0].slice(0, 40));
  }
  mira.line("send lake-at-six.jpg");
  await tab.fileButton("Download", "lake-at-six.jpg").click();
  await tab.fileButton("Save", "lake-at-six.jpg").waitFor();
  mira.line("This is what waits for you at six in the morning.");
  await tab.sees("This is what waits");
  jonas.line("Nobody is awake at six.");
  await tab.field("Files to share").setInputFiles(at("packing-list.txt"));
  await tab.fileButton("Withdraw", "packing-list.txt").waitFor();
  await tab.say("The list so far. Add what is missing, please.");
  await tab.message("The list so far").getByText("2 of 2 have it").waitFor();
  await photographPage(tab, "chat");
  await tab.page.setViewportSize({ width: 1920, height: 1080 });
  await tab.page.screenshot({ path: `${OUT}page-chat-wide.png` });
  await tab.page.setViewportSize(DESK);

  await tab.fileButton("Show", "lake-at-six.jpg").click();
  const preview = tab.dialog("Preview of lake-at-six.jpg");
  await tab.page.waitForFunction(
    (image) => image.complete,
    await preview.locator("img").elementHandle(),
  );
  await photographPage(tab, "preview", { phone: false });
  await tab.page.keyboard.press("Escape");

  jonas.line("send swim-at-six.webm");
  await tab.fileButton("Download", "swim-at-six.webm").waitFor({ timeout: 120_000 });
  mira.line("download swim-at-six.webm");
  await tab.fileButton("Download", "swim-at-six.webm").click();
  await ana.has("download_progress", ({ bytes_done: done, file }) => done > file.size / 3);
  await tab.page.screenshot({ path: `${OUT}page-transfer-light.png` });
  await photographTerminal(mira, "transferring");
  await tab.page.emulateMedia({ colorScheme: "dark" });
  await tab.page.screenshot({ path: `${OUT}page-transfer-dark.png` });
  await tab.page.setViewportSize(PHONE);
  await tab.button("Files").click();
  await tab.page.emulateMedia({ colorScheme: "light" });
  await tab.page.screenshot({ path: `${OUT}page-transfer-phone.png` });
  await tab.button("Files").click();
  await tab.page.setViewportSize(DESK);

  await ana.stop();
  await tab.hears("Connection", "Reconnecting…");
  await photographPage(tab, "reconnecting", { phone: false });
} finally {
  await browser.close();
  endTerminals();
  await world.end();
}
