/** A folder in the page's state: one row, and what is known of a part of it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { units } from "../../frontend/lib/groups.js";
import { initial, reduce } from "../../frontend/lib/state.js";
import { snapshot } from "./room.mjs";

const BEN = { id: "bb".repeat(32), name: "ben" };
const PHOTOS = { id: "f0".repeat(32), name: "photos", size: 61_000_000 };
const FOLDER = { files: 300, bytes: 61_000_000 };

function offer(n, fields = {}) {
  const time = "2026-11-26T14:00:00.000Z";
  const common = { time, own: false, history: false, replaces: null, order: `00${n}` };
  return { event: "file_offered", id: `o${n}`, file: PHOTOS, from: BEN, ...common, ...fields };
}

const inRoom = (notices, fields) => [snapshot(fields), ...notices].reduce(reduce, initial);
const listed = { from: BEN, own: false, hosts: 1, held: false, fetching: false, kept: 0 };

test("a folder is known from its offer, from the list and from the history", () => {
  const single = { id: "f1".repeat(32), name: "a.jpg", size: 9 };
  const told = inRoom([offer(1, { folder: FOLDER }), offer(2, { file: single, folder: null })]);
  assert.deepEqual([told.files.o1.folder, told.files.o2.folder], [FOLDER, null]);
  assert.deepEqual(told.entries.map(({ folder }) => folder), [FOLDER, null]);
  const rows = [{ id: "o1", file: PHOTOS, folder: FOLDER, ...listed }];
  assert.deepEqual(inRoom([], { files: rows }).files.o1.folder, FOLDER);
  const cut = inRoom([], { files_left_out: 1, messages: [offer(1, { folder: FOLDER })] });
  assert.deepEqual(cut.files.o1.folder, FOLDER);
  const older = inRoom([offer(1)]);
  assert.equal(older.files.o1.folder, null, "as an older klatch tells it");
});

test("a folder stands by itself among many files", () => {
  const files = [1, 2, 3, 4].map((n) => offer(n));
  const state = inRoom([...files, offer(5, { folder: FOLDER }), offer(6), offer(7)]);
  const kinds = units(state.entries, null).map(({ kind, folder }) => [kind, Boolean(folder)]);
  assert.deepEqual(kinds, [
    ["offers", false],
    ["offer", true],
    ["offer", false],
    ["offer", false],
  ]);
});

test("a part that was fetched is not the folder, and the whole is", () => {
  const file = PHOTOS;
  const finished = { event: "download_finished", file, path: "/d/photos", bytes_fetched: 5 };
  const begun = inRoom([
    offer(1, { folder: FOLDER }),
    { event: "page_part", file, part: 5_000 },
    { event: "download_started", file },
  ]);
  assert.equal(begun.files.o1.part, 5_000);
  const part = reduce(begun, finished).files.o1;
  assert.deepEqual([part.phase, part.path, part.bytesDone], ["offered", "/d/photos", 0]);
  const again = { event: "page_part", file, part: 0 };
  const whole = [again, { event: "download_started", file }, finished].reduce(reduce, begun);
  assert.deepEqual([whole.files.o1.phase, whole.files.o1.bytesDone], ["held", file.size]);
  // A part that was fetched from elsewhere shows when klatch says what is here.
  const hosts = { event: "hosts", file, hosts: 1, held: false, kept: 0 };
  assert.equal(reduce(whole, hosts).files.o1.phase, "offered");
});

test("where a folder lies is known again after a reload", () => {
  const files = [{ id: "o1", file: PHOTOS, folder: FOLDER, ...listed, held: true }];
  const saved = [{ id: PHOTOS.id, path: "/d/photos" }];
  const row = inRoom([], { files, saved }).files.o1;
  assert.deepEqual([row.phase, row.path], ["held", "/d/photos"]);
});
