import assert from "node:assert/strict";
import { test } from "node:test";

import { bitmap, shares } from "../../frontend/lib/bitmap.js";
import { connectLine, invitation, isLoopback, splitAddress } from "../../frontend/lib/address.js";
import * as format from "../../frontend/lib/format.js";
import { block, line, parse, spans } from "../../frontend/lib/text.js";
import * as range from "../../frontend/lib/window.js";

const links = (text) =>
  spans(text)
    .filter(({ kind }) => kind === "link")
    .map(({ text: shown }) => shown);

test("nothing hides or reorders text", () => {
  assert.equal(line("a\u202egpj.exe"), "a\\u{202e}gpj.exe");
  assert.equal(line("two\nlines\u200b\u0007"), "two\\u{a}lines\\u{200b}\\u{7}");
  assert.equal(line("\u{e0041}"), "\\u{e0041}");
  assert.equal(block("one\n\ttwo\u2066"), "one\n\ttwo\\u{2066}");
  assert.equal(block("👩\u200d🚀 ☕\ufe0f"), "👩\u200d🚀 ☕\ufe0f");
});

test("links are found, and only the web's", () => {
  assert.deepEqual(links("see https://example.org/a, or http://b.example."), [
    "https://example.org/a",
    "http://b.example",
  ]);
  assert.deepEqual(links("(https://en.wikipedia.org/wiki/Klatsch_(talk))"), [
    "https://en.wikipedia.org/wiki/Klatsch_(talk)",
  ]);
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,x",
    "https://",
    "xhttps://a.example",
    "https://user:pw@a.example/",
    "file:///etc/passwd",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("text and links together are the whole text", () => {
  const text = "a https://x.example/?q=1#f) b `code https://y.example` c";
  const put = ({ kind, text: shown }) => (kind === "code" ? `\`${shown}\`` : shown);
  assert.equal(spans(text).map(put).join(""), text);
  assert.deepEqual(links(text), ["https://x.example/?q=1#f"]);
});

test("fences are code, and an open one is text", () => {
  assert.deepEqual(parse("look:\n```js\nlet a;\n\nb()\n```\nok"), [
    { kind: "paragraph", spans: [{ kind: "text", text: "look:" }] },
    { kind: "code", text: "let a;\n\nb()" },
    { kind: "paragraph", spans: [{ kind: "text", text: "ok" }] },
  ]);
  assert.equal(parse("```\nnever closed")[0].kind, "paragraph");
});

test("an invitation is found in what people paste", () => {
  for (const text of [
    "klatch:cgv2xk5l",
    " klatch klatch:cgv2xk5l\n",
    "/join klatch:cgv2\n  xk5l",
    "connect klatch klatch:cgv2xk5l",
  ]) {
    assert.equal(invitation(text), "klatch:cgv2xk5l", text);
    assert.deepEqual(splitAddress(text), { host: "klatch:cgv2xk5l", port: null }, text);
  }
  for (const text of ["klatch", "alice.example:5000", "connect klatch 51692"]) {
    assert.equal(invitation(text), null, text);
  }
});

test("moments to come are near or have their day", () => {
  const now = new Date(2026, 10, 29, 23, 30).getTime();
  assert.match(format.moment(now + 60_000, now), /^today /);
  assert.match(format.moment(now + 3_600_000, now), /^tomorrow /);
  assert.match(format.moment(now + 6 * 86_400_000, now), /5.*/);
});

test("addresses are read as people paste them", () => {
  assert.deepEqual(splitAddress(" connect 192.168.1.5 51700 "), {
    host: "192.168.1.5",
    port: "51700",
  });
  assert.deepEqual(splitAddress("192.168.1.5:51692"), { host: "192.168.1.5", port: "51692" });
  assert.deepEqual(splitAddress("[::1]:51692"), { host: "::1", port: "51692" });
  assert.deepEqual(splitAddress("fe80::1"), { host: "fe80::1", port: null });
  assert.deepEqual(splitAddress("my-host.local"), { host: "my-host.local", port: null });
  assert.deepEqual(splitAddress("host 51692 locked"), { host: "host", port: "51692" });
  assert.equal(connectLine("[fd00::2]:51692"), "connect fd00::2 51692");
  assert.ok(isLoopback("127.0.0.1:51692") && isLoopback("[::1]:1") && !isLoopback("10.0.0.1:1"));
});

test("numbers are short", () => {
  assert.equal(format.bytes(0), "0 B");
  assert.equal(format.bytes(999), "999 B");
  assert.equal(format.bytes(12_345_678), "12.3 MB");
  assert.equal(format.bytes(999_960), "1.0 MB");
  assert.equal(format.bytes(2 ** 41), "2.2 TB");
  assert.equal(format.duration(0.2), "1 s");
  assert.equal(format.duration(61), "2 min");
  assert.equal(format.duration(7500), "2 h 5 min");
  assert.equal(format.timeLeft(50, 100, 10), "5 s left");
  assert.equal(format.timeLeft(50, 100, 0), null);
  assert.equal(format.people(0), "Nobody else is here yet");
  assert.equal(format.people(1), "1 other here");
  assert.equal(format.people(2), "2 others here");
  assert.equal(format.fingerprint("3f9c02aa71b4d00effff"), "3f9c 02aa 71b4 d00e");
});

test("days are told from where the reader is", () => {
  const now = new Date(2026, 10, 26, 9).getTime();
  assert.equal(format.day(new Date(2026, 10, 26, 1).getTime(), now), "Today");
  assert.equal(format.day(new Date(2026, 10, 25, 23).getTime(), now), "Yesterday");
  assert.match(format.day(new Date(2026, 10, 24, 23).getTime(), now), /24/);
  assert.match(format.day(new Date(2024, 10, 24).getTime(), now), /2024/);
});

test("previews are promised by the last part of a name only", () => {
  assert.equal(format.previewKind("a.b/photo.JPG"), "image");
  assert.equal(format.previewKind("film.mp4"), "video");
  assert.equal(format.previewKind("page.html"), "text");
  assert.equal(format.previewKind("mp4"), null);
  assert.equal(format.previewKind("tool.exe"), null);
});

test("a strip shares its chunks out to its columns", () => {
  const bits = bitmap(Buffer.from([0b11000001, 0b10000000]).toString("base64"));
  assert.deepEqual([...shares(bits, 9, 3)], [2 / 3, 0, 2 / 3].map(Math.fround));
  assert.deepEqual([...shares(bits, 1, 4)], [1, 1, 1, 1]);
  assert.deepEqual([...shares(bits, 9, 1)], [Math.fround(4 / 9)]);
});

test("the window moves, stays small, and never loses its place", () => {
  assert.deepEqual(range.newest(5000), { start: 4880, end: 5000 });
  assert.deepEqual(range.newest(3), { start: 0, end: 3 });
  let shown = range.newest(5000);
  for (let i = 0; i < 200; i += 1) {
    shown = range.older(shown);
    assert.ok(shown.end - shown.start <= range.MOST && shown.start < shown.end);
  }
  assert.equal(shown.start, 0);
  for (let i = 0; i < 200; i += 1) shown = range.newer(shown, 5000);
  assert.equal(shown.end, 5000);
  for (let length = 0; length < 1000; length += 1) {
    shown = range.moved(shown, length, true, shown.start);
    assert.equal(shown.end, length);
    assert.ok(shown.end - shown.start <= range.MOST);
  }
  // The older half of the log was dropped: what was at the top is further up now, or gone.
  assert.deepEqual(range.moved({ start: 4880, end: 5000 }, 3001, true, 2880), {
    start: 2880,
    end: 3001,
  });
  assert.deepEqual(range.moved({ start: 4880, end: 5000 }, 3001, true, -1), range.newest(3001));
  assert.deepEqual(range.moved({ start: 10, end: 130 }, 500, false, 60), { start: 60, end: 240 });
});
