/** Chromium, and the page as people use it: everything is found by its label or its role. */

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { DEADLINE_MS } from "./klatch.js";

const OPTIONS = {
  executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
  args: [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  ],
};

/** @returns {Promise<import("playwright-core").Browser>} */
export function launch() {
  return chromium.launch(OPTIONS);
}

/** One tab, with methods named after what a person does in it. */
export class Tab {
  /** @type {string[]} what must not happen on a page */
  troubles = [];

  /**
   * @param {import("playwright-core").Browser} browser
   * @param {object} [options]  of the context
   */
  static async open(browser, options = {}) {
    const context = await browser.newContext({
      viewport: { width: 1360, height: 860 },
      locale: "en-GB",
      ...options,
    });
    return Tab.inContext(context);
  }

  /** @param {import("playwright-core").BrowserContext} context */
  static async inContext(context) {
    context.setDefaultTimeout(DEADLINE_MS);
    const tab = new Tab();
    tab.context = context;
    tab.page = await context.newPage();
    tab.page.on("pageerror", (error) => tab.troubles.push(String(error.stack)));
    tab.page.on("dialog", (dialog) => {
      tab.troubles.push(`dialog ${dialog.message()}`);
      dialog.dismiss();
    });
    await tab.page.exposeFunction("reportTrouble", (text) => tab.troubles.push(text));
    await tab.page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) =>
        globalThis.reportTrouble(
          `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`,
        ),
      );
    });
    return tab;
  }

  async goto(klatch) {
    await this.page.goto(await klatch.url());
    return this;
  }

  button(name, scope = this.page) {
    return scope.getByRole("button", { name, exact: true });
  }

  field(label, scope = this.page) {
    return scope.getByLabel(label, { exact: true });
  }

  region(name) {
    return this.page.getByRole("region", { name, exact: true });
  }

  dialog(name) {
    return this.page.getByRole("dialog", { name, exact: true });
  }

  status(name) {
    return this.page.getByRole("status", { name, exact: true });
  }

  get log() {
    return this.page.getByRole("log", { name: "Messages" });
  }

  get files() {
    return this.region("Files");
  }

  message(text) {
    return this.log.getByRole("article").filter({ hasText: text });
  }

  /** Chooses an item of the menu `More`. */
  async more(name) {
    await this.button("More").click();
    await this.button(name, this.page.locator("#more-menu")).click();
  }

  /** Waits until the page shows that the room is open or closed. */
  async isClosed(closed = true) {
    await this.page.getByText(closed ? "Closed room" : "Open room", { exact: true }).waitFor();
  }

  /** Opens the room again, and confirms it. */
  async unlock() {
    await this.more("Unlock room");
    await this.button("Unlock room", this.dialog("Unlock room")).click();
  }

  /** Leaves the room or quits klatch when there is something to lose, and confirms it. */
  async end(name) {
    await this.more(name);
    await this.button(name, this.dialog(name)).click();
  }

  /** A member's row. */
  member(name) {
    const named = this.page.getByText(name, { exact: true });
    return this.region("Members").getByRole("listitem").filter({ has: named });
  }

  /** A button of a file in the list of files. */
  fileButton(word, file) {
    return this.button(`${word} ${file}`, this.files);
  }

  async create({ name, password } = {}) {
    if (name) await this.field("Your name").fill(name);
    if (password) await this.field("Room password").fill(password);
    await this.button("Create room").click();
    await this.log.or(this.page.getByText("The table is set.")).first().waitFor();
  }

  async join(port, { name, password, address = "127.0.0.1" } = {}) {
    if (name) await this.field("Your name").fill(name);
    if (password) await this.field("Room password").fill(password);
    await this.field("Address").fill(address);
    await this.field("Port").fill(String(port));
    await this.button("Join room").click();
  }

  async say(text) {
    await this.field("Message").fill(text);
    await this.field("Message").press("Enter");
  }

  async sees(text) {
    await this.message(text).first().waitFor();
  }

  /** Waits until the page reports that something went wrong. */
  async says(text) {
    await this.page.getByRole("alert").filter({ hasText: text }).waitFor();
  }

  /** Waits until a status shows this. */
  async hears(status, text) {
    await this.status(status)
      .filter({ hasText: new RegExp(`^${text}$`) })
      .waitFor();
  }

  async others(count) {
    const text = ["Nobody else is here yet", "1 other here"][count] ?? `${count} others here`;
    await this.hears("People", text);
  }

  /** Gives files to the page as a drop would. */
  async drop(files) {
    const transfer = await this.page.evaluateHandle((list) => {
      const data = new DataTransfer();
      for (const { name, text, type } of list) data.items.add(new File([text], name, { type }));
      return data;
    }, files);
    for (const type of ["dragenter", "dragover", "drop"]) {
      await this.page.dispatchEvent("body", type, { dataTransfer: transfer });
    }
  }

  /** Drops what lies there on the page, as from a file manager; folders are folders. */
  async dropFromDisk(files) {
    const session = await this.context.newCDPSession(this.page);
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await session.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    }
    await session.detach();
  }

  /** What a page must never do, and how it must always fit its window. */
  async assertSound() {
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} px wider than its window`);
    assert.deepEqual(this.troubles, []);
  }

  async close() {
    await this.context.close();
  }
}
