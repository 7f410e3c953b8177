import assert from "node:assert/strict";
import { test } from "node:test";

import { createSharing } from "../../frontend/lib/share.js";
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
  // Of another room: whoever connects asks for it.
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

test("after the end nothing is tried again, but a fresh address works", () => {
  const { socket, sockets, statuses, waits, admit } = bench({ token: "t" });
  admit(sockets[0]);
  socket.close();
  sockets[0].onclose();
  assert.deepEqual(statuses, ["ended"]);
  assert.equal(waits.length, 0);
  socket.useCode("fresh");
  sockets[1].onopen();
  assert.deepEqual(sockets[1].sent, [{ hello: { code: "fresh" } }]);
});

/** Files on their way, and what the page was told about them. */
function sharing() {
  const notices = [];
  const requests = [];
  const clock = { ms: 0 };
  const shares = createSharing({
    now: () => clock.ms,
    token: () => "t",
    dispatch: (notice) => notices.push(notice),
    request: () => {
      const one = { upload: {}, headers: {}, status: 0, responseText: "" };
      one.open = (method, url) => Object.assign(one, { method, url });
      one.setRequestHeader = (name, value) => (one.headers[name] = value);
      one.send = (file) => (one.file = file);
      one.abort = () => one.onabort();
      requests.push(one);
      return one;
    },
  });
  return { shares, requests, notices, clock };
}

test("files go one after the other, and a failed one does not stop the rest", () => {
  const { shares, requests, notices } = sharing();
  shares.add([
    { name: "a b.txt", size: 3 },
    { name: "c.txt", size: 4 },
  ]);
  assert.equal(requests.length, 1);
  assert.equal(requests[0].url, "/share?name=a%20b.txt");
  assert.equal(requests[0].headers.Authorization, "Bearer t");
  requests[0].upload.onprogress({ loaded: 2 });
  Object.assign(requests[0], {
    status: 507,
    responseText: '{"code":"disk_full","text":"no space"}',
  });
  requests[0].onload();
  assert.equal(requests[1].url, "/share?name=c.txt");
  Object.assign(requests[1], { status: 201, responseText: "{}" });
  requests[1].onload();
  const alerts = notices.filter(({ event }) => event === "page_alert");
  assert.deepEqual(alerts, [{ event: "page_alert", code: "disk_full", text: "a b.txt: no space" }]);
  assert.equal(notices.filter(({ event }) => event === "page_share_gone").length, 2);
});

test("progress is told four times a second", () => {
  const { shares, requests, notices, clock } = sharing();
  shares.add([{ name: "a", size: 3000 }]);
  for (clock.ms = 0; clock.ms < 1000; clock.ms += 10) {
    requests[0].upload.onprogress({ loaded: clock.ms });
  }
  const sent = notices.filter(({ share }) => share?.sent > 0).map(({ share }) => share.sent);
  assert.deepEqual(sent, [250, 500, 750]);
});

test("sharing is cancelled while it waits and while it goes", () => {
  const { shares, requests, notices } = sharing();
  shares.add([
    { name: "a", size: 3 },
    { name: "b", size: 4 },
    { name: "c", size: 5 },
  ]);
  const keys = notices
    .filter(({ share }) => share?.phase === "waiting")
    .map(({ share }) => share.key);
  shares.cancel(keys[1]);
  shares.cancel(keys[0]);
  assert.deepEqual(
    requests.map(({ file }) => file.name),
    ["a", "c"],
  );
  assert.equal(
    notices.some(({ event }) => event === "page_alert"),
    false,
  );
});
