/** What the page's files must look like. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../../frontend", import.meta.url));

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

const files = filesBelow(PAGE).map((path) => ({
  name: `/${relative(PAGE, path)}`,
  text: readFileSync(path, "utf8"),
}));
const ending = (suffix) => files.filter(({ name }) => name.endsWith(suffix));

test("nothing makes markup or code out of strings", () => {
  const banned = [
    /\.(inner|outer)HTML/,
    /insertAdjacentHTML|setHTML|createContextualFragment|DOMParser|document\.write/,
    /\beval\(|new Function|setTimeout\(["'`]/,
    /\.srcdoc|javascript:/,
    /\.cssText|setAttribute\("style"/,
  ];
  for (const { name, text } of ending(".js")) {
    for (const pattern of banned) assert.doesNotMatch(text, pattern, name);
  }
});

test("nothing is loaded from elsewhere", () => {
  const elsewhere = /(?:src|href|url|import|from|fetch)\s*[=(]?\s*["'`(]\s*(?:https?:)?\/\//;
  for (const { name, text } of files) assert.doesNotMatch(text, elsewhere, name);
});

test("every stylesheet is linked, and everything that is linked or imported is there", () => {
  const names = new Set(files.map(({ name }) => name));
  const index = files.find(({ name }) => name === "/index.html").text;
  const linked = [...index.matchAll(/(?:href|src)="(\/[^"]+)"/g)].map(([, path]) => path);
  for (const path of linked) assert.ok(names.has(path), path);
  const scripts = ending(".js").map(({ text }) => text).join("\n");
  const later = [...scripts.matchAll(/\bsheet\("(\/[^"]+)"\)/g)].map(([, path]) => path);
  for (const path of later) assert.ok(names.has(path), path);
  for (const { name } of ending(".css")) assert.ok([...linked, ...later].includes(name), name);
  for (const { name, text } of ending(".js")) {
    for (const [, path] of text.matchAll(/(?:from |import |import\()"(\.[^"]+)"/g)) {
      const found = new URL(path, `file://${name}`).pathname;
      assert.ok(names.has(found), `${name} imports ${path}`);
    }
  }
});

test("lines fit, and files are short", () => {
  for (const { name, text } of files) {
    const lines = text.split("\n");
    assert.ok(lines.length <= 600, `${name} has ${lines.length} lines`);
    const long = lines.find((line) => line.length > 100);
    assert.equal(long, undefined, name);
  }
});

test("the whole page is small", () => {
  const headBytes = 260; // What klatch writes before each file.
  const later = [
    "/components/composer/commands.js",
    "/components/dialog/invite-dialogs.js",
    "/components/dialog/member-dialogs.js",
    "/components/dialog/room-dialogs.js",
    "/components/file/offers.js",
    "/components/file/strip.js",
    "/components/file/tree.css",
    "/components/file/tree.js",
    "/components/files/shares.js",
    "/components/preview/preview.css",
    "/components/preview/preview.js",
    "/lib/bitmap.js",
    "/lib/find.js",
    "/lib/gather.js",
    "/lib/many.js",
    "/lib/share.js",
    "/lib/stakes.js",
    "/lib/ticks.js",
    "/lib/types.js",
    "/lib/words.js",
    "/package.json",
  ];
  const sizes = files
    .filter(({ name }) => !later.includes(name))
    .map(({ text }) => Buffer.byteLength(text) + headBytes);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(bytes < 200_000, `${bytes} bytes`);
});
