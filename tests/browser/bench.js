/**
 * Figures of the page, each beside its goal. Run by `scripts/bench-page`; a missed goal is marked,
 * but is no failure.
 */

import { World } from "./lib/klatch.js";
import { Tab, launch } from "./lib/page.js";

const HISTORY = 5000;
const LOADS = 7;
const MESSAGES = 1000;
const FILES = 300;

function figure(name, value, unit, goal) {
  const marked = value <= goal ? "ok" : "MISSED";
  const shown = `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
  console.log(`${name.padEnd(58)} ${shown.padStart(14)}   goal ${goal} ${unit}   ${marked}`);
}

const sorted = (values) => [...values].sort((a, b) => a - b);
const quantile = (values, q) => sorted(values)[Math.ceil(values.length * q) - 1];

/** When each message that begins with a word was painted, on the clock of all processes. */
function watchPaint() {
  globalThis.painted = {};
  const look = (node) => {
    const [, word] = /((?:old|new)-\d+\.)/.exec(node.textContent ?? "") ?? [];
    if (!word || globalThis.painted[word]) return;
    requestAnimationFrame(() => {
      globalThis.painted[word] = performance.timeOrigin + performance.now();
      globalThis.onPainted?.(word);
    });
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(look);
  }).observe(document, { childList: true, subtree: true });
}

async function firstPaint(browser, world) {
  const ben = await world.terminal("ben");
  for (let i = 1; i <= HISTORY; i += 1) ben.type(`old-${i}. with a few words behind it`);
  const last = ({ text }) => text?.startsWith(`old-${HISTORY}.`);
  await ben.has("message", last);
  const ana = await world.browser("ana");
  ana.type(`connect 127.0.0.1 ${await ben.port()}`);
  await ana.has("message", last);
  const tab = await Tab.open(browser);
  await tab.page.addInitScript(watchPaint);
  await tab.goto(ana);
  await tab.sees(`old-${HISTORY}.`);
  const times = [];
  for (let load = 0; load < LOADS; load += 1) {
    await tab.page.reload();
    await tab.sees(`old-${HISTORY}.`);
    const word = `old-${HISTORY}.`;
    const shown = await tab.page.waitForFunction((w) => globalThis.painted[w], word);
    times.push((await shown.jsonValue()) - (await tab.page.evaluate(() => performance.timeOrigin)));
  }
  figure(
    `first paint of the room with ${HISTORY} messages, median`,
    quantile(times, 0.5),
    "ms",
    1000,
  );
  figure(
    `first paint of the room with ${HISTORY} messages, slowest`,
    Math.max(...times),
    "ms",
    1000,
  );
  const most = await tab.page.evaluate(async () => {
    const log = document.querySelector("[role=log]");
    let count = 0;
    for (let step = 0; step < 100; step += 1) {
      log.scrollTop = 0;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      count = Math.max(count, log.querySelectorAll("[data-key]").length);
    }
    return count;
  });
  figure("message elements at once, scrolling to the oldest", most, "elements", 300);
  await tab.close();
}

async function latency(browser, world) {
  const ana = await world.browser("ana");
  const tab = await Tab.open(browser);
  await tab.page.addInitScript(watchPaint);
  const session = await tab.context.newCDPSession(tab.page);
  await session.send("Network.enable");
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await tab.goto(ana);
  await tab.create();
  figure("transferred for the page", bytes, "bytes", 150_000);
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await tab.others(1);
  let next;
  await tab.page.exposeFunction("onPainted", () => next());
  const arrived = {};
  for (let i = 1; i <= MESSAGES; i += 1) {
    const painted = new Promise((resolve) => (next = resolve));
    const here = ana.has("message", ({ text }) => text === `new-${i}.`);
    here.then(() => (arrived[i] = performance.timeOrigin + performance.now()));
    ben.type(`new-${i}.`);
    await Promise.all([painted, here]);
    ana.events.length = 0;
  }
  const shown = await tab.page.evaluate(() => globalThis.painted);
  const delays = Object.keys(arrived).map((i) => shown[`new-${i}.`] - arrived[i]);
  figure(
    `arrival to paint, ${MESSAGES} messages, p50`,
    Math.max(0, quantile(delays, 0.5)),
    "ms",
    50,
  );
  figure(
    `arrival to paint, ${MESSAGES} messages, p99`,
    Math.max(0, quantile(delays, 0.99)),
    "ms",
    50,
  );
  await tab.close();
}

/** Drops many small files at once, and waits until the other peer was offered all of them. */
async function drop(browser, world) {
  const ana = await world.browser("ana");
  const tab = await Tab.open(browser);
  await tab.goto(ana);
  await tab.create();
  const ben = await world.terminal("ben");
  ben.type(`connect 127.0.0.1 ${await ana.port()}`);
  await tab.others(1);
  const files = Array.from({ length: FILES }, (_, i) => ({
    name: `file ${i}.txt`,
    text: `content ${i} `.repeat(2000),
    type: "text/plain",
  }));
  const began = performance.now();
  await tab.drop(files);
  await ben.has("file_offered", ({ folder }) => folder?.files === FILES);
  figure(`${FILES} files dropped, until they are offered`, performance.now() - began, "ms", 5000);
  await tab.close();
}

const browser = await launch();
const world = await World.create();
try {
  await firstPaint(browser, world);
  await latency(browser, world);
  await drop(browser, world);
} finally {
  await browser.close();
  await world.end();
}
