/** Real klatch processes, in folders of their own, read through `--json`. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, mkdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BINARY = path.resolve(ROOT, process.env.KLATCH_BIN ?? "target/debug/klatch");

/** How long anything may take before a test fails; nothing waits this long when all is well. */
export const DEADLINE_MS = Number(process.env.KLATCH_DEADLINE_MS ?? 30_000);

/** A klatch process. */
export class Klatch {
  events = [];
  errors = "";
  #lines = [];
  #waiting = new Set();
  #seen = 0;

  /**
   * @param {string} name
   * @param {string} folder  everything of this process lies below it
   * @param {string[]} options
   */
  constructor(name, folder, options) {
    this.name = name;
    this.folder = folder;
    this.downloads = path.join(folder, "downloads");
    this.process = spawn(BINARY, options, {
      cwd: this.downloads,
      env: {
        ...process.env,
        HOME: folder,
        XDG_DATA_HOME: path.join(folder, "data"),
        NO_COLOR: "1",
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.ended = once(this.process, "exit").then(([code]) => code);
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#hear(line));
    this.process.stderr.setEncoding("utf8").on("data", (text) => (this.errors += text));
    this.process.stdin.on("error", () => {}); // It may have ended; the test sees that elsewhere.
  }

  #hear(line) {
    this.#lines.push(line);
    try {
      this.events.push(JSON.parse(line));
    } catch {
      // Lines for people, from a process started without --json.
    }
    for (const look of this.#waiting) look();
  }

  /** Writes a line to its stdin. */
  type(line) {
    this.process.stdin.write(`${line}\n`);
  }

  /**
   * The first event from now on, or after the one that the last wait found, that fits.
   * @param {string} event
   * @param {(found: any) => boolean} [fits]
   */
  wait(event, fits = () => true) {
    return this.#until(`${event} of ${this.name}`, () => {
      const index = this.events.findIndex(
        (found, at) => at >= this.#seen && found.event === event && fits(found),
      );
      if (index < 0) return undefined;
      this.#seen = index + 1;
      return this.events[index];
    });
  }

  /** The first matching event of all, for what may have come before the wait began. */
  has(event, fits = () => true) {
    return this.#until(`${event} of ${this.name}`, () =>
      this.events.find((found) => found.event === event && fits(found)),
    );
  }

  /** A line for people that matches the pattern; resolves with the match. */
  line(pattern) {
    return this.#until(`${pattern} of ${this.name}`, () => {
      for (const line of this.#lines) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      return undefined;
    });
  }

  #until(what, look) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        const last = this.#lines.slice(-12).join("\n");
        reject(new Error(`no ${what} in time; its last lines:\n${last}\n${this.errors}`));
      }, DEADLINE_MS);
      const check = () => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(found);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** The address of its page, which works once. */
  async url() {
    return (await this.has("bridge")).url;
  }

  /** The port on which other peers reach it. */
  async port() {
    const { addresses } = await this.has("listening");
    return Number(addresses.at(-1).split(":").at(-1));
  }

  /** Ends it, by force if necessary. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill("SIGCONT");
      this.process.kill("SIGTERM");
      const timer = setTimeout(() => this.process.kill("SIGKILL"), 5000);
      await this.ended;
      clearTimeout(timer);
    }
  }

  /** Resident memory of its own, in bytes. */
  async memory() {
    return ownMemory(this.process.pid);
  }
}

/**
 * @param {number} pid
 * @returns {Promise<number>} bytes
 */
export async function ownMemory(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)[1]) * 1024;
}

/** Everything that one test starts and leaves behind, removed at its end. */
export class World {
  #klatches = [];
  #made = 0;

  static async create() {
    const world = new World();
    world.folder = await mkdtemp(path.join(tmpdir(), "klatch-page-"));
    return world;
  }

  /** Starts klatch with exactly these options. */
  async start(name, options, folder = path.join(this.folder, `${name}-${++this.#made}`)) {
    await mkdir(path.join(folder, "downloads"), { recursive: true });
    const klatch = new Klatch(name, folder, options);
    this.#klatches.push(klatch);
    return klatch;
  }

  /** A peer with a page; options given here replace the usual ones. */
  async browser(name, options = [], folder = undefined) {
    const common = ["--ui", "browser", "--no-open", "--json", "--name", name];
    const given = (option) => options.includes(option);
    if (!given("--listen")) common.push("--listen", "127.0.0.1:0");
    if (!given("--bridge")) common.push("--bridge", "127.0.0.1:0");
    if (!given("--data-dir")) common.push("--ephemeral");
    return this.start(name, [...common, ...options], folder);
  }

  /** A peer in a terminal. */
  async terminal(name, options = []) {
    const common = ["--ui", "terminal", "--json", "--stay", "--ephemeral"];
    return this.start(name, [...common, "--name", name, "--listen", "127.0.0.1:0", ...options]);
  }

  async end() {
    await Promise.all(this.#klatches.map((klatch) => klatch.stop()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
