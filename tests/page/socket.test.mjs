import assert from "node:assert/strict";
import { test } from "node:test";

import { createSocket } from "../../frontend/lib/socket.js";

/** A klatch that does what the test tells it. */
function bench({ code = "", token = null } = {}) {
  const kept = new Map(token ? [["klatch.token", token]] : []);
  const storage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
  const sockets = [];
  const waits = [];
  const notices = [];
  const statuses = [];
  const socket = createSocket({
    url: "ws://here/ws",
    code,
    storage,
    onNotice: (notice) => notices.push(notice),
    onStatus: (status) => statuses.push(status),
    open: () => {
      const one = { sent: [], closed: false, send: (text) => one.sent.push(JSON.parse(text)) };
      one.close = () => (one.closed = true);
      one.say = (notice) => one.onmessage({ data: JSON.stringify(notice) });
      sockets.push(one);
      return one;
    },
    later: (run, delay_ms) => waits.push({ run, delay_ms }),
  });
  const admit = (one, fresh = "t1") => {
    one.onopen();
    one.say({ event: "session", token: fresh, run: "1" });
  };
  return { socket, sockets, waits, notices, statuses, kept, admit };
}

test("the code is traded for a token, and the token is used from then on", () => {
  const { sockets, waits, kept, admit, statuses } = bench({ code: "one-time" });
  admit(sockets[0]);
  assert.deepEqual(sockets[0].sent, [{ hello: { code: "one-time" } }]);
  assert.equal(kept.get("klatch.token"), "t1");
  sockets[0].onclose();
  assert.deepEqual(statuses, ["reconnecting"]);
  waits[0].run();
  sockets[1].onopen();
  assert.deepEqual(sockets[1].sent, [{ hello: { token: "t1" } }]);
});

test("a bare address does not even try", () => {
  const { sockets, statuses } = bench();
  assert.equal(sockets.length, 0);
  assert.deepEqual(statuses, ["expired"]);
});

test("a used code falls back to this tab's token, an expired token ends it", () => {
  const { sockets, statuses, kept } = bench({ code: "used", token: "old" });
  sockets[0].onopen();
  sockets[0].say({ event: "error", line: null, code: "expired_address", text: "" });
  sockets[1].onopen();
  assert.deepEqual(sockets[1].sent, [{ hello: { token: "old" } }]);
  sockets[1].say({ event: "error", line: null, code: "expired_address", text: "" });
  assert.deepEqual(statuses, ["expired"]);
  assert.equal(kept.has("klatch.token"), false);
  assert.equal(sockets.length, 2);
});

test("too many tabs is an answer, not a reason to knock for ever", () => {
  const { sockets, statuses, waits, notices } = bench({ token: "t" });
  sockets[0].onopen();
  sockets[0].say({ event: "error", line: null, code: "too_many_tabs", text: "8 pages" });
  assert.deepEqual(statuses, ["refused"]);
  assert.equal(notices[0].code, "too_many_tabs");
  sockets[0].onclose();
  assert.equal(waits.length, 0);
});

test("commands are answered by their line, with what came before the end", async () => {
  const { socket, sockets, admit, notices } = bench({ token: "t" });
  admit(sockets[0]);
  const media = socket.ask("media", { file: "f" });
  const refused = socket.ask("connect", { address: "x" });
  const [, first, second] = sockets[0].sent;
  assert.deepEqual(first, { line: 1, command: "media", file: "f" });
  sockets[0].say({ event: "error", line: second.line, code: "timeout", text: "no answer" });
  sockets[0].say({ event: "media", line: first.line, url: "/files/x" });
  sockets[0].say({ event: "message", id: "m" });
  sockets[0].say({ event: "command_done", line: first.line, command: "media" });
  assert.equal((await media)[0].url, "/files/x");
  await assert.rejects(refused, { code: "timeout", message: "no answer" });
  assert.deepEqual(
    notices.map(({ event }) => event),
    ["session", "message"],
  );
});

test("questions of a command go to the person, and the command waits on", async () => {
  const { socket, sockets, admit, notices } = bench({ token: "t" });
  admit(sockets[0]);
  const lock = socket.ask("password", { password: null });
  const connect = socket.ask("connect", { address: "x" });
  const [, first, second] = sockets[0].sent;
  sockets[0].say({ event: "confirm", line: first.line, question: "keep dora?" });
  sockets[0].say({ event: "password_required", line: first.line, address: "" });
  // It leads to another room, which asks for a password.
  sockets[0].say({ event: "password_required", line: second.line, address: "x:1" });
  assert.deepEqual(
    notices.slice(1).map(({ event, address }) => [event, address]),
    [
      ["confirm", undefined],
      ["password_required", ""],
    ],
  );
  sockets[0].say({ event: "command_done", line: first.line, command: "password" });
  assert.deepEqual(await lock, []);
  sockets[0].say({ event: "command_done", line: second.line, command: "connect" });
  assert.equal((await connect)[0].address, "x:1");
});

test("a lost connection fails what was asked, and is tried again ever more slowly", async () => {
  const { socket, sockets, waits, admit } = bench({ token: "t" });
  admit(sockets[0]);
  const asked = socket.ask("leave");
  sockets[0].onclose();
  await assert.rejects(asked, { code: "io_error" });
  await assert.rejects(socket.ask("say", { text: "x" }), { code: "io_error" });
  for (let i = 0; i < 8; i += 1) {
    waits[i].run();
    sockets[i + 1].onclose();
  }
  const delays = waits.map(({ delay_ms }) => delay_ms);
  assert.deepEqual(delays.slice(0, 6), [200, 400, 800, 1600, 3200, 4000]);
  waits[8].run();
  admit(sockets[9]);
  sockets[9].onclose();
  assert.equal(waits[9].delay_ms, 200);
});

test("waking up tries at once, and only once", () => {
  const { socket, sockets, waits, admit } = bench({ token: "t" });
  admit(sockets[0]);
  socket.retry();
  assert.equal(sockets.length, 1);
  sockets[0].onclose();
  socket.retry();
  waits[0].run();
  assert.equal(sockets.length, 2);
});

test("klatch has ended only when it took its leave after being asked to", async () => {
  const { socket, sockets, statuses, waits, admit } = bench({ token: "t" });
  admit(sockets[0]);
  const quit = socket.quit();
  const { line, command } = sockets[0].sent.at(-1);
  assert.equal(command, "quit");
  sockets[0].say({ event: "command_done", line, command });
  await quit;
  assert.deepEqual(statuses, [], "an answer is no end");
  sockets[0].onclose({ code: 1001 });
  assert.deepEqual(statuses, ["ended"]);
  assert.equal(waits.length, 0);
  socket.useCode("fresh");
  sockets[1].onopen();
  assert.deepEqual(sockets[1].sent, [{ hello: { code: "fresh" } }]);
});

test("a refused quit, and an end that nobody asked for, are no end for the page", async () => {
  const { socket, sockets, statuses, waits, admit } = bench({ token: "t" });
  admit(sockets[0]);
  const quit = socket.quit();
  const { line } = sockets[0].sent.at(-1);
  sockets[0].say({ event: "error", line, command: "quit", code: "io_error", text: "no" });
  await assert.rejects(quit, { code: "io_error" });
  sockets[0].onclose({ code: 1001 });
  assert.deepEqual(statuses, ["reconnecting"]);
  waits[0].run();
  sockets[1].onclose({ code: 1006 });
  assert.deepEqual(statuses, ["reconnecting", "away"]);
  waits[1].run();
  admit(sockets[2]);
  const cut = socket.quit();
  sockets[2].onclose({ code: 1006 });
  await cut;
  assert.deepEqual(statuses.slice(2), ["reconnecting"], "only cut off");
});

test("what is not wanted any more is given up", async () => {
  const { socket, sockets, admit } = bench({ token: "t" });
  admit(sockets[0]);
  const wish = new AbortController();
  const joining = socket.ask("connect", { address: "x" }, { signal: wish.signal });
  const { line } = sockets[0].sent.at(-1);
  wish.abort();
  const { command, of } = sockets[0].sent.at(-1);
  assert.deepEqual([command, of], ["give_up", line]);
  const text = "you gave up";
  sockets[0].say({ event: "error", line, command: "connect", code: "cancelled", text });
  await assert.rejects(joining, { code: "cancelled" });
  const count = sockets[0].sent.length;
  wish.abort();
  assert.equal(sockets[0].sent.length, count);
});
