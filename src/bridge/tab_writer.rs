//! The writing thread of a page: a snapshot, then news and the answers to its commands, in one
//! stream.
//!
//! It pulls everything from the feed at the page's own pace. If a page does not read, its writing
//! thread blocks and is cut off; if it falls behind, it gets a new snapshot. Neither affects
//! anybody else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use data_encoding::BASE64;
use serde_json::json;
use tungstenite::protocol::frame::coding::CloseCode;

use super::server::BridgeShared;
use super::socket::{Outlet, add_ping, add_text};
use crate::files::served::Served;
use crate::node::{Answer, Face, FeedItem, FeedReader, Stopped};
use crate::router::command::Command;
use crate::router::ids::{EntryId, FileId, MemberId};
use crate::router::notice::{FileLine, Notice, Overview, TransferLine};
use crate::ui::json::{Said, snapshot, to_json};

/// Most entries of the history in one answer to a page: more would slow its start.
pub(super) const HISTORY: usize = 200;
/// Most transfers that a page is told of without asking.
const TAB_ROWS: usize = 1_000;
/// Most offers that a page is told of: as many as two members can offer.
const TAB_FILES: usize = 8_192;
/// Ping interval of a page.
const PING_MS: u64 = 20_000;
/// Bytes of frames that are sent together.
const BATCH_BYTES: usize = 64 * 1024;
/// Time between two reports of new or lost chunks.
const CHUNKS: Duration = Duration::from_millis(250);
/// Time between two reports of hosts and transfers.
const ROWS: Duration = Duration::from_secs(1);
/// The line number of commands that the page did not give.
const OWN_LINE: u64 = u64::MAX;

/// Why a page is told nothing more.
struct Silent;

impl From<io::Error> for Silent {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<Stopped> for Silent {
    fn from(_: Stopped) -> Self {
        Self
    }
}

/// The writing side of a page.
pub(super) struct TabWriter<'a> {
    shared: &'a BridgeShared,
    face: &'a Face,
    outlet: &'a Outlet,
    reader: FeedReader,
    /// Answers that wait for their place among the notices.
    due: VecDeque<Answer>,
    /// No more answers will come.
    unanswered: bool,
    /// Commands that asked something only the page can answer, the newest last.
    asked: Vec<AskedRows>,
    /// Frames to be sent.
    frames: Vec<u8>,
    silence: Arc<AtomicBool>,
    files: BTreeMap<FileId, KnownFile>,
    /// Bytes of each file that members were sent.
    given: BTreeMap<(MemberId, FileId), u64>,
    next_chunks: Instant,
    next_rows: Instant,
    next_ping: Instant,
    /// Whether something was moving at the last look.
    moving: bool,
    /// Whether there are files, whose hosts come and go.
    offers: bool,
}

/// A command that waits for the page's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedRows {
    /// For a new password.
    Password(u64),
    /// Yes or no.
    Confirm(u64),
}

/// Its hosts, whether all of it is here, and bytes of an unfinished download.
type ToldFile = (usize, bool, u64);

fn told(row: &FileLine) -> ToldFile {
    (row.hosts, row.held, row.kept)
}

/// What the page knows of a file.
#[derive(Debug, Default)]
struct KnownFile {
    changes: u64,
    told: Option<ToldFile>,
}

impl<'a> TabWriter<'a> {
    pub(super) fn new(shared: &'a BridgeShared, face: &'a Face, outlet: &'a Outlet) -> Self {
        let now = Instant::now();
        Self {
            shared,
            face,
            outlet,
            reader: shared.node.feed.reader_from_here(),
            due: VecDeque::new(),
            unanswered: false,
            asked: Vec::new(),
            frames: Vec::new(),
            silence: Arc::default(),
            files: BTreeMap::new(),
            given: BTreeMap::new(),
            next_chunks: now,
            next_rows: now + ROWS,
            next_ping: now + Duration::from_millis(PING_MS),
            moving: false,
            offers: false,
        }
    }

    /// Set this when nobody listens any more, then call [`crate::node::Feed::wake`].
    pub(super) fn silence(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.silence)
    }

    /// Tells the page everything, until it goes or the node ends.
    pub(super) fn run(mut self) {
        let ended = self.begin().and_then(|()| {
            loop {
                self.go_on()?;
            }
        });
        let Err::<std::convert::Infallible, _>(Silent) = ended;
        self.decline();
        self.outlet.cut();
    }

    /// Sends a snapshot.
    fn begin(&mut self) -> Result<(), Silent> {
        self.reader = self.shared.node.feed.reader_from_here();
        self.shared.node.handle.overview(self.face.id)?;
        let (overview, after) = loop {
            match self.face.answers.recv().map_err(|_| Silent)? {
                Answer::Overview { overview, after } => break (*overview, after),
                answer => self.due.push_back(answer),
            }
        };
        let mut entries = self.reader.catch_up(after);
        let said = said(&mut entries, None, HISTORY);
        let here = self.shared.node.library.all();
        let shown = |path: &Path| self.face.rights.shown_path(path);
        let files = here.iter().filter_map(|(file, served)| Some((*file, served.path()?)));
        let lying = files.chain(self.shared.node.library.folders());
        let saved: Vec<_> = lying.map(|(file, path)| (file, shown(&path))).collect();
        self.files.clear();
        self.given.clear();
        let files = overview.files.len();
        let overview = self.within_limits(overview);
        let left_out = files - overview.files.len();
        for row in &overview.files {
            self.files.entry(row.file.id).or_default().told = Some(told(row));
        }
        self.moving = !overview.transfers.is_empty();
        self.offers = !overview.files.is_empty();
        self.add(snapshot(&overview, left_out, &said, &saved))?;
        for (file, served) in &here {
            // The others have nothing to show but that all is here.
            if served.path().is_none() || served.chunks().sent().changes() > 0 {
                self.add_chunks(file, served)?;
            }
            self.files.entry(*file).or_default().changes = served.chunks().changes();
        }
        self.next_chunks = Instant::now() + CHUNKS;
        Ok(())
    }

    fn within_limits(&self, mut overview: Overview) -> Overview {
        let most = TAB_FILES;
        if overview.files.len() > most {
            // Own files end with this node's stay, so they must all be counted.
            overview.files.sort_by_key(|row| !row.own);
            overview.files.truncate(most);
        }
        overview.transfers.truncate(TAB_ROWS);
        overview
    }

    /// Handles the next thing to tell; if there is none, sends the frames and waits.
    fn go_on(&mut self) -> Result<(), Silent> {
        if self.due.is_empty() {
            match self.face.answers.try_recv() {
                Ok(answer) => self.due.push_back(answer),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.unanswered = true,
            }
        }
        let position = self.reader.position();
        if let Some(answer) = self.due.pop_front_if(|answer| answer.after() <= position) {
            return self.answer(answer);
        }
        let now = Instant::now();
        let tick = self.next_chunks.min(self.next_rows).min(self.next_ping);
        if tick <= now {
            return self.tick(now);
        }
        let heard = match self.reader.next(Some(Duration::ZERO)) {
            FeedItem::Nothing if self.unanswered => return Err(Silent),
            FeedItem::Nothing => {
                self.flush()?;
                let (face, silence) = (self.face, &self.silence);
                let other = || silence.load(Ordering::SeqCst) || !face.answers.is_empty();
                self.reader.next_unless(Some(tick.saturating_duration_since(now)), other)
            }
            heard => heard,
        };
        match heard {
            FeedItem::Notice(notice) => {
                self.tell(&notice)?;
                match *notice {
                    // Another room has other members and files, and an id of its own.
                    Notice::Joined { .. } => return self.begin(),
                    Notice::FileOffered { .. } => self.offers = true,
                    // Of a part of a folder the page took it for the whole.
                    Notice::DownloadFinished { ref file, .. } => {
                        self.files.entry(file.id).or_default().told = None;
                    }
                    Notice::DownloadStarted { .. } => {
                        self.moving = true;
                        self.next_chunks = now;
                    }
                    _ => {}
                }
                Ok(())
            }
            FeedItem::Forget | FeedItem::Missed(_) => self.begin(),
            FeedItem::Nothing if self.silence.load(Ordering::SeqCst) => Err(Silent),
            FeedItem::Nothing => Ok(()),
            FeedItem::Ended => {
                self.flush()?;
                self.outlet.close(CloseCode::Away);
                Err(Silent)
            }
        }
    }

    fn add_moving(&mut self, mut list: Vec<TransferLine>) -> Result<(), Silent> {
        let moved = self.moving;
        self.keep_moving(&mut list);
        self.moving = !list.is_empty();
        list.truncate(TAB_ROWS);
        // Once more when everything has stopped.
        if moved || self.moving {
            return self.add(to_json(&Notice::Transfers { list }));
        }
        Ok(())
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Silent> {
        match answer {
            Answer::Told { line: OWN_LINE, notice, .. } => match *notice {
                Notice::Files { list } => self.add_hosts(&list),
                Notice::Transfers { list } => self.add_moving(list),
                notice => self.tell(&notice),
            },
            Answer::Reply { line: OWN_LINE, .. } | Answer::Overview { .. } => Ok(()),
            Answer::Told { notice, .. } => self.tell(&notice),
            Answer::Reply { line, command, result, .. } => {
                self.asked.retain(|asked| {
                    *asked != AskedRows::Password(line) && *asked != AskedRows::Confirm(line)
                });
                let notice = match result {
                    Ok(()) => Notice::CommandDone { line, command },
                    Err(failure) => {
                        Notice::Error { line: Some(line), command: Some(command), failure }
                    }
                };
                self.add(to_json(&notice))
            }
            Answer::AskPassword { line, address, .. } if address.is_empty() => {
                self.asked.push(AskedRows::Password(line));
                self.add(to_json(&Notice::PasswordRequired { address, line: Some(line) }))
            }
            Answer::Confirm { line, question, .. } => {
                self.asked.push(AskedRows::Confirm(line));
                let event = json!({ "event": "confirm", "line": line, "question": question });
                self.add(event.to_string())
            }
            Answer::AskPassword { line, address, again, .. } => {
                // A page's commands bring their passwords: it gives this one again with its own.
                if !again {
                    self.add(to_json(&Notice::PasswordRequired { address, line: Some(line) }))?;
                }
                Ok(self.shared.node.handle.password(self.face.id, line, None)?)
            }
        }
    }

    /// Nobody is there any more to answer.
    fn decline(&mut self) {
        let (handle, face) = (&self.shared.node.handle, self.face.id);
        for asked in self.asked.drain(..) {
            // A node that has ended waits for no answer, and an answered question needs none.
            let _ = match asked {
                AskedRows::Password(line) => handle.password(face, line, None),
                AskedRows::Confirm(line) => handle.confirm(face, line, None),
            };
        }
    }

    /// Leaves out uploads that have ended: they stay in the list for some seconds after their last
    /// byte.
    fn keep_moving(&mut self, list: &mut Vec<TransferLine>) {
        let before = std::mem::take(&mut self.given);
        list.retain(|row| {
            let Some(to) = &row.to else { return true };
            let Some(file) = row.file.id else { return true };
            let key = (to.id, file);
            self.given.insert(key, row.bytes_done);
            before.get(&key) != Some(&row.bytes_done)
        });
    }

    /// What is told from time to time.
    fn tick(&mut self, now: Instant) -> Result<(), Silent> {
        if self.next_chunks <= now {
            // While nothing moves, there is no hurry to notice that something starts to.
            self.next_chunks = now + if self.moving { CHUNKS } else { ROWS };
            for (file, served) in self.shared.node.library.all() {
                let changes = served.chunks().changes();
                let known = self.files.entry(file).or_default();
                if known.changes != changes {
                    known.changes = changes;
                    self.moving = true;
                    self.add_chunks(&file, &served)?;
                }
            }
        }
        if self.next_rows <= now {
            self.next_rows = now + ROWS;
            let (handle, face) = (&self.shared.node.handle, self.face.id);
            if self.offers {
                handle.command(face, OWN_LINE, Command::Files)?;
            }
            if self.moving {
                handle.command(face, OWN_LINE, Command::Transfers)?;
            }
        }
        if self.next_ping <= now {
            self.next_ping = now + Duration::from_millis(PING_MS);
            add_ping(&mut self.frames);
        }
        Ok(())
    }

    fn add_chunks(&mut self, file: &FileId, served: &Served) -> Result<(), Silent> {
        let (held, sent) = (served.held().to_bytes(), served.chunks().sent().chunks().to_bytes());
        let event = json!({
            "event": "chunks",
            "file": { "id": file },
            "count": served.chunk_count(),
            "held": BASE64.encode(&held),
            "served": BASE64.encode(&sent),
        });
        self.add(event.to_string())
    }

    fn add_hosts(&mut self, list: &[FileLine]) -> Result<(), Silent> {
        for row in list.iter().take(TAB_FILES) {
            let known = self.files.entry(row.file.id).or_default();
            if known.told.replace(told(row)) != Some(told(row)) {
                let event = json!({
                    "event": "hosts",
                    "file": { "id": row.file.id },
                    "hosts": row.hosts,
                    "held": row.held,
                    "kept": row.kept,
                });
                self.add(event.to_string())?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, notice: &Notice) -> Result<(), Silent> {
        self.add(to_json(&self.face.rights.shown(notice)))
    }

    fn add(&mut self, text: String) -> Result<(), Silent> {
        add_text(&mut self.frames, text);
        if self.frames.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Silent> {
        if !self.frames.is_empty() {
            self.outlet.write(&self.frames)?;
            self.frames.clear();
            // Long texts are rare, so their memory is not kept.
            self.frames.shrink_to(BATCH_BYTES);
        }
        Ok(())
    }
}

/// The last `count` of these entries in the room's order, of those before `before`.
pub(super) fn said<'e>(
    entries: &'e mut Vec<Arc<Notice>>,
    before: Option<&str>,
    count: usize,
) -> Said<'e> {
    let withdrawn: BTreeSet<EntryId> = entries.iter().filter_map(|of| withdraws(of)).collect();
    entries.retain(|entry| match &**entry {
        Notice::Message { id, .. } | Notice::MessageWithdrawn { id, .. } => !withdrawn.contains(id),
        _ => true,
    });
    entries.retain(|entry| before.is_none_or(|before| order(entry) < before));
    entries.sort_by(|left, right| order(left).cmp(order(right)));
    let earlier = entries.len().saturating_sub(count);
    Said { notices: entries.get(earlier..).unwrap_or_default(), earlier }
}

fn withdraws(notice: &Notice) -> Option<EntryId> {
    match notice {
        Notice::MessageWithdrawn { id, .. } => Some(*id),
        _ => None,
    }
}

fn order(entry: &Notice) -> &str {
    match entry {
        Notice::Message { order, .. }
        | Notice::FileOffered { order, .. }
        | Notice::FileWithdrawn { order, .. } => order,
        _ => "",
    }
}
