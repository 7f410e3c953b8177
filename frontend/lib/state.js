/**
 * The page's state and the one function that changes it: `reduce(state, notice) -> state`.
 *
 * Pure: no clock, no document, no socket. A notice is what klatch sent or what the person did
 * (`page_…`); `at` is when it came. What did not change keeps its identity, so that components
 * can compare with `===`.
 *
 * @typedef {import("./types.js").State} State
 * @typedef {import("./types.js").Entry} Entry
 */

import { splitAddress } from "./address.js";
import { fromHistory, insert, merge, stillSaid } from "./entries.js";
import { joinedLine, lockedLine, removedLine, stewardLine, unlockedLine } from "./rooms.js";
import { changed, ended, filesOf, offered, servedOf, withEntries, withTakers } from "./rows.js";
import { marked } from "./text.js";

/** Entries kept while the newest are read; older ones are fetched again. */
export const KEPT_ENTRIES = 4000;
/** Failures that are listed one by one. */
const LISTED_MAX = 100;
/** Members whose place in the list is remembered, present or not. */
const ORDER_MAX = 1024;

/** @type {State} */
export const initial = Object.freeze({
  connection: "connecting",
  self: null,
  room: null,
  run: null,
  addresses: [],
  members: [],
  order: [],
  standing: null,
  invitation: null,
  invitations: [],
  words: null,
  entries: [],
  earlier: 0,
  files: {},
  filesLeftOut: 0,
  served: [],
  shares: [],
  enteredRoom: null,
  restarted: false,
  lastAddress: null,
  unread: { count: 0, after: null },
  attentive: true,
  alert: null,
  recalled: null,
  seq: 0,
});

/**
 * @param {State} state
 * @param {{event: string, [field: string]: any}} notice
 * @returns {State}
 */
export function reduce(state, notice) {
  return Object.hasOwn(HANDLERS, notice.event) ? HANDLERS[notice.event](state, notice) : state;
}

/**
 * Whether klatch takes commands now.
 * @param {State} state
 * @returns {boolean}
 */
export function connected({ connection }) {
  return connection === "connected";
}

/**
 * Whether the start is shown: nobody was ever here, nothing was said, nobody chose to stay.
 * @param {State} state
 * @returns {boolean}
 */
export function atStart(state) {
  const silent = state.entries.every((entry) => entry.kind === "line");
  const chosen = state.room !== null && state.enteredRoom === state.room.id;
  return !chosen && !state.room?.settled && state.members.length === 0 && silent;
}

const HANDLERS = {
  session(state, { run }) {
    const restarted = state.run !== null && state.run !== run;
    return restarted ? { ...emptied(state), run, restarted, alert: null } : { ...state, run };
  },

  snapshot(state, snapshot) {
    const sameRoom = state.room?.id === snapshot.room.id;
    const history = withHeld(fromHistory(snapshot.messages, state.seq), snapshot);
    const recalled = recalledFor(state, snapshot.room);
    const again = recalledLines(recalled, snapshot, state.seq + history.length);
    const seq = state.seq + history.length + again.length;
    const keys = new Set(state.entries.map(({ key }) => key));
    // Without a common entry something between the two parts may be missing: klatch has it.
    const meets = sameRoom && (snapshot.earlier === 0 || history.some(({ key }) => keys.has(key)));
    const earlier = meets ? stillSaid(state.entries, history) : again;
    const entries = merge(earlier, history);
    const served = servedOf(snapshot.transfers, []);
    const known = sameRoom ? state.files : {};
    const files = withTakers(filesOf(snapshot, known, recalled?.kept), served);
    const leftOut = snapshot.files_left_out ?? 0;
    const order = sameRoom ? state.order : (recalled?.order ?? []);
    const members = inOrder(others(snapshot.members, snapshot.self), order);
    return {
      ...(sameRoom ? state : alone(state)),
      connection: "connected",
      self: snapshot.self,
      room: snapshot.room,
      addresses: snapshot.addresses,
      members,
      order: ordered(members, order),
      recalled: null,
      standing: ownStanding(snapshot.members) ?? null,
      entries,
      earlier: meets ? Math.min(state.earlier, snapshot.earlier) : snapshot.earlier,
      ...withEntries({ files, filesLeftOut: leftOut }, entries, known),
      served,
      lastAddress: addressOf(snapshot.members) ?? state.lastAddress,
      unread: sameRoom ? counted(state, entries) : initial.unread,
      seq,
    };
  },

  history(state, { messages, earlier }) {
    const entries = merge(fromHistory(messages, state.seq), state.entries);
    const rows = withEntries(state, entries, {});
    return { ...state, ...rows, entries, earlier, seq: state.seq + messages.length };
  },

  listening: (state, { addresses }) => ({ ...state, addresses }),

  message(state, notice) {
    const [entry] = fromHistory([notice], state.seq);
    const next = { ...state, seq: state.seq + 1, entries: insert(state.entries, entry) };
    return arrived(state, next, entry, !notice.own && !notice.history);
  },

  /** It counts no more: two programs spoke with the identity of its author. */
  message_withdrawn(state, { id }) {
    const entries = state.entries.filter(({ key }) => key !== id);
    return entries.length < state.entries.length ? { ...state, entries } : state;
  },

  held(state, { id, held_by: heldBy, present, refused_by: refusedBy = [] }) {
    // An own message is among the newest ones: looking from the end is short.
    const index = state.entries.findLastIndex((entry) => entry.key === id);
    if (index < 0) return state;
    const entries = [...state.entries];
    entries[index] = { ...entries[index], heldBy, present, refusedBy };
    return { ...state, entries };
  },

  file_offered(state, notice) {
    const { id, file, folder, from, own, history, replaces } = notice;
    const [entry] = fromHistory([{ order: lastOrder(state), ...notice }], state.seq);
    // What this node does with a content is the same whoever offers it, and under whatever name.
    const same = Object.values(state.files).find((row) => row.file.id === file.id);
    const row = {
      ...(same ?? offered(id, file, folder)),
      id,
      file,
      from: [from],
      own,
      hosts: Math.max(same?.hosts ?? 0, 1),
      version: Boolean(replaces),
      ended: null,
    };
    const before = replaces ? ended(state.files, replaces, "replaced") : state.files;
    let files = { ...before, [id]: row };
    // It is here then, whoever else offers it.
    if (own && !history) ({ files } = changed({ files }, file, here));
    const next = { ...state, files, seq: state.seq + 1, entries: insert(state.entries, entry) };
    return arrived(state, next, entry, !notice.own && !notice.history);
  },

  file_withdrawn(state, notice) {
    const [entry] = fromHistory([{ order: lastOrder(state), ...notice }], state.seq);
    const next = { ...state, seq: state.seq + 1, entries: insert(state.entries, entry) };
    return { ...next, files: ended(state.files, notice.id, "withdrawn") };
  },

  hosts: (state, { file, hosts, held, kept = 0 }) =>
    changed(state, file, ({ own, from, phase: before, bytesDone }) => {
      const stays = before === "fetching" || before === "queued" || from.length === 0;
      const phase = stays ? before : held ? "held" : "offered";
      const begun = phase === "offered" && !own && (before === "held" || bytesDone === 0);
      return { hosts, phase, bytesDone: begun ? kept : bytesDone };
    }),
  chunks: (state, { file, count, held, served }) =>
    changed(state, file, { chunks: { count, held, served } }),

  download_queued: (state, { file }) => changed(state, file, { phase: "queued", failure: null }),

  download_started: (state, { file }) =>
    changed(state, file, { phase: "fetching", failure: null, rate: 0, sources: 0 }),

  download_progress: (state, notice) =>
    changed(state, notice.file, {
      phase: "fetching",
      bytesDone: notice.bytes_done,
      rate: notice.bytes_per_second,
      sources: notice.hosts,
    }),

  download_finished: (state, { file, path }) =>
    changed(state, file, ({ part }) => ({
      // Of a folder of which a part was wanted the rest is not here.
      ...(part ? { phase: "offered", bytesDone: 0 } : { phase: "held", bytesDone: file.size }),
      path,
      rate: 0,
      failure: null,
    })),

  /** Of a folder so many bytes are fetched from now on, or all. */
  page_part: (state, { file, part }) => changed(state, file, { part }),

  download_failed(state, { file, code, text }) {
    const failure = code === "cancelled" ? null : { code, text };
    return changed(state, file, { phase: "offered", rate: 0, failure });
  },

  hash_progress(state, { path, bytes_done: sent }) {
    const name = path.split(/[/\\]/).at(-1);
    const shares = state.shares.map((share) =>
      share.name === name && share.phase === "reading" ? { ...share, sent } : share,
    );
    return { ...state, shares };
  },

  files(state, { list }) {
    return { ...state, files: filesOf({ files: list, transfers: [], saved: [] }, state.files) };
  },

  transfers(state, { list }) {
    const served = servedOf(list, state.served);
    return { ...state, served, files: withTakers(state.files, served) };
  },

  members(state, { list }) {
    const members = inOrder(others(list, state.self), state.order);
    const standing = ownStanding(list) ?? state.standing;
    return { ...state, members, order: ordered(members, state.order), standing };
  },

  invitation: (state, { event: _, at: __, ...invitation }) => ({ ...state, invitation }),
  invitations: (state, { list }) => ({ ...state, invitations: list }),

  /** Words to compare; when the other side asks, its person waits for an answer. */
  verify(state, { member, words, asked, at }) {
    const next = { ...state, words: { member, words, asked, key: state.seq } };
    return asked ? said(next, { at }, `${marked(member)} wants to compare words with you`) : next;
  },

  joined(state, { room, members, locked, founder, at }) {
    const moved = {
      ...(state.room?.id === room ? state : alone(state)),
      room: { id: room, locked, settled: true, founder },
      members,
      order: ordered(members, []),
      enteredRoom: room,
      restarted: false,
      lastAddress: addressOf(members) ?? state.lastAddress,
    };
    return said(moved, { at }, joinedLine(state, { members, locked, founder }));
  },

  /** The new room follows as a snapshot; if klatch ends instead, the old one stays. */
  left: (state) => ({ ...state, enteredRoom: null }),

  member_joined(state, { member, at }) {
    if (member.id === state.self?.id) return state;
    const before = state.members.find(({ id }) => id === member.id);
    const here = before ? known(state, member) : [...state.members, member];
    const members = inOrder(here, state.order);
    const room = state.room && { ...state.room, settled: true };
    const lastAddress = addressOf([member]) ?? state.lastAddress;
    const next = { ...state, members, order: ordered(members, state.order), room, lastAddress };
    return before ? next : said(next, { at }, `${marked(member)} joined`);
  },

  member_left(state, { member, at }) {
    const members = state.members.filter(({ id }) => id !== member.id);
    const lastAddress = addressOf(members) ?? state.lastAddress;
    return said({ ...state, members, lastAddress }, { at }, `${marked(member)} left`);
  },

  name_changed(state, { member, before, at }) {
    const own = member.id === state.self?.id;
    const self = own ? { ...state.self, name: member.name } : state.self;
    const next = { ...state, self, members: known(state, member) };
    const was = marked({ ...member, name: before });
    const line = own ? `you are ${member.name} now` : `${was} is ${marked(member)} now`;
    return said(next, { at }, line);
  },

  member_verified(state, { member, at }) {
    const members = known(state, member);
    const words = state.words?.member.id === member.id ? null : state.words;
    return said({ ...state, members, words }, { at }, `${marked(member)} is verified now`);
  },

  room_locked(state, notice) {
    const locked = { locked: true, password: notice.password };
    const next = { ...state, room: state.room && { ...state.room, ...locked } };
    return told(next, notice, lockedLine(state, notice), notice.me_out);
  },

  room_unlocked(state, notice) {
    const open = { locked: false, password: false };
    const next = { ...state, room: state.room && { ...state.room, ...open } };
    return said(next, notice, unlockedLine(state, notice));
  },

  member_removed(state, notice) {
    return told(state, notice, removedLine(state, notice), notice.me_out);
  },

  steward_changed: (state, notice) => said(state, notice, stewardLine(state, notice)),

  page_discarded: (state, { file }) => changed(state, file, { bytesDone: 0, failure: null }),

  notice: (state, { text, at }) => said(state, { at }, text),

  /** What belongs to no command of this tab: the asker hears of its own from the socket. */
  error(state, { code, text, line }) {
    return line === null || line === undefined ? alerted(state, { code, text }) : state;
  },

  page_connection(state, { status }) {
    if (state.connection === status) return state;
    const next = { ...state, connection: status };
    // Whoever was here may be gone: nobody can tell until klatch says so.
    return status === "away" ? { ...next, members: [], served: [] } : next;
  },

  page_connected: (state, { address, port }) => ({
    ...state,
    lastAddress: { host: address, port },
  }),

  page_entered: (state) => ({ ...state, enteredRoom: state.room?.id ?? null, restarted: false }),

  page_attention(state, { attentive }) {
    if (state.attentive === attentive) return state;
    // Seen: the count goes at once, the line only when the person looks away again.
    const unread = attentive ? { ...state.unread, count: 0 } : initial.unread;
    return { ...state, attentive, unread };
  },

  /** The unread line goes as well once the person has answered. */
  page_invitations_ended: (state) => ({
    ...state,
    invitation: null,
    invitations: state.invitations.filter(({ own }) => !own),
  }),

  page_words_read: (state) => (state.words ? { ...state, words: null } : state),

  page_caught_up: (state) =>
    state.unread.after === null ? state : { ...state, unread: initial.unread },

  page_share(state, { share }) {
    const known = state.shares.some(({ key }) => key === share.key);
    const shares = known
      ? state.shares.map((one) => (one.key === share.key ? { ...one, ...share } : one))
      : [...state.shares, share];
    return { ...state, shares };
  },

  page_share_gone: (state, { key }) => ({
    ...state,
    shares: state.shares.filter((share) => share.key !== key),
  }),

  page_alert: (state, { code, text }) => alerted(state, { code, text }),

  /** One of several failures of one action: all of them stay visible. */
  page_failed(state, { code, text }) {
    const { alert } = state;
    if (!alert?.texts) return alerted(state, { code, text, texts: [text] });
    if (alert.texts.length >= LISTED_MAX) {
      return { ...state, alert: { ...alert, more: (alert.more ?? 0) + 1 } };
    }
    const texts = [...alert.texts, text];
    return { ...state, alert: { ...alert, texts } };
  },

  page_alert_closed: (state) => (state.alert ? { ...state, alert: null } : state),
};

/** A person who was put out sees that, whatever is shown next. */
function told(state, notice, text, out) {
  const next = said(state, notice, text);
  return out ? alerted(next, { code: "removed", text }) : next;
}

/** Another room starts with nothing of the last one. */
function alone(state) {
  const { invitation, invitations, words } = initial;
  return { ...state, invitation, invitations, words };
}

function others(list, self) {
  return list.filter(({ own, id }) => !own && id !== self?.id);
}

/** Members seen before keep their places; others come after them. */
function inOrder(members, order) {
  const place = new Map(order.map((id, index) => [id, index]));
  const of = ({ id }) => place.get(id) ?? order.length;
  return [...members].sort((left, right) => of(left) - of(right));
}

/** @returns {string[]} the order of those who were seen before, and of these behind them */
function ordered(members, order) {
  const seen = new Set(order);
  const fresh = members.filter(({ id }) => !seen.has(id)).map(({ id }) => id);
  return fresh.length > 0 ? [...order, ...fresh].slice(-ORDER_MAX) : order;
}

/** What this tab knew of the room before a reload. */
function recalledFor({ recalled, run }, { id }) {
  return recalled?.room === id && recalled.run === run ? recalled : null;
}

/** Klatch's own lines, back in their places. */
function recalledLines(recalled, { messages, earlier }, seq) {
  const first = earlier > 0 ? (messages[0]?.order ?? "") : "";
  const lines = (recalled?.lines ?? []).filter(({ order }) => order >= first);
  return lines.map((line, index) => ({
    ...line,
    key: `line-${seq + index}`,
    kind: "line",
    local: true,
    seq: seq + index,
  }));
}

const ownStanding = (list) => list.find(({ own }) => own)?.standing;

function emptied(state) {
  const { entries, earlier, files, members, served, unread } = initial;
  return { ...state, entries, earlier, files, members, served, unread };
}

/** Everybody here has own messages that are not listed. */
function withHeld(entries, { held, members, self }) {
  const behind = new Map(held.map((row) => [row.id, row]));
  const others = members.filter(({ id }) => id !== self.id).length;
  return entries.map((entry) => {
    if (!entry.own || entry.kind !== "message") return entry;
    const row = behind.get(entry.key);
    const [heldBy, present] = [row?.held_by ?? others, row?.present ?? others];
    return { ...entry, heldBy, present, refusedBy: row?.refused_by ?? [] };
  });
}

/** An address where one of these members can be reached again. */
function addressOf(members) {
  const found = members.find(({ own, address }) => !own && address);
  if (!found) return null;
  const { host, port } = splitAddress(found.address);
  return { host, port: Number(port) };
}

/** Counts unread entries, and bounds the log while its end is being read. */
function arrived(before, next, entry, counts) {
  let { entries, earlier, unread } = next;
  if (counts && !before.attentive) {
    const after = unread.after ?? before.entries.at(-1)?.key ?? null;
    unread = { count: unread.count + 1, after };
  }
  if (before.attentive && entries.length > KEPT_ENTRIES && entries.at(-1) === entry) {
    const dropped = entries.length - KEPT_ENTRIES + KEPT_ENTRIES / 4;
    earlier += entries.slice(0, dropped).filter(({ local }) => !local).length;
    entries = entries.slice(dropped);
  }
  return { ...next, entries, earlier, unread };
}

/** After a reconnection: what is behind the last entry that was known counts as unread. */
function counted(state, entries) {
  if (state.attentive) return state.unread;
  const last = state.entries.at(-1)?.key;
  const from = entries.findLastIndex(({ key }) => key === last) + 1;
  const count = entries.slice(from).filter(({ own, kind }) => !own && kind !== "line").length;
  if (count === 0) return state.unread;
  return { count: state.unread.count + count, after: state.unread.after ?? last ?? null };
}

/** A line of klatch's own, where the log stands now. */
function said(state, { at, time }, text) {
  const entry = {
    key: `line-${state.seq}`,
    kind: "line",
    local: true,
    order: lastOrder(state),
    seq: state.seq,
    time: at ?? Date.parse(time),
    text,
  };
  return { ...state, seq: state.seq + 1, entries: insert(state.entries, entry) };
}

function lastOrder(state) {
  return state.entries.at(-1)?.order ?? "";
}

function alerted(state, { code, text, texts }) {
  return { ...state, seq: state.seq + 1, alert: { code, text, texts, key: state.seq } };
}

const here = ({ from }) => from.length > 0 && { phase: "held", failure: null };

function known({ members }, member) {
  return members.map((one) => (one.id === member.id ? { ...one, ...member } : one));
}
