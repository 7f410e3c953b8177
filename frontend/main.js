/** Ties the page together: one store, one socket, the components and their actions. */

import { el } from "./lib/dom.js";
import { keepFocus } from "./lib/focus.js";
import { keep, recall } from "./lib/keep.js";
import { labels } from "./lib/rows.js";
import { line } from "./lib/text.js";
import { createSocket, isQuestion } from "./lib/socket.js";
import { atStart, connected, initial } from "./lib/state.js";
import { createStore } from "./lib/store.js";
import { createComposer } from "./components/composer/composer.js";
import { createDrop } from "./components/drop/drop.js";
import { createFiles } from "./components/files/files.js";
import { createInvite } from "./components/invite/invite.js";
import { createLog } from "./components/log/log.js";
import { connectionStatus, createMasthead } from "./components/masthead/masthead.js";
import { watchUnread } from "./components/masthead/notify.js";
import { createMembers } from "./components/members/members.js";
import { createMore } from "./components/more/more.js";
import { createBanner, createNotes, createRoomAlert } from "./components/alert/alert.js";
import { createStart } from "./components/start/start.js";
import { createFarewell } from "./components/farewell/farewell.js";

const RUN = "klatch.run";
const ROOM = "klatch.room";
const LAST = "klatch.last";
/** How long a request to compare words is shown. */
const WORDS_MS = 120_000;
/** How long something can be undone; klatch keeps files that long. */
const UNDO_MS = 10_000;
/** Who is what is asked for once it settled. */
const SETTLE_MS = 300;
const MEMBERSHIP = ["joined", "member_joined", "member_removed", "room_locked", "steward_changed"];
/** The buttons of a file whose names differ from klatch's commands. */
const COMMANDS = { Resume: "download", Discard: "cancel" };
const OVER = ["expired", "refused", "ended"];

const store = createStore({
  ...initial,
  run: sessionStorage.getItem(RUN),
  enteredRoom: sessionStorage.getItem(ROOM),
  lastAddress: JSON.parse(sessionStorage.getItem(LAST) ?? "null"),
  recalled: recall(sessionStorage),
});

const socket = createSocket({
  url: `ws://${location.host}/ws`,
  code: takeCode(),
  storage: sessionStorage,
  onNotice: hear,
  onStatus: (status) => store.dispatch({ event: "page_connection", status }),
});

let loaded = null;
let shared = null;

/**
 * The interface for components.
 * @typedef {typeof app} App
 */
const app = {
  store,
  ask: socket.ask,
  sharing: { add: sharing("add"), addFolder: sharing("addFolder"), cancel: sharing("cancel") },
  alert: ({ code, message }) =>
    store.dispatch({ event: "page_alert", code: code ?? "io_error", text: message }),
  quit: () => endRoom("Quit klatch", socket.quit).catch(app.alert),
  leave: () => endRoom("Leave room", () => socket.ask("leave")).catch(app.alert),
  fileAction,
  lookInside,
  downloadAll: many("downloadAll"),
  withdrawAll: many("withdrawAll"),
  fileLabels,
  /** @type {ReturnType<typeof createNotes>["show"]} */
  note: () => {},
  /** Says what was done `ago`, which can be undone for a while. */
  undo: (text, act, ago = 0) => app.note({ text, label: "Undo", act, ms: UNDO_MS - ago }),
};

/** Loaded when it is needed: few visits share a file. */
function sharing(word) {
  return async (what) => {
    try {
      loaded ??= import("./lib/share.js");
      const { createSharing } = await loaded;
      shared ??= createSharing({ token: socket.token, dispatch: store.dispatch });
      shared[word](what);
    } catch (failure) {
      loaded = null;
      app.alert(failure);
    }
  };
}

function hear(notice) {
  if (isQuestion(notice)) {
    answer(notice).catch(app.alert);
    return;
  }
  if (notice.event === "folder") looked.set(`${notice.file.id} ${notice.path}`, notice);
  store.dispatch(notice);
  if (MEMBERSHIP.includes(notice.event)) lookAgain();
  if (notice.event === "verify" && notice.asked) offerWords();
}

async function answer(question) {
  const { answerPassword, answerQuestion } = await import("./components/dialog/room-dialogs.js");
  (question.event === "confirm" ? answerQuestion : answerPassword)(app, question);
}

/** Somebody asked to compare these words. */
function offerWords() {
  const { words } = store.state;
  const act = async () =>
    (await import("./components/dialog/member-dialogs.js")).compare(app, words);
  const text = `${line(words.member.name)} wants to compare words with you.`;
  app.note({ text, label: "Compare words", act, ms: WORDS_MS, slot: "words" });
}

let looking = 0;

function lookAgain() {
  clearTimeout(looking);
  // A lost connection brings a snapshot, which says the same.
  looking = setTimeout(() => socket.ask("members").catch(() => {}), SETTLE_MS);
}

/** Leaves a room or quits, but asks first if there is something to lose. */
async function endRoom(name, act) {
  const { confirmEnd } = await import("./components/dialog/room-dialogs.js");
  return confirmEnd(app, name, act);
}

/** The one-time code leaves the address bar as soon as it is read. */
function takeCode() {
  const code = location.hash.slice(1);
  if (code) history.replaceState(null, "", location.pathname);
  return code;
}

/** @type {WeakMap<object, Record<string, string>>} */
const labelsOf = new WeakMap();

/** Offers by the name that people see: equal names are followed by the beginning of their ids. */
function fileLabels() {
  const { files } = store.state;
  if (!labelsOf.has(files)) {
    labelsOf.set(files, labels(Object.values(files)));
  }
  return labelsOf.get(files);
}

/** @param {{paths: string[], bytes: number}} [part]  what of a folder, if not all */
async function fileAction(word, id, part) {
  const fetches = word === "Download" || word === "Resume";
  try {
    const { file, folder } = store.state.files[id];
    if (word === "Show" || word === "Save") {
      const answers = await socket.ask("media", { offer: id });
      const media = answers.find(({ event }) => event === "media");
      if (word === "Show") await preview(media, file);
      else el("a", { href: `${media.url}?save`, download: "" }).click();
      return;
    }
    const what = word === "Cancel" || word === "Discard" ? { file: file.id } : { offer: id };
    if (part) what.paths = part.paths;
    if (folder && fetches) store.dispatch({ event: "page_part", file, part: part?.bytes ?? 0 });
    await socket.ask(COMMANDS[word] ?? word.toLowerCase(), what);
    if (word === "Discard") store.dispatch({ event: "page_discarded", file });
    if (word === "Withdraw") {
      app.undo(`${line(file.name)} is withdrawn.`, () => socket.ask("restore", { offer: id }));
    }
  } catch (failure) {
    if (!fetches || !toldElsewhere(failure, id)) app.alert(failure);
  }
}

/** What klatch told of folders, until whoever asked takes it. */
const looked = new Map();

/** What is in a folder, or in one in it: `path` is empty, or ends with a slash. */
async function lookInside(id, path) {
  const { file } = store.state.files[id];
  await socket.ask("files", { offer: id, path });
  const key = `${file.id} ${path}`;
  const told = looked.get(key);
  looked.delete(key);
  return told;
}

/** Loaded when it is needed: few visits do something to many files at once. */
function many(word) {
  return async (ids) => {
    try {
      await (await import("./lib/many.js"))[word](app, ids);
    } catch (failure) {
      app.alert(failure);
    }
  };
}

/** Loaded when it is needed: few visits look at a file. */
async function preview(media, file) {
  const { openPreview } = await import("./components/preview/preview.js");
  openPreview(media, file);
}

/** A download is answered at its end, which its card shows. It outlives connections. */
function toldElsewhere({ code, lost }, id) {
  return lost || code === "cancelled" || Boolean(store.state.files[id]?.failure);
}

function build() {
  const notes = createNotes(app);
  app.note = notes.show;
  const invite = createInvite(app);
  const members = createMembers(app);
  const files = createFiles(app);
  const log = createLog(app, { invite, inviteSlot: members.inviteSlot });
  const composer = createComposer(app, {
    chooseFiles: files.choose,
    caughtUp: () => {
      store.dispatch({ event: "page_caught_up" });
      log.jumpToNewest({ keepFocus: true });
    },
  });
  const panels = [
    { name: "Members", panel: members.element },
    { name: "Files", panel: files.element },
  ];
  const room = el(
    "div",
    { class: "room" },
    createMasthead(app, panels, createMore(app)),
    el(
      "main",
      { class: "talk" },
      log.element,
      notes.element,
      createRoomAlert(app),
      composer.element,
    ),
    el("div", { class: "side" }, members.element, files.element),
  );
  const start = createStart(app, connectionStatus(app));
  const farewell = createFarewell(app);
  document.body.append(
    createBanner(app),
    start,
    room,
    farewell,
    createDrop(app.sharing, () => !room.hidden && connected(store.state)),
  );

  store.watch((state, before) => {
    const over = OVER.includes(state.connection);
    const begun = state.room !== null;
    const starting = begun && !over && atStart(state);
    const inRoom = begun && !over && !starting;
    farewell.hidden = !over;
    start.hidden = !starting;
    if (inRoom && room.hidden) queueMicrotask(composer.focus);
    room.hidden = !inRoom;
    if (state.run !== before.run) sessionStorage.setItem(RUN, state.run);
    if (state.enteredRoom !== before.enteredRoom) {
      sessionStorage.setItem(ROOM, state.enteredRoom ?? "");
    }
    if (state.lastAddress !== before.lastAddress) {
      sessionStorage.setItem(LAST, JSON.stringify(state.lastAddress));
    }
  });
  watchUnread(app);
}

build();
keepFocus();
addEventListener("pagehide", () => keep(sessionStorage, store.state));
addEventListener("beforeunload", (event) => {
  // The browser asks whether to go: what is on its way would be cut off.
  if (store.state.shares.length > 0) event.preventDefault();
});
addEventListener("online", socket.retry);
document.addEventListener("visibilitychange", () => document.hidden || socket.retry());
addEventListener("hashchange", () => {
  const code = takeCode();
  if (code) socket.useCode(code);
});
