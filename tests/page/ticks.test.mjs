/** What is ticked in a folder. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { levelOf, sum, tickOf, toggled } from "../../frontend/lib/ticks.js";

const compare = (left, right) => (left < right ? -1 : 1);
const told = (path, list, more = 0) => ({ event: "folder", path, list, more });
const folder = (name, files, bytes) => ({ name, folder: true, files, bytes });
const one = (name, bytes) => ({ name, folder: false, files: 1, bytes });

/** A folder with two levels that were looked into. */
function levels(more = 0) {
  const top = [one("b.txt", 5), folder("2024", 3, 600), one("a.txt", 7)];
  const below = [folder("summer", 2, 500), one("c.jpg", 100)];
  return new Map([
    ["", levelOf(told("", top, more), compare)],
    ["2024/", levelOf(told("2024/", below), compare)],
  ]);
}

const after = (clicks, of = levels()) =>
  clicks.reduce((ticked, path) => toggled(ticked, of, path), new Set());

test("what is in a folder stands with its folders first, each with its path", () => {
  assert.deepEqual(
    levels().get("").list.map(({ path }) => path),
    ["2024/", "a.txt", "b.txt"],
  );
  assert.equal(levels().get("2024/").list[0].path, "2024/summer/");
});

test("a folder that is ticked is all that is in it", () => {
  const ticked = after(["2024/c.jpg", "2024/"]);
  assert.deepEqual([...ticked], ["2024/"]);
  for (const path of ["2024/", "2024/c.jpg", "2024/summer/", "2024/summer/x"]) {
    assert.equal(tickOf(ticked, path), true, path);
  }
  assert.equal(tickOf(ticked, "a.txt"), false);
  assert.equal(tickOf(after(["2024/c.jpg"]), "2024/"), "mixed");
  assert.equal(tickOf(after(["2024/c.jpg"]), "2024/summer/"), false);
});

test("taking one out of a folder leaves what is beside it", () => {
  assert.deepEqual([...after(["2024/", "2024/c.jpg"])], ["2024/summer/"]);
  const all = after(["2024/", "a.txt", "b.txt"]);
  assert.deepEqual([...all], [""], "all that is in it is the folder");
  const rest = toggled(all, levels(), "2024/c.jpg");
  assert.deepEqual([...rest].sort(), ["2024/summer/", "a.txt", "b.txt"]);
  assert.deepEqual([...toggled(rest, levels(), "2024/c.jpg")], [""]);
  assert.deepEqual([...toggled(all, levels(), "2024/")].sort(), ["a.txt", "b.txt"]);
});

test("a list that is not whole is never taken for the folder", () => {
  const ticked = after(["2024/", "a.txt", "b.txt"], levels(9));
  assert.equal(ticked.has(""), false);
  assert.deepEqual([...after(["2024/c.jpg", "2024/summer/"], levels(9))], ["2024/"]);
});

test("how much is ticked", () => {
  const whole = { files: 5, bytes: 612 };
  assert.deepEqual(sum(after(["2024/", "a.txt"]), levels(), whole), { files: 4, bytes: 607 });
  assert.deepEqual(sum(after(["2024/c.jpg"]), levels(), whole), { files: 1, bytes: 100 });
  assert.deepEqual(sum(new Set([""]), levels(), whole), whole);
});
