/** What must not be lost, and what must be asked about: the pure parts. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { compareNames, inTwo } from "../../frontend/lib/format.js";
import { holds, lastKey, units } from "../../frontend/lib/groups.js";
import { keep, keepDraft, recall, recallDraft } from "../../frontend/lib/keep.js";
import { stakes } from "../../frontend/lib/stakes.js";
import { withdrawAll } from "../../frontend/lib/many.js";
import { initial, reduce } from "../../frontend/lib/state.js";
import { ANA, snapshot } from "./room.mjs";

const BEN = { id: "bb".repeat(32), name: "ben" };
const EVE = { id: "ee".repeat(32), name: "eve" };
const file = (n) => ({ id: String(n).padStart(64, "0"), name: `file ${n}.txt`, size: 1000 });
const order = (n) => String(n).padStart(6, "0");
const time = "2026-11-26T14:00:00.000Z";

const entry = (n) => String(n).padStart(64, "e");
const offer = (n, from = BEN, own = false) => ({
  event: "file_offered",
  id: entry(n),
  file: file(n),
  from,
  time,
  own,
  history: false,
  order: order(n),
});
const message = (n, from = BEN) => ({
  event: "message",
  id: `m${n}`,
  from,
  text: `text ${n}`,
  time,
  own: from === ANA,
  history: false,
  order: order(n),
});
const member = (who, own = false) => ({ ...who, address: own ? "" : "10.0.0.2:51692", own });

const SESSION = { event: "session", run: "1", token: "t" };
const inRoom = (notices, fields) => [SESSION, snapshot(fields), ...notices].reduce(reduce, initial);
const texts = ({ entries }) => entries.map(({ text }) => text);

function memory() {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
}

test("ending is asked about where there is company, content or a transfer, and only there", () => {
  assert.deepEqual(stakes(inRoom([])), []);
  assert.match(stakes(inRoom([{ event: "member_joined", member: BEN, at: 1 }]))[0], /^ben stays/);
  assert.match(stakes(inRoom([message(1, ANA)]))[0], /^Nobody else is here/);
  const share = { key: "share-1", name: "a", size: 1, sent: 0, phase: "waiting" };
  assert.equal(stakes(inRoom([{ event: "page_share", share }])).length, 1);
  const fetching = inRoom([offer(1), { event: "download_started", file: file(1) }]);
  assert.ok(stakes(fetching).some((text) => /download of yours is not complete/.test(text)));
  assert.equal(stakes(inRoom([offer(1, ANA, true)])).length, 2);
  const locked = { room: { id: "r1", locked: true, settled: true } };
  assert.match(stakes(inRoom([], locked))[0], /password and invitations/);
  const out = stakes({ ...fetching, standing: "outside" });
  assert.match(out[0], /^You are out of this room already/);
  assert.ok(out.some((text) => /download of yours is not complete/.test(text)));
  assert.ok(!out.some((text) => /Nobody else is here/.test(text)));
});

test("while klatch does not answer nobody is shown, and then whoever is there", () => {
  const members = [member(ANA, true), member(BEN)];
  const state = inRoom([], { members });
  const tried = reduce(state, { event: "page_connection", status: "reconnecting" });
  assert.equal(tried.members, state.members, "a short break changes nothing in sight");
  const away = reduce(tried, { event: "page_connection", status: "away" });
  assert.deepEqual(away.members, []);
  assert.deepEqual(away.lastAddress, { host: "10.0.0.2", port: 51692 });
  const back = reduce(away, snapshot({ members }));
  assert.deepEqual(
    back.members.map(({ name }) => name),
    ["ben"],
  );
});

test("lines of klatch's own come back between what was said", () => {
  const storage = memory();
  const members = [member(ANA, true), member(EVE), member(BEN)];
  const before = inRoom([
    message(1),
    { event: "member_joined", member: EVE, at: 5 },
    { event: "member_joined", member: BEN, at: 6 },
    message(2),
    { event: "notice", text: "a notice", at: 7 },
  ]);
  keep(storage, before);
  const recalled = { ...initial, run: "1", recalled: recall(storage) };
  const sorted = [members[0], members[2], members[1]];
  const again = snapshot({ messages: [message(1), message(2)], members: sorted });
  const state = [SESSION, again].reduce(reduce, recalled);
  assert.deepEqual(texts(state), ["text 1", "eve joined", "ben joined", "text 2", "a notice"]);
  assert.deepEqual(texts(state), texts(before));
  assert.deepEqual(
    state.members.map(({ name }) => name),
    ["eve", "ben"],
  );
  const next = reduce(state, { event: "notice", text: "another", at: 8 });
  assert.equal(new Set(next.entries.map(({ key }) => key)).size, next.entries.length);
  const elsewhere = snapshot({ room: { id: "r2", locked: false, settled: true } });
  assert.deepEqual(texts([SESSION, elsewhere].reduce(reduce, recalled)), []);
});

test("members stay where they stand, whoever is told of in whatever order", () => {
  const state = inRoom([
    { event: "member_joined", member: EVE, at: 1 },
    { event: "member_joined", member: BEN, at: 2 },
    { event: "members", list: [member(ANA, true), member(BEN), member(EVE)] },
    { event: "member_joined", member: { ...EVE, name: "eva" }, at: 3 },
  ]);
  assert.deepEqual(
    state.members.map(({ name }) => name),
    ["eva", "ben"],
  );
});

test("what is here of a cancelled download is remembered, until it is discarded", () => {
  const storage = memory();
  const row = { id: entry(1), file: file(1), from: BEN, own: false, hosts: 1, held: false };
  const cancelled = inRoom([
    offer(1),
    { event: "download_started", file: file(1) },
    { event: "download_progress", file: file(1), bytes_done: 400, bytes_per_second: 9, hosts: 1 },
    { event: "download_failed", file: file(1), code: "cancelled", text: "" },
  ]);
  assert.equal(cancelled.files[entry(1)].bytesDone, 400);
  keep(storage, cancelled);
  const again = { ...initial, run: "1", recalled: recall(storage) };
  const state = [SESSION, snapshot({ files: [row] })].reduce(reduce, again);
  assert.equal(state.files[entry(1)].bytesDone, 400);
  const gone = reduce(state, { event: "page_discarded", file: file(1) });
  assert.equal(gone.files[entry(1)].bytesDone, 0);
});

test("an own offer of an earlier run is not here, and what that run began to fetch is", () => {
  const row = { id: entry(1), file: file(1), from: ANA, own: true, hosts: 0, held: false, kept: 0 };
  const begun = { ...row, id: entry(2), file: file(2), from: BEN, own: false, hosts: 1, kept: 400 };
  const state = inRoom([], { files: [row, begun] });
  const [own, other] = [entry(1), entry(2)].map((id) => state.files[id]);
  assert.deepEqual([own.phase, own.hosts], ["offered", 0]);
  assert.equal(other.bytesDone, 400);
  assert.ok(!stakes(state).some((text) => /downloaded from you/.test(text)));
  const served = reduce(state, { event: "hosts", file: file(1), hosts: 1, held: true, kept: 0 });
  assert.equal(served.files[entry(1)].phase, "held");
  // If the history comes after the list, the list is sent again.
  const told = inRoom([
    { ...offer(1, ANA, true), history: true },
    { event: "hosts", file: file(1), hosts: 0, held: false, kept: 0 },
    { ...offer(2), history: true },
    { event: "hosts", file: file(2), hosts: 1, held: false, kept: 400 },
  ]);
  assert.deepEqual([told.files[entry(1)].phase, told.files[entry(1)].hosts], ["offered", 0]);
  assert.equal(told.files[entry(2)].bytesDone, 400);
});

test("a draft is kept for its room", () => {
  const storage = memory();
  keepDraft(storage, "r1", "not yet");
  assert.equal(recallDraft(storage, "r1"), "not yet");
  assert.equal(recallDraft(storage, "r2"), "");
  keepDraft(storage, "r1", "");
  assert.equal(recallDraft(storage, "r1"), "");
});

test("every failure of many is listed, and a later one of another kind stands alone", () => {
  const failed = (text) => ({ event: "page_failed", code: "io_error", text });
  const state = inRoom([failed("one"), failed("two")]);
  assert.deepEqual(state.alert.texts, ["one", "two"]);
  const many = Array.from({ length: 150 }, (_, i) => failed(`${i}`)).reduce(reduce, state);
  assert.deepEqual([many.alert.texts.length, many.alert.more], [100, 52]);
  const other = reduce(state, { event: "page_alert", code: "timeout", text: "three" });
  assert.deepEqual([other.alert.text, other.alert.texts], ["three", undefined]);
});

test("what is withdrawn is said once, also after the connection was lost", () => {
  const gone = { ...offer(2), event: "file_withdrawn" };
  const state = inRoom([offer(1), gone]);
  const again = reduce(state, snapshot({ messages: [offer(1), gone] }));
  assert.equal(texts(again).filter((text) => /withdrew/.test(text)).length, 1);
});

test("what a list that was cut does not name stands, unless the log says otherwise", () => {
  const row = { id: entry(1), file: file(1), from: BEN, own: false, hosts: 1, held: false };
  const gone = { ...offer(2), event: "file_withdrawn", order: order(6) };
  const newer = { ...offer(5), replaces: entry(4) };
  const messages = [1, 2, 3, 4].map((n) => offer(n));
  const all = { messages: [...messages, newer, gone], files: [row] };
  const cut = inRoom([], { ...all, files_left_out: 12 });
  assert.deepEqual(Object.keys(cut.files), [1, 3, 5].map(entry));
  assert.deepEqual(cut.files[entry(3)].from, [BEN]);
  assert.equal(cut.filesLeftOut, 10);
  const earlier = { event: "history", messages: [{ ...offer(7), order: order(0) }], earlier: 0 };
  const more = reduce(cut, earlier);
  assert.equal(more.files[entry(7)].from.length, 1);
  assert.equal(more.filesLeftOut, 9);
  assert.deepEqual(Object.keys(inRoom([], all).files), [entry(1)], "nothing was cut");
});

test("many offers in a row are one thing, and a line or another author ends it", () => {
  const many = [1, 2, 3, 4, 5].map((n) => offer(n));
  const { entries } = inRoom([...many, message(6), offer(7), offer(8, EVE), offer(9, EVE)]);
  const made = units(entries, null);
  assert.deepEqual(
    made.map(({ kind }) => kind),
    ["offers", "message", "offer", "offer", "offer"],
  );
  assert.equal(made[0].entries.length, 5);
  assert.ok(holds(made[0], entries[3].key));
  assert.equal(lastKey(made[0]), entries[4].key);
  assert.equal(units(entries, null, made)[0], made[0], "what did not change is the same");
  const seen = units(entries, entries[0].key);
  assert.deepEqual([seen[0].kind, seen[1].entries.length], ["offer", 4]);
});

test("a card holds every offer of its drop, and nothing is lost beside it", () => {
  const drop = (count, from = 1) => Array.from({ length: count }, (_, i) => offer(from + i));
  for (const count of [1, 2, 3, 4, 5, 300, 301, 302]) {
    const { entries } = inRoom([...drop(count), offer(900, EVE)]);
    // The line above unseen entries may divide a drop anywhere.
    for (const cut of [null, 0, 1, 2, count - 4, count - 3, count - 2, count - 1]) {
      const after = entries[cut]?.key ?? null;
      const made = units(entries, after, units(entries, null));
      const held = made.flatMap((unit) => unit.entries ?? [unit]);
      assert.deepEqual(held, entries, `${count} files, cut behind ${after}`);
      for (const { kind, entries: own } of made) assert.equal(kind === "offers", own?.length >= 4);
    }
  }
});

test("many that are withdrawn together are one line, which grows", () => {
  const gone = (n) => ({ ...offer(n), event: "file_withdrawn", order: order(n + 50) });
  const many = [1, 2, 3, 4, 5].map((n) => offer(n));
  const state = inRoom([...many, gone(1), gone(2), gone(3)]);
  const made = units(state.entries, null);
  assert.equal(made.length, 4, "three stand by themselves");
  const more = units([gone(4), gone(5)].reduce(reduce, state).entries, null, made);
  assert.deepEqual(
    more.map(({ kind, text }) => [kind, text]).slice(1),
    [["line", "ben withdrew 5 files"]],
  );
  assert.equal(more[0], made[0], "what did not change is the same");
  const lines = inRoom([1, 2, 3, 4].map((at) => ({ event: "member_joined", member: BEN, at })));
  assert.ok(units(lines.entries, null).every(({ entries }) => !entries), "other lines stay");
});

test("many are withdrawn at once, and those that were can be had again", async () => {
  const ids = Array.from({ length: 301 }, (_, i) => String(i));
  const files = Object.fromEntries(ids.map((id) => [id, { own: true }]));
  const asked = [];
  const undos = [];
  const app = {
    store: { state: { files } },
    ask: async (command, { offers }) => {
      asked.push([command, offers.length]);
      for (const id of offers) files[id] = { own: command === "restore" || id === "7" };
      if (files[7].own) throw Object.assign(new Error("full"), { code: "io_error" });
    },
    undo: (text, act) => undos.push({ text, act }),
  };
  await assert.rejects(withdrawAll(app, ids), { code: "io_error" });
  assert.equal(undos[0].text, "300 files are withdrawn.");
  await undos[0].act().catch(() => {});
  assert.deepEqual(asked, [["withdraw", 301], ["restore", 300]]);
  await assert.rejects(withdrawAll(app, ["7"]), { code: "io_error" });
  assert.equal(undos.length, 1, "there is nothing to undo");
});

test("names sort as people count, and are cut before their end", () => {
  const names = ["page 10.txt", "page 2.txt", "page 1.txt"];
  assert.deepEqual(names.sort(compareNames), ["page 1.txt", "page 2.txt", "page 10.txt"]);
  const accents = ["cafe\u0301 10", "caff 1", "caf\u00e9 9", "cafe\u0301 9"].sort(compareNames);
  assert.deepEqual(accents, ["caf\u00e9 9", "cafe\u0301 9", "cafe\u0301 10", "caff 1"]);
  const long = "IMG_20261129_holiday_in_the_mountains_0007.jpg";
  const [head, tail] = inTwo(long);
  assert.equal(head + tail, long);
  assert.equal(tail, "0007.jpg");
  const family = "👨‍👩‍👧‍👦".repeat(20);
  assert.equal(inTwo(family).join(""), family);
  assert.equal(inTwo(family)[1], "👨‍👩‍👧‍👦".repeat(8));
  assert.deepEqual(inTwo("a"), ["a", ""]);
});
