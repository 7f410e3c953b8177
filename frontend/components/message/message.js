/** One entry of the log: a message, a file's card, or a line of klatch's. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { clock, plural } from "../../lib/format.js";
import { line, marked, parse } from "../../lib/text.js";
import { cup, voice } from "../cup/cup.js";
import { createFileCard, inFolder } from "../file/file.js";

const LONG_CHARS = 1400;
const LONG_LINES = 20;

/**
 * @param {import("../../main.js").App} app
 * @param {import("../../lib/types.js").Entry} entry
 * @returns {{entry: any, element: HTMLElement, update: (entry: any, state: any) => void}}
 */
export function createEntry(app, entry) {
  if (entry.kind === "line") return createLine(entry);
  const time = clock(entry.time);
  const author = line(entry.from.name);
  let last = null;
  const kind = MAKERS[entry.kind](app, entry, () => last && update(...last));
  const offer = entry.kind !== "message";
  const whole = `${line(entry.text ?? "")}${entry.folder ? `, ${inFolder(entry.folder)}` : ""}`;
  const what = entry.entries ? plural(entry.entries.length, "file") : whole;
  const element = el(
    offer ? "div" : "article",
    {
      class: `entry ${voice(entry.from.id)}${entry.own ? " own" : ""}${offer ? " offer" : ""}`,
      role: offer ? "group" : null,
      "aria-label": offer
        ? `${what}, offered by ${author}, ${time}`
        : `${author}, ${time}`,
    },
    el(
      "p",
      { class: "entry-who" },
      cup(entry.from.id),
      el(
        "bdi",
        { class: "entry-name", title: author },
        entry.own ? "you" : line(marked(entry.from)),
      ),
    ),
    kind.body,
    el("time", { class: "entry-time", dateTime: new Date(entry.time).toISOString() }, time),
  );
  const update = (next, state) => {
    last = [next, state];
    const count = kind.update(next, state);
    if (count) setLabel(element, `${count}, offered by ${author}, ${time}`);
  };
  return { entry, element, update };
}

const MAKERS = {
  message: (_, entry) => createMessage(entry),
  offer: createOffer,
  offers: createMany,
};

function createLine(entry) {
  const text = el("span");
  const element = el(
    "p",
    { class: "entry-line" },
    text,
    el(
      "time",
      { class: "entry-line-time", dateTime: new Date(entry.time).toISOString() },
      clock(entry.time),
    ),
  );
  return { entry, element, update: (next) => setText(text, line(next.text)) };
}

function createMessage(entry) {
  const held = el("p", { class: "entry-held", "aria-live": "off" });
  const text =
    entry.known === false
      ? [el("p", { class: "entry-unknown" }, "Something that this version of klatch cannot show.")]
      : parse(entry.text).map(drawBlock);
  const words = el("div", { class: "entry-text", dir: "auto" }, ...text);
  const body = el("div", { class: "entry-body" }, words, held);
  const long = entry.text.length > LONG_CHARS || entry.text.split("\n").length > LONG_LINES;
  if (long) fold(words);
  const update = ({ own, heldBy, present, refusedBy = [] }) => {
    const refused = refusedBy.length > 0 ? `, refused by ${refusedBy.map(marked).join(", ")}` : "";
    setText(held, own && present > 0 ? `${heldBy} of ${present} have it${refused}` : "");
    held.classList.toggle("all", heldBy === present);
  };
  return { body, update };
}

function fold(words) {
  words.classList.add("folded");
  const button = el(
    "button",
    {
      class: "button small entry-unfold",
      type: "button",
      "aria-expanded": "false",
      on: { click: toggle },
    },
    "Read on",
  );
  function toggle() {
    const folded = words.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!folded));
    button.textContent = folded ? "Read on" : "Fold up";
  }
  queueMicrotask(() => words.after(button));
}

function drawBlock(block) {
  if (block.kind === "code")
    return el("pre", { tabIndex: 0, "aria-label": "Code" }, el("code", {}, block.text));
  return el("p", {}, ...block.spans.map(drawSpan));
}

function drawSpan({ kind, text, href }) {
  if (kind === "code") return el("code", {}, text);
  if (kind !== "link") return text;
  const properties = { href, rel: "noopener noreferrer", target: "_blank", title: href };
  return el("a", properties, text);
}

function createOffer(app, { offerId, text }) {
  const card = createFileCard(app, offerId, { inLog: true });
  const gone = el("p", { class: "entry-unknown" });
  const body = el("div", { class: "entry-body" }, card.element, gone);
  const update = (entry, state) => {
    const row = state.files[offerId];
    const offeredStill = row !== undefined && (row.from.length > 0 || row.phase === "held");
    card.element.hidden = !offeredStill;
    gone.hidden = offeredStill;
    const end = row?.ended === "replaced" ? "replaced by a new version" : "withdrawn";
    setText(gone, `${line(text)} was ${end}.`);
    if (row) card.update(row, app.fileLabels()[offerId]);
  };
  return { body, update };
}

/** Loaded when it is needed: most rooms have no drop of many files. Its place is kept. */
function createMany(app, _, again) {
  const body = el("div", { class: "entry-body many" });
  let made = null;
  let coming = false;
  const load = async () => {
    coming = true;
    try {
      const { createOffers } = await import("../file/offers.js");
      made = createOffers(app);
      body.append(...made.elements);
      again();
    } catch {
      coming = false; // With the next news it is tried again.
    }
  };
  const update = (entry, state) => {
    if (!coming) load();
    return made?.update(entry, state);
  };
  return { body, update };
}
