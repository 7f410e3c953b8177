/** What a text in the box `Message` is taken for. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { findMember, findOffer } from "../../frontend/lib/find.js";
import { labels } from "../../frontend/lib/rows.js";
import { COMMANDS, invitationAlone, meant, steps } from "../../frontend/lib/words.js";

const INVITED = `klatch:${"abcdefg234567".repeat(5)}`;

test("a line that begins with a slash is a command or an error, and never a message", () => {
  const does = (text, word, rest = "") =>
    assert.deepEqual(meant(text), { kind: "do", word, rest }, text);
  does("/password supersecret1", "lock", "supersecret1");
  does("/lock", "lock");
  does("/quit", "quit");
  does("/exit", "quit");
  does("/part", "leave");
  does("/nick Ana Maria", "name", "Ana Maria");
  does("/kick ben", "remove", "ben");
  does("/say /quit\nand more", "say", "/quit\nand more");
  does("/join 10.0.0.1", "join", "10.0.0.1");
  does("/help\n", "help");
  for (const [text, said] of [
    ["/pasword supersecret1", "did you mean /password?"],
    ["/Quit", "did you mean /quit?"],
    ["/hlep", "did you mean /help?"],
    ["/doctor", "terminal"],
    ["/xyzzy", 'no command "/xyzzy"'],
    ["/", "no command"],
    ["//quit", "no command"],
  ]) {
    const failure = meant(text);
    assert.equal(failure.kind, "error", text);
    assert.equal(failure.code, "unknown_command");
    assert.ok(failure.message.includes(said), failure.message);
    assert.doesNotMatch(failure.message, /supersecret/);
  }
});

test("every word of the terminal's is one here too, with the same answer", () => {
  const source = readFileSync(new URL("../../src/ui/command.rs", import.meta.url), "utf8");
  const part = (from) => source.slice(source.indexOf(from)).split("\n];")[0];
  const instead = [...part("const INSTEAD:").matchAll(/"(\w+)",\s*"([^"]+)"/g)];
  assert.ok(instead.length >= 3, "the terminal's list was found");
  for (const [, word, said] of instead) {
    for (const text of [`/${word}`, `/${word} ben hello`]) {
      const failure = { kind: "error", code: "unknown_command", message: said };
      assert.deepEqual(meant(text), failure, text);
    }
  }
  const commands = [...source.matchAll(/^ {4}"(\w+)" => /gm)].map(([, word]) => word);
  const aliases = [...part("const ALIASES:").matchAll(/\("(\w+)", "\w+"\)/g)];
  assert.ok(commands.length >= 20 && aliases.length >= 8, "the terminal's words were found");
  for (const word of [...commands, ...aliases.map(([, alias]) => alias)]) {
    const { kind, message = "" } = meant(`/${word}`);
    assert.ok(kind === "do" || /klatch's terminal/.test(message), word);
  }
});

test("what may hold a password is asked about", () => {
  for (const text of [
    "password supersecret1",
    "pasword supersecret1",
    " Passwort supersecret1",
    "PASSWORD",
    "passwords are for everybody",
  ]) {
    assert.equal(meant(text).kind, "secret", text);
  }
  for (const text of ["the password is it", "quit", "hello", "swordfish", " /quit", "pass it on"]) {
    assert.deepEqual(meant(text), { kind: "say", text });
  }
});

test("an invitation with nothing else is none of a message", () => {
  for (const text of [
    INVITED,
    `klatch ${INVITED}`,
    `KLATCH ${INVITED.toUpperCase()}`,
    ` join ${INVITED}\n`,
    `klatch get ${INVITED}`,
    `${INVITED.slice(0, 40)}\n${INVITED.slice(40)}`,
  ]) {
    assert.equal(invitationAlone(text)?.toLowerCase(), INVITED, text);
    assert.equal(meant(text).kind, "invitation");
  }
  for (const text of [
    `come here: ${INVITED}`,
    `${INVITED} and be quick`,
    "klatch: I wonder",
    "klatch:hello",
    "join klatch:",
  ]) {
    assert.equal(invitationAlone(text), null, text);
    assert.equal(meant(text).kind, "say");
  }
});

test("letters that are swapped are one step", () => {
  assert.equal(steps("passwrod", "password"), 1);
  assert.equal(steps("", "password"), 8);
  assert.equal(steps("password", "password"), 0);
});

test("a name means the same however its accents are written", () => {
  const [nfc, nfd] = ["caf\u00e9", "cafe\u0301"];
  const rows = [nfc, nfd, "other"].map((name, i) => ({
    id: `${i}${"0".repeat(63)}`,
    file: { id: `f${i}${"0".repeat(62)}`, name: `${name}.txt`, size: 1 },
    from: [{ id: "ab", name: "ben" }],
    phase: "offered",
  }));
  for (const row of rows.slice(0, 2)) {
    const alone = [row, rows[2]];
    for (const typed of [`${nfc}.txt`, `${nfd}.txt`]) {
      assert.equal(findOffer(alone, labels(alone), typed), row);
    }
  }
  const both = labels(rows);
  assert.deepEqual(Object.values(both), [
    `${nfc}.txt (f0000000)`,
    `${nfd}.txt (f1000000)`,
    "other.txt",
  ]);
  assert.equal(findOffer(rows, both, `${nfc}.txt (f1000000)`), rows[1]);
  assert.equal(findOffer(rows, both, "f1000000"), rows[1], "by the id of its file");
  assert.equal(findOffer(rows, both, rows[2].id.slice(0, 8).toUpperCase()), rows[2]);
  assert.throws(() => findOffer(rows, both, "f100000"), { code: "no_such_offer" });
  assert.throws(() => findOffer(rows, both, `${nfd}.txt`), { code: "ambiguous_name" });
  assert.throws(() => findOffer(rows, both, ""), { code: "no_such_offer" });
  const gone = { ...rows[0], from: [] };
  assert.equal(findOffer([gone, rows[1]], labels(rows), `${nfd}.txt`), rows[1], "it stands alone");
  const members = [nfd, "ana"].map((name, i) => ({ id: `${i}f9c`, name }));
  assert.equal(findMember(members, nfc), members[0]);
  assert.equal(findMember(members, `${nfc}·0f9`), members[0]);
  assert.throws(() => findMember(members, `${nfc}·1f9`), { code: "name_not_found" });
  const alike = ["01", "02"].map((end) => ({ id: `9359${end}`, name: `ben·9359${end}` }));
  assert.equal(findMember(alike, "ben·935902"), alike[1]);
  assert.throws(() => findMember(alike, "ben·9359"), { code: "ambiguous_name" });
});

test("the page knows every command of the terminal, by all its words, and no other", () => {
  const source = readFileSync(new URL("../../src/ui/command.rs", import.meta.url), "utf8");
  const rows = [...source.matchAll(/^ {4}"(\w+)" => /gm)].map(([, word]) => word);
  const pairs = source.split("const ALIASES")[1].split("];")[0];
  const aliases = [...pairs.matchAll(/\("(\w+)", "\w+"\)/g)].map(([, alias]) => alias);
  const instead = source.split("const INSTEAD")[1].split("];")[0];
  const answered = [...instead.matchAll(/\(\s*"(\w+)",/g)].map(([, word]) => word);
  assert.equal(rows.length, 25);
  assert.equal(aliases.length, 8);
  assert.equal(answered.length, 5);
  const known = (word) => {
    const { kind, message } = meant(`/${word}`);
    return kind === "do" || message.startsWith(`/${word} is a command of klatch's terminal`);
  };
  for (const word of [...rows, ...aliases]) assert.ok(known(word), `/${word}`);
  for (const word of answered) assert.ok(!/no command/.test(meant(`/${word}`).message), word);
  const own = Object.entries(COMMANDS).flatMap(([word, others]) => [word, ...others]);
  for (const word of own) assert.ok(rows.includes(word) || aliases.includes(word), `/${word}`);
});
