/** Files and folders on their way from the page into klatch. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyOf, byBytes, chosen, inside, nameOf, together } from "../../frontend/lib/gather.js";
import { createSharing } from "../../frontend/lib/share.js";

/** Files on their way, and what the page was told about them. */
function sharing({ ended, sent } = {}) {
  const notices = [];
  const requests = [];
  const clock = { ms: 0 };
  const shares = createSharing({
    now: () => clock.ms,
    token: () => "t",
    dispatch: (notice) => {
      notices.push(notice);
      if (notice.event === "page_share_gone") ended?.();
    },
    request: () => {
      const one = { upload: {}, headers: {}, status: 0, responseText: "" };
      one.open = (method, url) => Object.assign(one, { method, url });
      one.setRequestHeader = (name, value) => (one.headers[name] = value);
      one.send = (file) => {
        one.file = file;
        sent?.();
      };
      one.abort = () => one.onabort();
      requests.push(one);
      return one;
    },
  });
  return { shares, requests, notices, clock };
}

test("files go a few at a time, and a failed one does not stop the rest", () => {
  const { shares, requests, notices } = sharing();
  const names = ["a b.txt", "c.txt", "d.txt", "e.txt", "f.txt", "g.txt"];
  for (const name of names) shares.add({ files: [{ name, size: 3 }] });
  assert.equal(requests.length, 4);
  assert.equal(requests[0].url, "/share?name=a%20b.txt");
  assert.equal(requests[0].headers.Authorization, "Bearer t");
  requests[0].upload.onprogress({ loaded: 2 });
  Object.assign(requests[0], {
    status: 507,
    responseText: '{"code":"disk_full","text":"no space"}',
  });
  requests[0].onload();
  assert.equal(requests[4].url, "/share?name=f.txt");
  for (let i = 1; i < 6; i += 1) {
    Object.assign(requests[i], { status: 201, responseText: "{}" });
    requests[i].onload();
  }
  const failed = notices.filter(({ event }) => event === "page_failed");
  const told = { event: "page_failed", code: "disk_full", text: "a b.txt: no space" };
  assert.deepEqual(failed, [told]);
  assert.equal(notices.filter(({ event }) => event === "page_share_gone").length, 6);
});

test("progress is told four times a second", () => {
  const { shares, requests, notices, clock } = sharing();
  shares.add({ files: [{ name: "a", size: 3000 }] });
  for (clock.ms = 0; clock.ms < 1000; clock.ms += 10) {
    requests[0].upload.onprogress({ loaded: clock.ms });
  }
  const sent = notices.filter(({ share }) => share?.sent > 0).map(({ share }) => share.sent);
  assert.deepEqual(sent, [250, 500, 750]);
});

test("sharing is cancelled while it waits and while it goes", () => {
  const { shares, requests, notices } = sharing();
  for (const name of ["a", "b", "c", "d", "e", "f"]) shares.add({ files: [{ name, size: 3 }] });
  const keys = notices
    .filter(({ share }) => share?.phase === "waiting")
    .map(({ share }) => share.key);
  shares.cancel(keys[4]);
  shares.cancel(keys[0]);
  assert.deepEqual(
    requests.map(({ file }) => file.name),
    ["a", "b", "c", "d", "f"],
  );
  assert.equal(
    notices.some(({ event }) => event === "page_failed"),
    false,
  );
});

test("what vanished before its turn is named, and nothing else is blamed", async () => {
  const { shares, requests, notices } = sharing();
  const unreadable = { arrayBuffer: () => Promise.reject(new Error("NotFoundError")) };
  const readable = { arrayBuffer: () => Promise.resolve(new ArrayBuffer(1)) };
  shares.add({
    files: [
      { name: "gone.txt", size: 3, slice: () => unreadable },
      { name: "there.txt", size: 3, slice: () => readable },
    ],
  });
  await requests[0].onerror();
  await requests[1].onerror();
  const failed = notices.filter(({ event }) => event === "page_failed");
  assert.deepEqual(
    failed.map(({ code, text }) => [code, text.split(":")[0]]),
    [
      ["file_not_found", "gone.txt"],
      ["io_error", "there.txt"],
    ],
  );
});

/** A file as a browser gives it, here or there. */
const file = (name, text = name, at = 1_700_000_000_500) =>
  new File([text], name, { lastModified: at });

/** A folder as a drop has it: told in parts of `most`. */
function dropped(name, content, most = 100) {
  const entry = ([name, what]) =>
    typeof what === "string"
      ? { name, isDirectory: false, file: (resolve) => resolve(file(name, what)) }
      : dropped(name, what, most);
  const createReader = () => {
    const left = Object.entries(content).map(entry);
    return { readEntries: (resolve) => resolve(left.splice(0, most)) };
  };
  return { name, isDirectory: true, createReader };
}

const never = new AbortController().signal;
const paths = (found) => found.map(({ path }) => path).sort(byBytes);

/** What a request says: its list, and then the bytes. */
async function read({ url, file: body }) {
  const list = Number(new URL(url, "http://here").searchParams.get("list"));
  const lines = (await body.slice(0, list).text()).trimEnd().split("\n");
  return { list: lines.map((line) => JSON.parse(line)), rest: await body.slice(list).text() };
}

test("all of a folder is found, however many parts the browser tells it in", async () => {
  const content = { "a.txt": "a", "b.txt": "b", sub: { deep: { "c.txt": "c" }, none: {} } };
  const all = ["a.txt", "b.txt", "sub/deep/c.txt", "sub/none"];
  for (const most of [1, 2, 100]) {
    assert.deepEqual(paths(await inside([dropped("photos", content, most)], never)), all);
  }
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(inside([dropped("photos", content)], stop.signal), { name: "AbortError" });
  const locked = dropped("photos", {});
  const entry = { name: "x", isDirectory: false, file: (_, reject) => reject(new Error("no")) };
  const parts = [[entry], []];
  locked.createReader = () => ({ readEntries: (resolve) => resolve(parts.shift()) });
  const code = "permission_denied";
  await assert.rejects(inside([locked], never), { code, message: "x cannot be read" });
});

test("a dropped folder is one request, sorted by the bytes of its paths", async () => {
  let sent;
  const going = new Promise((resolve) => (sent = resolve));
  const { shares, requests, notices } = sharing({ sent: () => sent() });
  const content = { "\u{1f600}.txt": "4", "\uffee.txt": "3", z: { "a.txt": "22" }, none: {} };
  shares.add({ files: [], folders: [dropped("my photos", content)] });
  await going;
  const [request] = requests;
  assert.equal(request.method, "PUT");
  assert.match(request.url, /^\/share\/folder\?name=my%20photos&list=\d+$/);
  const { list, rest } = await read(request);
  const modified = 1_700_000_000;
  assert.deepEqual(list, [
    { path: "none" },
    { path: "z/a.txt", size: 2, modified },
    { path: "\uffee.txt", size: 1, modified },
    { path: "\u{1f600}.txt", size: 1, modified },
  ]);
  assert.equal(rest, "2234");
  const told = notices.map(({ share }) => [share.phase, share.size]);
  assert.deepEqual(told, [
    ["waiting", 0],
    ["looking", undefined],
    [undefined, 4],
    ["sending", undefined],
  ]);
  assert.equal(notices[0].share.name, "my photos");
});

test("a chosen folder bears its own name, which is before each of its files", async () => {
  const of = (path) => Object.assign(file("x", path), { webkitRelativePath: path });
  const { name, found } = chosen([of("photos/a.jpg"), of("photos/2024/b.jpg")]);
  assert.equal(name, "photos");
  assert.deepEqual(paths(found), ["2024/b.jpg", "a.jpg"]);
});

test("a few loose files go one by one, and many of one drop are one folder", async () => {
  const loose = (count) => Array.from({ length: count }, (_, at) => file(`${at}.txt`));
  const few = sharing();
  few.shares.add({ files: loose(4) });
  const urls = few.requests.map(({ url }) => url);
  assert.deepEqual(urls, [0, 1, 2, 3].map((at) => `/share?name=${at}.txt`));
  let sent;
  const going = new Promise((resolve) => (sent = resolve));
  const many = sharing({ sent: () => sent() });
  many.shares.add({ files: [...loose(4), file("0.txt", "another")], folders: [] });
  await going;
  assert.match(many.requests[0].url, /name=5%20files&/);
  const { list } = await read(many.requests[0]);
  const names = list.map(({ path }) => path);
  assert.deepEqual(names, ["0 (2).txt", "0.txt", "1.txt", "2.txt", "3.txt"]);
});

test("many things are called after what they are", () => {
  const typed = (type) => ({ type });
  const pictures = [typed("image/png"), typed("image/jpeg")];
  assert.equal(nameOf(pictures, 0), "2 pictures");
  assert.equal(nameOf([...pictures, typed("")], 0), "3 files");
  assert.equal(nameOf([typed("video/mp4"), typed("video/webm")], 0), "2 videos");
  assert.equal(nameOf([], 7), "7 folders");
  assert.equal(nameOf(pictures, 3), "5 items");
  const folders = [
    { name: "a", found: [{ path: "x" }] },
    { name: "b", found: [] },
  ];
  const found = together([file("a")], folders);
  assert.deepEqual(paths(found), ["a (2)", "a/x", "b"]);
});

test("folders go one by one, and one is cancelled wherever it stands", async () => {
  let sent;
  const going = new Promise((resolve) => (sent = resolve));
  const { shares, requests, notices } = sharing({ sent: () => sent() });
  const folders = ["one", "two", "three"].map((name) => dropped(name, { "a.txt": name }));
  shares.add({ files: [], folders });
  await going;
  assert.equal(requests.length, 1);
  const keys = notices.filter(({ share }) => share?.name).map(({ share }) => share.key);
  shares.cancel(keys[2]);
  shares.cancel(keys[1]);
  shares.cancel(keys[0]);
  const gone = notices.filter(({ event }) => event === "page_share_gone").map(({ key }) => key);
  assert.deepEqual(gone, [keys[2], keys[1], keys[0]]);
  assert.ok(notices.every(({ event }) => event !== "page_failed"));
  assert.equal(requests.length, 1);
});

test("what cannot be shared of a folder is said with its name", async () => {
  let end;
  const over = new Promise((resolve) => (end = resolve));
  const { shares, requests, notices } = sharing({ ended: () => end() });
  shares.add({ files: [], folders: [dropped("empty", {})] });
  await over;
  await Promise.resolve();
  assert.deepEqual(notices.at(-1), {
    event: "page_failed",
    code: "file_not_found",
    text: "empty: there is nothing in it that can be shared",
  });
  assert.equal(requests.length, 0);
});

test("a body holds no bytes of its files, and half a letter does not break its list", async () => {
  const { body, list, size } = bodyOf([{ path: "a\ud800", file: file("a", "xyz") }]);
  assert.equal(size, 3);
  assert.equal(body.size, list + 3);
  assert.equal(JSON.parse(await body.slice(0, list).text()).path, "a\ufffd");
});
