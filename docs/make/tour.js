/**
 * Makes docs/tour.webm from a real session: the page creates a room, a terminal joins, files go
 * both ways; then the page joins the terminal's room. Run by `scripts/pictures tour`.
 */

import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { World } from "../../tests/browser/lib/klatch.js";
import { Tab, launch } from "../../tests/browser/lib/page.js";
import { scenery } from "./scenery.js";
import { Terminal, endTerminals } from "./terminal.js";

const OUT = fileURLToPath(new URL("../tour.webm", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BINARY = path.resolve(ROOT, process.env.KLATCH_BIN ?? "target/release/klatch");
const [ANA, MIRA] = (process.env.KLATCH_HOUSE ?? "127.0.0.1,127.0.0.1").split(",");
const PAGE = { width: 1000, height: 720 };
const EASEL = { width: 720, height: 720 };
const READING_MS = 2200;
const KEY_MS = 45;

const browser = await launch();
const world = await World.create();
/** Where the people in the pictures live. */
const homes = process.env.KLATCH_HOMES ? "/home" : world.folder;
const frames = path.join(world.folder, "frames");
await mkdir(frames);

/** @type {{name: string, at: number}[]} pictures of both sides, as they followed one another */
const taken = [];
let caption = "";
let filming = true;

async function home(name) {
  const folder = path.join(homes, name);
  await mkdir(folder, { recursive: true });
  return folder;
}

/** Photographs the page and the terminal side by side until the tour is over. */
async function film(tab, easel, terminal) {
  while (filming) {
    await easel.setContent(terminal.html({ title: "mira, in a terminal", caption }));
    const at = performance.now();
    const [left, right] = await Promise.all([tab.page.screenshot(), easel.screenshot()]);
    const name = String(taken.length).padStart(5, "0");
    await Promise.all([
      writeFile(path.join(frames, `l${name}.png`), left),
      writeFile(path.join(frames, `r${name}.png`), right),
    ]);
    taken.push({ name, at });
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function tell(text) {
  caption = text;
  await pause(READING_MS);
}

/** Types as people do, so that one can read along. */
async function write(tab, label, text) {
  const box = tab.field(label);
  await box.click();
  await box.fill("");
  await box.pressSequentially(text, { delay: KEY_MS });
}

async function enter(terminal, text) {
  for (const key of text) {
    terminal.keys(key);
    await pause(KEY_MS);
  }
  await pause(300);
  terminal.enter();
}

/** Every picture for as long as it stood, both sides in one. */
function develop() {
  const list = (side) => {
    const lines = taken.map(({ name, at }, i) => {
      const seconds = ((taken[i + 1]?.at ?? at + 2500) - at) / 1000;
      return `file '${path.join(frames, side + name)}.png'\nduration ${seconds.toFixed(3)}`;
    });
    return `${lines.join("\n")}\n`;
  };
  return Promise.all([
    writeFile(path.join(frames, "l.txt"), list("l")),
    writeFile(path.join(frames, "r.txt"), list("r")),
  ]);
}

try {
  const at = await scenery(browser, await home("mira"));
  const ana = await world.browser("ana", ["--listen", `${ANA}:0`], await home("ana"));
  const tab = await Tab.open(browser, { viewport: PAGE, reducedMotion: "reduce" });
  await tab.goto(ana);
  await tab.button("Create room").waitFor();
  const mira = new Terminal(
    "mira",
    `cd ${await home("mira")} && exec ${BINARY} --ui terminal --ephemeral --name mira ` +
      `--listen ${MIRA}:0`,
    { columns: 74, rows: 25 },
  );
  await mira.sees(/type a message, or help/);
  const easel = await browser.newPage({ viewport: EASEL });
  const camera = film(tab, easel, mira);

  await tell("klatch: rooms without a server. Ana opens it in her browser.");
  await write(tab, "Room password", "three blue teapots");
  await tell("She creates a room, with a lock on its door.");
  await tab.button("Create room").click();
  await tab.isClosed();
  await tell("Others come in by this line.");
  await enter(mira, `connect ${ANA} ${await ana.port()} locked`);
  await mira.sees(/[Pp]assword/);
  await tell("Mira types it in a terminal, and the password.");
  await enter(mira, "three blue teapots");
  await tab.others(1);
  await tell("Page and terminal are the same room.");
  await enter(mira, "morning! did you see the lake today?");
  await tab.sees("morning!");
  await write(tab, "Message", "No. Show me?");
  await tab.field("Message").press("Enter");
  await tell("Files go both ways, of any size.");
  await enter(mira, `send ${path.basename(at("lake-at-six.jpg"))}`);
  await tab.fileButton("Download", "lake-at-six.jpg").click();
  await tab.fileButton("Show", "lake-at-six.jpg").click();
  await tell("What arrives can be looked at in place.");
  await tab.page.keyboard.press("Escape");
  await tab.field("Files to share").setInputFiles(at("packing-list.txt"));
  await tab.fileButton("Withdraw", "packing-list.txt").waitFor();
  await enter(mira, "download packing-list.txt");
  await mira.sees(/saved as/);
  await tell("Each file is checked, piece by piece, before it counts.");

  await tab.more("Leave room");
  await tab.button("Join room").waitFor();
  await tell("And the other way round: Mira opens a room of her own…");
  await enter(mira, "leave");
  await enter(mira, "tea is ready");
  const [, port] = await mira.sees(/connect \S+ (\d+)/);
  await tell("…and the page joins it.");
  await write(tab, "Address", `connect ${MIRA} ${port}`);
  await pause(500);
  await tab.button("Join room").click();
  await tab.sees("tea is ready");
  await write(tab, "Message", "On my way.");
  await tab.field("Message").press("Enter");
  await mira.sees(/On my way/);
  await tell("No account, no server, no cloud. That is klatch.");
  filming = false;
  await camera;
  await develop();
  const input = (side) => ["-f", "concat", "-safe", "0", "-i", path.join(frames, `${side}.txt`)];
  execFileSync(
    "ffmpeg",
    ["-v", "error", "-y", ...input("l"), ...input("r"), "-filter_complex"].concat(
      ["[0:v][1:v]hstack=inputs=2,fps=12,format=yuv420p", "-c:v", "libvpx-vp9", "-crf", "34"],
      ["-b:v", "0", "-row-mt", "1", "-cpu-used", "3", OUT],
    ),
    { stdio: ["ignore", "inherit", "inherit"] },
  );
} finally {
  filming = false;
  await browser.close();
  endTerminals();
  await world.end();
}
