import assert from "node:assert/strict";
import { test } from "node:test";

import { standing } from "../../frontend/lib/rooms.js";
import { KEPT_ENTRIES, atStart, initial, reduce } from "../../frontend/lib/state.js";
import { ANA, snapshot as quiet } from "./room.mjs";

const BEN = { id: "bb".repeat(32), name: "ben" };
const EVE = { id: "ee".repeat(32), name: "eve" };
const PHOTO = { id: "f0".repeat(32), name: "photo.jpg", size: 1000 };

const order = (n) => String(n).padStart(6, "0");

function message(n, from = BEN, fields = {}) {
  const time = "2026-11-26T14:00:00.000Z";
  const own = from === ANA;
  const common = { time, own, history: false, order: order(n) };
  return { event: "message", id: `m${n}`, from, text: `text ${n}`, ...common, ...fields };
}

function offer(n, from = BEN, file = PHOTO, replaces = null) {
  const time = "2026-11-26T14:00:00.000Z";
  const common = { time, own: from === ANA, history: false, replaces, order: order(n) };
  return { event: "file_offered", id: `o${n}`, file, from, ...common };
}

const snapshot = (fields) => {
  const room = { id: "r1", locked: false, settled: false };
  return quiet({ room, addresses: ["192.168.1.5:51692"], ...fields });
};

const after = (notices, state = initial) => notices.reduce(reduce, state);
const inRoom = (notices, fields) =>
  after([{ event: "session", run: "1", token: "t" }, snapshot(fields), ...notices]);
const member = (who, address = "10.0.0.2:51692") => ({ ...who, address });
const texts = ({ entries }) => entries.map(({ text }) => text);

test("what the reducer does not know changes nothing", () => {
  assert.equal(reduce(initial, { event: "from the future" }), initial);
  assert.equal(reduce(initial, { event: "toString" }), initial);
});

test("a message that is withdrawn is gone, and nothing else", () => {
  const state = inRoom([message(1), message(2)]);
  const withdrawn = { event: "message_withdrawn", id: "m1", reason: "fork" };
  const next = reduce(state, withdrawn);
  assert.deepEqual(texts(next), ["text 2"]);
  assert.equal(reduce(next, withdrawn), next, "what is not here changes nothing");
});

test("a snapshot puts the page into the room", () => {
  const members = [
    { ...ANA, own: true, address: "" },
    { ...BEN, own: false, address: "10.0.0.2:51692" },
  ];
  const state = inRoom([], { members, messages: [message(1), offer(2)], earlier: 7 });
  assert.equal(state.connection, "connected");
  assert.equal(state.self.name, "ana");
  assert.deepEqual(
    state.members.map(({ name }) => name),
    ["ben"],
  );
  assert.deepEqual(texts(state), ["text 1", "photo.jpg"]);
  assert.equal(state.earlier, 7);
  assert.deepEqual(state.lastAddress, { host: "10.0.0.2", port: 51692 });
});

test("the start is shown to whoever is alone, silent and has not chosen", () => {
  const alone = inRoom([]);
  assert.ok(atStart(alone));
  assert.ok(!atStart(reduce(alone, { event: "page_entered" })));
  assert.ok(!atStart(reduce(alone, message(1, ANA))));
  assert.ok(!atStart(inRoom([], { room: { id: "r1", locked: false, settled: true } })));
  const joined = { event: "joined", room: "r2", members: [member(BEN)], locked: false, at: 1 };
  assert.ok(!atStart(reduce(alone, joined)));
  const left = after(
    [joined, { event: "left", room: "r2" }, snapshot({ room: { id: "r3" } })],
    alone,
  );
  assert.ok(atStart(left));
});

test("a late message goes where the room's order has it, and none comes twice", () => {
  const state = inRoom([message(1), message(3), message(2), message(3)]);
  assert.deepEqual(texts(state), ["text 1", "text 2", "text 3"]);
});

test("klatch's own lines stay where they were said", () => {
  const state = inRoom([
    message(1),
    { event: "member_joined", member: member(EVE), at: 5 },
    message(3),
    message(2),
  ]);
  assert.deepEqual(texts(state), ["text 1", "eve joined", "text 2", "text 3"]);
});

test("a verified member is marked from then on", () => {
  const verified = { ...member(EVE), verified: true };
  const state = inRoom([
    { event: "member_joined", member: member(EVE), at: 5 },
    { event: "member_verified", member: verified, at: 6 },
    { event: "name_changed", member: { ...verified, name: "eva" }, before: "eve", at: 7 },
    { event: "member_left", member: { ...verified, name: "eva" }, at: 8 },
  ]);
  const lines = ["eve joined", "eve✓ is verified now", "eve✓ is eva✓ now", "eva✓ left"];
  assert.deepEqual(texts(state), lines);
  const here = inRoom([
    { event: "member_joined", member: member(EVE), at: 5 },
    { event: "member_verified", member: verified, at: 6 },
  ]);
  assert.equal(here.members[0].verified, true);
});

test("history goes before what is there, without a gap and without doubles", () => {
  const state = inRoom(
    [{ event: "history", messages: [message(1), message(2), message(3)], earlier: 0 }],
    { messages: [message(3), message(4)], earlier: 2 },
  );
  assert.deepEqual(texts(state), ["text 1", "text 2", "text 3", "text 4"]);
  assert.equal(state.earlier, 0);
});

test("after a reconnection what overlaps is joined, and what does not is left to klatch", () => {
  const before = inRoom([], { messages: [message(1), message(2)], earlier: 0 });
  const overlapping = reduce(before, snapshot({ messages: [message(2), message(3)], earlier: 1 }));
  assert.deepEqual(texts(overlapping), ["text 1", "text 2", "text 3"]);
  assert.equal(overlapping.earlier, 0);
  const apart = reduce(before, snapshot({ messages: [message(9)], earlier: 8 }));
  assert.deepEqual(texts(apart), ["text 9"]);
  assert.equal(apart.earlier, 8);
});

test("where klatch ends, the conversation stays in sight until it is back", () => {
  const state = inRoom([
    message(1),
    { event: "left", room: "r1" },
    { event: "stopped", exit_code: 0 },
  ]);
  assert.deepEqual(texts(state), ["text 1"]);
  assert.ok(!atStart(state));
});

test("a restart of klatch empties the room, says so, and keeps the last address", () => {
  const before = inRoom([message(1), { event: "member_joined", member: member(BEN), at: 1 }]);
  const state = after(
    [{ event: "session", run: "2", token: "t" }, snapshot({ room: { id: "r9" } })],
    before,
  );
  assert.ok(state.restarted);
  assert.ok(atStart(state));
  assert.deepEqual(state.entries, []);
  assert.deepEqual(state.lastAddress, { host: "10.0.0.2", port: 51692 });
  assert.ok(!reduce(state, { event: "page_entered" }).restarted);
});

test("a message that was taken back while the page was away is not shown any more", () => {
  const before = after([message(1), message(2), message(3)], inRoom([]));
  const next = reduce(before, snapshot({ messages: [message(2)], earlier: 1 }));
  assert.deepEqual(texts(next), ["text 1", "text 2"]);
});

test("held by: on the way, complete, and after a reload", () => {
  const state = inRoom([message(1, ANA), { event: "held", id: "m1", held_by: 1, present: 2 }]);
  assert.deepEqual([state.entries[0].heldBy, state.entries[0].present], [1, 2]);
  const members = [member(ANA), member(BEN), member(EVE)];
  const held = [{ id: "m2", held_by: 1, present: 2 }];
  const messages = [message(1, ANA), message(2, ANA), message(3, BEN)];
  const again = inRoom([], { members, messages, held });
  assert.deepEqual(
    again.entries.map(({ heldBy }) => heldBy),
    [2, 1, undefined],
  );
});

test("a file from offer to place", () => {
  const id = "o1";
  let state = inRoom([offer(1), offer(2, EVE)]);
  assert.equal(state.files[id].phase, "offered");
  const queued = reduce(state, { event: "download_queued", file: PHOTO });
  assert.equal(queued.files[id].phase, "queued");
  state = after(
    [
      { event: "download_started", file: PHOTO },
      { event: "download_progress", file: PHOTO, bytes_done: 400, bytes_per_second: 100, hosts: 2 },
      { event: "hosts", file: { id: PHOTO.id }, hosts: 3 },
    ],
    state,
  );
  const { phase, bytesDone, rate, sources, hosts } = state.files[id];
  assert.deepEqual([phase, bytesDone, rate, sources, hosts], ["fetching", 400, 100, 2, 3]);
  const cancelled = { event: "download_failed", file: PHOTO, code: "cancelled", text: "cancelled" };
  assert.equal(reduce(state, cancelled).files[id].failure, null);
  const failed = reduce(state, {
    event: "download_failed",
    file: PHOTO,
    code: "no_host",
    text: "gone",
  });
  assert.deepEqual(failed.files[id].failure, { code: "no_host", text: "gone" });
  const done = { event: "download_finished", file: PHOTO, path: "/d/photo.jpg" };
  state = reduce(state, done);
  assert.equal(state.files[id].phase, "held");
  assert.equal(state.files[id].path, "/d/photo.jpg");
  assert.equal(state.files.o2.phase, "held", "eve's offer is of the same content");
  state = reduce(state, offer(3, ANA));
  assert.equal(state.files.o3.phase, "held");
});

test("a file knows how many fetch it from here", () => {
  const row = {
    file: PHOTO,
    state: "serving",
    bytes_done: 1,
    bytes_per_second: 1,
    hosts: 0,
    to: EVE,
  };
  const state = inRoom([offer(1, ANA), { event: "transfers", list: [row, { ...row, to: BEN }] }]);
  assert.equal(state.files.o1.takers, 2);
  const open = reduce(state, {
    event: "transfers",
    list: [row, { ...row, to: BEN, bytes_done: 9 }],
  });
  assert.equal(open.files.o1.takers, 1);
  const quiet = reduce(open, { event: "transfers", list: [] });
  assert.equal(quiet.files.o1.takers, 0);
  assert.equal(reduce(quiet, { event: "transfers", list: [] }).files, quiet.files);
});

test("everybody's offer has its author's name, and is withdrawn alone", () => {
  let state = inRoom([offer(1, BEN), offer(2, EVE)]);
  const names = () =>
    Object.values(state.files).map(({ from }) => from.map(({ name }) => name).join());
  assert.deepEqual(names(), ["ben", "eve"]);
  state = reduce(state, { ...offer(3), id: "o1", event: "file_withdrawn" });
  assert.deepEqual(names(), ["", "eve"]);
  assert.equal(texts(state).at(-1), "ben withdrew photo.jpg");
});

test("what is shared here is not fetched from others who offer it", () => {
  const hosts = (held) => ({ event: "hosts", file: PHOTO, hosts: 1 + held, held, kept: 0 });
  const phases = ({ files }) => ["o1", "o2"].map((id) => files[id].phase);
  const state = inRoom([offer(1), offer(2, ANA)]);
  assert.deepEqual(phases(state), ["held", "held"]);
  const first = inRoom([offer(2, ANA), offer(1)]);
  assert.deepEqual(phases(first), ["held", "held"]);
  // An own offer from an earlier run, shared again: klatch reports that it is here.
  const restored = { ...offer(2, ANA), history: true };
  const served = inRoom([offer(1), restored, hosts(false), hosts(true)]);
  assert.deepEqual(phases(served), ["held", "held"]);
  const gone = [{ ...offer(2, ANA), event: "file_withdrawn" }, hosts(false)].reduce(reduce, served);
  assert.deepEqual(phases(gone), ["offered", "offered"], "it can be fetched again");
  const again = [hosts(true), { ...offer(3, ANA), own: true }].reduce(reduce, gone);
  assert.equal(again.files.o2.phase, "offered", "what was taken back stays so");
  assert.deepEqual([again.files.o1.phase, again.files.o3.phase], ["held", "held"]);
  const moving = inRoom([offer(1), { event: "download_started", file: PHOTO }, hosts(false)]);
  assert.equal(moving.files.o1.phase, "fetching");
});

test("two screenshots of one name stand side by side, and a new version takes its place", () => {
  const other = { ...PHOTO, id: "f1".repeat(32) };
  let state = inRoom([offer(1, ANA), offer(2, ANA, other)]);
  const standing = () => Object.values(state.files).filter(({ from }) => from.length > 0);
  assert.deepEqual(
    standing().map(({ id }) => id),
    ["o1", "o2"],
  );
  state = reduce(state, offer(3, ANA, { ...PHOTO, id: "f2".repeat(32) }, "o1"));
  assert.deepEqual(
    standing().map(({ id }) => id),
    ["o2", "o3"],
  );
  assert.ok(state.files.o3.version);
  assert.equal(state.files.o1.ended, "replaced");
});

test("files of a snapshot know what is here, what is coming, and where it lies", () => {
  const common = { hosts: 2, own: false, held: false, fetching: true };
  const row = { id: "o1", file: PHOTO, from: BEN, ...common };
  const transfer = {
    file: PHOTO,
    state: "fetching",
    bytes_done: 5,
    bytes_per_second: 2,
    hosts: 1,
    to: null,
  };
  const coming = inRoom([], { files: [row], transfers: [transfer] });
  assert.equal(coming.files.o1.phase, "fetching");
  assert.equal(coming.files.o1.bytesDone, 5);
  const saved = [{ id: PHOTO.id, path: "/d/p" }];
  const here = inRoom([], { files: [{ ...row, held: true, fetching: false }], saved });
  assert.equal(here.files.o1.phase, "held");
  assert.equal(here.files.o1.path, "/d/p");
  const queued = inRoom([], { files: [row], transfers: [{ ...transfer, state: "queued" }] });
  assert.equal(queued.files.o1.phase, "queued");
});

test("what comes while nobody looks is counted; its line stays until they look away again", () => {
  const away = reduce(inRoom([message(1)]), { event: "page_attention", attentive: false });
  const some = after(
    [message(2), message(3, ANA), message(4, BEN, { history: true }), message(5)],
    away,
  );
  assert.deepEqual(some.unread, { count: 2, after: "m1" });
  const back = reduce(some, { event: "page_attention", attentive: true });
  assert.deepEqual(back.unread, { count: 0, after: "m1" });
  assert.equal(reduce(back, { event: "page_caught_up" }).unread.after, null);
  assert.equal(reduce(back, { event: "page_attention", attentive: false }).unread.after, null);
});

test("the log is bounded while its end is read, and klatch has the rest", () => {
  let state = inRoom([]);
  for (let n = 1; n <= KEPT_ENTRIES + 1; n += 1) state = reduce(state, message(n));
  assert.ok(state.entries.length <= KEPT_ENTRIES);
  assert.equal(state.entries.length + state.earlier, KEPT_ENTRIES + 1);
  assert.equal(state.entries.at(-1).key, `m${KEPT_ENTRIES + 1}`);
});

test("members come, change their names and go", () => {
  let state = inRoom([
    { event: "member_joined", member: member(BEN), at: 1 },
    { event: "member_joined", member: member(EVE), at: 1 },
    { event: "name_changed", member: member({ ...BEN, name: "benno" }), before: "ben", at: 1 },
    { event: "member_left", member: member(EVE), at: 1 },
  ]);
  assert.deepEqual(
    state.members.map(({ name }) => name),
    ["benno"],
  );
  assert.deepEqual(texts(state), ["ben joined", "eve joined", "ben is benno now", "eve left"]);
  state = reduce(state, {
    event: "name_changed",
    member: member({ ...ANA, name: "anna" }),
    before: "ana",
    at: 1,
  });
  assert.equal(state.self.name, "anna");
});

test("closing and opening are seen and said", () => {
  const lock = { event: "room_locked", by: BEN, password: true, out: [], me_out: false, at: 1 };
  const locked = inRoom([lock]);
  assert.ok(locked.room.locked && locked.room.password);
  assert.deepEqual(texts(locked), [
    "ben closed the room: those here stay; others need the password or an invitation",
  ]);
  const again = reduce(locked, { ...lock, by: ANA, password: false, out: [EVE] });
  assert.equal(
    texts(again).at(-1),
    "you removed the room's password: others need an invitation; eve is out",
  );
  assert.equal(again.room.password, false);
  const open = reduce(locked, { event: "room_unlocked", by: ANA, at: 1 });
  assert.ok(!open.room.locked);
  assert.equal(texts(open).at(-1), "you opened the room: anyone who can reach it can join");
});

test("who is removed is said, and whoever is put out reads it in the next room as well", () => {
  const removal = { event: "member_removed", by: BEN, me_out: false, also: [], at: 1 };
  const said = (fields) => texts(inRoom([{ ...removal, ...fields }])).at(-1);
  assert.equal(said({ member: EVE }), "ben removed eve");
  assert.equal(
    said({ member: EVE, by: ANA, also: [{ ...BEN, verified: true }] }),
    "you removed eve, and ben✓, whom eve had let in",
  );
  const out = inRoom([{ ...removal, member: ANA, me_out: true }]);
  assert.equal(out.alert.code, "removed");
  assert.equal(out.alert.text, "ben removed you from this room");
  const room = { id: "r2", locked: false, settled: false };
  const next = after([{ event: "left", room: "r1" }, snapshot({ room })], out);
  assert.equal(next.alert, out.alert);
  const along = inRoom([{ ...removal, member: EVE, me_out: true }]);
  assert.match(along.alert.text, /^ben removed eve, through whom you came in/);
});

test("whose room it is, and through whom everybody came, is known", () => {
  const members = [
    { ...ANA, own: true, address: "", standing: "founder", through: null, ignored: false },
    { ...BEN, own: false, address: "10.0.0.2:1", standing: "member", through: ANA },
    { ...EVE, own: false, address: "", standing: "visitor", through: BEN, ignored: true },
  ];
  const state = inRoom([], { members });
  assert.equal(state.standing, "founder");
  assert.deepEqual(
    state.members.map((one) => standing(one, state.self)),
    ["through you", "visitor, through ben"],
  );
  const again = reduce(state, { event: "member_joined", member: member(BEN, "10.0.0.9:1"), at: 1 });
  const ben = again.members.find(({ id }) => id === BEN.id);
  assert.deepEqual([ben.address, ben.standing], ["10.0.0.9:1", "member"], "what is known is kept");
  const joined = { event: "joined", room: "r9", members: [member(BEN)], founder: BEN, at: 1 };
  assert.equal(
    texts(inRoom([{ ...joined, locked: false }])).at(-1),
    "you are in ben's room with ben (open: anyone who can reach it can join)",
  );
  assert.equal(
    texts(inRoom([{ ...joined, locked: true, founder: ANA }])).at(-1),
    "you are in your room with ben (closed)",
  );
});

test("invitations are kept for their dialog, and not beyond their room", () => {
  const invitation = { text: "klatch:abc", line: "klatch klatch:abc", expires: "x", once: false };
  const row = (own, id) => ({ id, maker: own ? ANA : BEN, own, expires: "x", left: null });
  const list = [row(true, "i1"), row(false, "i2")];
  const state = inRoom([
    { event: "invitation", ...invitation, at: 1 },
    { event: "invitations", list, at: 1 },
  ]);
  assert.deepEqual(state.invitation, invitation);
  assert.equal(state.invitations.length, 2);
  const ended = reduce(state, { event: "page_invitations_ended" });
  assert.deepEqual([ended.invitation, ended.invitations], [null, [list[1]]]);
  const elsewhere = { id: "r2", locked: false, settled: false };
  const next = reduce(state, snapshot({ room: elsewhere }));
  assert.deepEqual([next.invitation, next.invitations], [null, []]);
});

test("words to compare are there until they were compared", () => {
  const words = { event: "verify", member: member(BEN), words: "one two three four", at: 1 };
  const asked = inRoom([{ ...words, asked: true }]);
  assert.equal(asked.words.words, "one two three four");
  assert.deepEqual(texts(asked), ["ben wants to compare words with you"]);
  const asking = inRoom([{ ...words, asked: false }]);
  assert.deepEqual(texts(asking), []);
  const done = reduce(asking, { event: "member_verified", member: member(BEN), at: 1 });
  assert.equal(done.words, null);
});

test("errors of nobody's command are shown; those of commands belong to who asked", () => {
  const state = inRoom([{ event: "error", line: null, code: "disk_full", text: "no space" }]);
  assert.equal(state.alert.code, "disk_full");
  assert.equal(reduce(state, { event: "page_alert_closed" }).alert, null);
  assert.equal(inRoom([{ event: "error", line: 4, code: "usage", text: "no" }]).alert, null);
});

test("shares are told from waiting to gone", () => {
  const share = { key: "s1", name: "a.iso", size: 10, sent: 0, phase: "waiting" };
  let state = after([
    { event: "page_share", share },
    { event: "page_share", share: { key: "s1", phase: "reading", sent: 0 } },
    { event: "hash_progress", path: "/data/shared/a.iso", bytes_done: 6, size: 10 },
  ]);
  assert.deepEqual(state.shares, [{ ...share, phase: "reading", sent: 6 }]);
  state = reduce(state, { event: "page_share_gone", key: "s1" });
  assert.deepEqual(state.shares, []);
});

test("what did not change keeps its identity", () => {
  const state = inRoom([message(1)]);
  const next = reduce(state, { event: "member_joined", member: member(BEN), at: 1 });
  assert.equal(next.files, state.files);
  assert.equal(next.shares, state.shares);
  assert.equal(next.entries[0], state.entries[0]);
});

test("an own message says who refused it", () => {
  const refused = { event: "held", id: "m1", held_by: 0, present: 1, refused_by: [EVE] };
  const state = inRoom([message(1, ANA), refused]);
  assert.deepEqual(state.entries[0].refusedBy, [EVE]);
  const again = reduce(state, snapshot({ messages: [message(1, ANA)], held: [refused] }));
  assert.deepEqual(again.entries[0].refusedBy, [EVE]);
});
