/** Files and folders on their way from this tab into klatch. */

import { el, setLabel, setText } from "../../lib/dom.js";
import { bytes, inTwo, plural } from "../../lib/format.js";
import { line } from "../../lib/text.js";
import { keep } from "./files.js";

/** Those that have a row each. */
const SHARES_MAX = 8;

/**
 * @param {import("../../main.js").App} app
 * @param {HTMLElement} place
 * @returns {(shares: import("../../lib/types.js").Share[]) => void}
 */
export function createShares(app, place) {
  const list = el("ul", { class: "files-list shares" });
  const restText = el("p", { class: "file-facts" });
  const cancelRest = () => {
    for (const { key } of app.store.state.shares.slice(SHARES_MAX)) app.sharing.cancel(key);
  };
  const rest = el(
    "div",
    { class: "shares-rest", hidden: true },
    restText,
    el(
      "button",
      { class: "button small", type: "button", on: { click: cancelRest } },
      "Cancel sharing these",
    ),
  );
  const rows = new Map();
  place.append(list, rest);

  /** Those that go and the next ones; of many more the number says enough. */
  return (shares) => {
    const more = shares.length - SHARES_MAX;
    rest.hidden = more <= 0;
    setText(restText, `${plural(more, "more file")} to share ${more === 1 ? "waits" : "wait"}`);
    keep(
      rows,
      list,
      shares.slice(0, SHARES_MAX),
      ({ key }) => key,
      (share) => createShare(app, share),
      (row, share) => row.update(share),
    );
  };
}

function createShare(app, { key, name }) {
  const shown = line(name);
  const bar = el("progress", { class: "file-progress" });
  const facts = el("p", { class: "file-facts" });
  const cancel = el(
    "button",
    { class: "button small", type: "button", on: { click: () => app.sharing.cancel(key) } },
    "Cancel",
  );
  const [head, tail] = inTwo(shown);
  setLabel(bar, `Sharing ${shown}`);
  setLabel(cancel, `Cancel sharing ${shown}`);
  const element = el(
    "li",
    { class: "file share" },
    el(
      "div",
      { class: "file-text" },
      el(
        "bdi",
        { class: "file-name", title: shown },
        el("span", { class: "file-head" }, head),
        el("span", { class: "file-tail" }, tail),
      ),
      facts,
    ),
    el("div", { class: "file-actions" }, cancel),
    bar,
  );
  const update = ({ phase, size, sent }) => {
    bar.max = Math.max(size, 1);
    bar.value = sent;
    const done = `${bytes(Math.min(sent, size))} of ${bytes(size)}`;
    const said = {
      waiting: "waiting",
      looking: "looking inside",
      sending: `sharing, ${done}`,
      reading: `almost there, ${done} read`,
    };
    setText(facts, said[phase]);
  };
  return { element, update };
}
