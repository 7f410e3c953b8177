/**
 * The shapes that travel between klatch and the page, and the page's own state.
 * They are the events of `--json` with what only the bridge adds.
 *
 * @typedef {{id: string, name: string}} Who
 * @typedef {{id: string, name: string, address: string, own?: boolean, standing?: string,
 *   through?: Who|null, ignored?: boolean}} Member
 * @typedef {{id: string, maker: Who, own: boolean, expires: string, left: number|null}} Invitation
 * @typedef {{id: string, name: string, size: number}} FileInfo
 * @typedef {{files: number, bytes: number}} FolderInfo
 * @typedef {{code: string, text: string}} Failure  What went wrong, in klatch's words.
 *
 * @typedef {object} Entry  One thing in the log, in the room's order.
 * @property {string} key  Unique in the log.
 * @property {'message'|'offer'|'line'} kind
 * @property {string} order  The room's order; lines of our own stand where they arrived.
 * @property {number} seq  Arrival, for entries of one order.
 * @property {number} time  Milliseconds since 1970, by the author's clock.
 * @property {Who} [from]
 * @property {boolean} [own]
 * @property {boolean} [history]
 * @property {string} [text]
 * @property {boolean} [known]  False for a kind of entry that this version cannot show.
 * @property {number} [heldBy]
 * @property {number} [present]
 * @property {Who[]} [refusedBy]  Present members that did not take it.
 * @property {string} [offerId]  The offer, where the entry is one.
 * @property {FileInfo} [file]  What it is of.
 * @property {FolderInfo|null} [folder]  What is in that, if it is a folder.
 * @property {string|null} [replaces]  The offer that ends with this entry.
 * @property {boolean} [local]  A line of this page's own, which klatch does not keep.
 *
 * @typedef {object} FileRow  An offer, and what this node does with its file.
 * @property {string} id  Of the offer.
 * @property {FileInfo} file
 * @property {FolderInfo|null} folder
 * @property {Who[]} from  Who offers it; nobody once it does not stand any more.
 * @property {boolean} own
 * @property {number} hosts
 * @property {'offered'|'queued'|'fetching'|'held'} phase
 * @property {number} bytesDone
 * @property {number} rate  Bytes per second.
 * @property {number} sources  Hosts in use.
 * @property {number} takers  Members that fetch it from here now.
 * @property {string|null} path  Where the finished download lies.
 * @property {Failure|null} failure
 * @property {{count: number, held: string, served: string}|null} chunks  Bitmaps in base64.
 * @property {boolean} version  It took the place of an earlier offer.
 * @property {'withdrawn'|'replaced'|null} ended  Why it does not stand any more.
 * @property {number} part  Bytes of what is fetched of a folder, or was last; 0: all of it.
 *
 * @typedef {object} Transfer  A file that is being served to somebody.
 * @property {FileInfo} file
 * @property {string} state  `serving`.
 * @property {number} bytes_done
 * @property {number} bytes_per_second
 * @property {Who|null} to
 * @property {boolean} moving  Bytes went since the report before.
 *
 * @typedef {object} Share  A file or folder on its way from this tab into klatch.
 * @property {string} key
 * @property {string} name
 * @property {number} size
 * @property {number} sent
 * @property {'waiting'|'looking'|'sending'|'reading'} phase
 *
 * @typedef {object} State
 * @property {'connecting'|'connected'|'reconnecting'|'away'|'expired'|'refused'|'ended'} connection
 * @property {{id: string, name: string, temporary: boolean, version: string}|null} self
 * @property {{id: string, locked: boolean, password?: boolean, settled: boolean,
 *   founder?: Who}|null} room
 * @property {string|null} run
 * @property {string[]} addresses
 * @property {Member[]} members  The others that are present.
 * @property {string[]} order  Ids of members as they came, for their places in the list.
 * @property {string|null} standing  What this node is in the room.
 * @property {{text: string, line: string, expires: string, once: boolean}|null} invitation
 * @property {Invitation[]} invitations  Those that let people in, as they were last told.
 * @property {{member: Member, words: string, asked: boolean, key: number}|null} words
 * @property {Entry[]} entries
 * @property {number} earlier  Entries before the first of `entries` that klatch still has.
 * @property {Record<string, FileRow>} files  By offer.
 * @property {number} filesLeftOut  Offers that were too many to be told to this page.
 * @property {Transfer[]} served
 * @property {Share[]} shares
 * @property {string|null} enteredRoom  The room that the person chose to be in.
 * @property {boolean} restarted  klatch was started anew since this tab was opened.
 * @property {{host: string, port: number}|null} lastAddress
 * @property {{count: number, after: string|null}} unread
 * @property {boolean} attentive  The newest entry is in sight of a person.
 * @property {(Failure & {key: number, texts?: string[], more?: number})|null} alert  `texts`: each
 *   of several things that failed together; `more` are only counted.
 * @property {import("./keep.js").Kept|null} recalled  What the tab knew before it was reloaded.
 * @property {number} seq
 */

export {};
