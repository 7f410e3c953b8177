//! Linked members as holders of files: what each says it holds, and what it must still be told of
//! what this node holds.
//!
//! No message waits here as a copy: only files are noted, and what is held of them is looked up
//! when the outbox has room.

use std::collections::{BTreeMap, BTreeSet};

use crate::router::bitmap::Bitmap;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::message::{Done, Held};
use crate::router::time::Millis;
use crate::router::tokens::Tokens;

/// The same, in one burst.
const SAID_CHUNKS_BURST: u32 = 8 * 1024 * 1024;
/// Chunks in bitmaps that a link says, per second; what exceeds it is ignored.
const SAID_CHUNKS_PER_S: u32 = 1024 * 1024;
/// Bytes of bitmaps kept for one peer.
const BITMAPS_MAX_BYTES: usize = 1024 * 1024;
/// Least time between two messages about new chunks.
const GAINED_MS: u64 = 20;
/// Least time between two bad chunks that a peer may report.
const BLAME_MS: u64 = 10_000;
/// Least time between two requests for lanes by a peer.
const LANE_WANTED_MS: u64 = 1_000;
/// Most files told to one link per event.
const HOSTING_AT_ONCE: usize = 64;

/// What a member holds of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosting {
    /// `None`: every chunk.
    held: Option<Bitmap>,
    fetching: bool,
}

impl Hosting {
    /// What is held of it; `None`: every chunk.
    pub(super) fn held(&self) -> Option<&Bitmap> {
        self.held.as_ref()
    }

    /// Whether some of it is held.
    pub(super) fn holds_any(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.count() > 0)
    }

    /// Whether the rest of it is being fetched.
    pub(super) fn is_growing(&self) -> bool {
        self.fetching && self.held.is_some()
    }

    /// The cost of processing it, in chunks of a bitmap.
    fn bits(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| u64::from(held.len()))
    }

    /// The cost of remembering it, in bytes of bitmap.
    fn bytes(&self) -> usize {
        self.bits().div_ceil(8) as usize
    }
}

/// One linked member.
#[derive(Debug)]
pub(super) struct Holder {
    member: MemberId,
    hosting: BTreeMap<FileId, Hosting>,
    /// It has more than is remembered, so it is asked about files that are wanted.
    has_more: bool,
    bitmap_bytes: usize,
    /// Limits the chunks in the bitmaps that it sends.
    bitmap_tokens: Tokens,
    /// Files served here that it does not hold and will not fetch.
    done: BTreeMap<FileId, Done>,
    say_hosting: BTreeSet<FileId>,
    say_gained: BTreeMap<FileId, BTreeSet<u32>>,
    say_gained_at: Option<Millis>,
    /// When new chunks were last told.
    gained_said: Millis,
    /// When it last called a chunk of ours bad.
    blamed: Option<Millis>,
    /// When it last requested lanes.
    lane_wanted: Option<Millis>,
}

/// What to tell a member now.
#[derive(Debug, Default)]
pub(super) struct ToSay {
    /// Files for which it is told what is held.
    pub(super) hosting: Vec<FileId>,
    /// New chunks of other files.
    pub(super) gained: BTreeMap<FileId, BTreeSet<u32>>,
    /// When there will be more to tell, if nothing happens.
    pub(super) due: Option<Millis>,
}

impl Holder {
    pub(super) fn member(&self) -> MemberId {
        self.member
    }

    pub(super) fn hosting(&self, file: &FileId) -> Option<&Hosting> {
        self.hosting.get(file)
    }

    pub(super) fn holds_all(&self, file: &FileId) -> bool {
        self.hosting.get(file).is_some_and(|hosting| hosting.held.is_none())
    }

    /// Whether it holds more files than are remembered.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Of how many files it holds something.
    pub(super) fn files(&self) -> usize {
        self.hosting.len()
    }

    /// Whether it has fetched a file that is served here, or will not; `None`: it may yet.
    pub(super) fn done_with(&self, file: &FileId) -> Option<Done> {
        if self.holds_all(file) { Some(Done::Fetched) } else { self.done.get(file).copied() }
    }

    /// A file is no longer served here, so nobody is waited for.
    pub(super) fn forget_done(&mut self, file: &FileId) {
        self.done.remove(file);
    }

    /// It should be told what is held here of a file.
    pub(super) fn say_hosting(&mut self, file: FileId) {
        self.say_hosting.insert(file);
    }

    /// A new chunk is here: decides whether it should be told, at once or, if it was just told of
    /// another one, soon.
    pub(super) fn say_gained(&mut self, file: FileId, chunk: u32, now: Millis) {
        if self.hosting.get(&file).is_some_and(|hosting| hosting.fetching) {
            self.say_gained.entry(file).or_default().insert(chunk);
            let due = self.gained_said.plus(GAINED_MS).max(now);
            self.say_gained_at.get_or_insert(due);
        }
    }

    /// What to tell now; it counts as told.
    pub(super) fn take_to_say(&mut self, now: Millis) -> ToSay {
        let mut say = ToSay::default();
        while say.hosting.len() < HOSTING_AT_ONCE
            && let Some(file) = self.say_hosting.pop_first()
        {
            self.say_gained.remove(&file);
            say.hosting.push(file);
        }
        if self.say_gained_at.is_none_or(|at| at <= now) {
            if self.say_gained_at.take().is_some() {
                self.gained_said = now;
            }
            say.gained = std::mem::take(&mut self.say_gained);
        }
        let gained = self.say_gained_at.filter(|_| !self.say_gained.is_empty());
        say.due = if self.say_hosting.is_empty() { gained } else { Some(now) };
        say
    }

    /// It reports a bad chunk; returns whether that counts.
    pub(super) fn blames(&mut self, now: Millis) -> bool {
        let believed = self.blamed.is_none_or(|at| now >= at.plus(BLAME_MS));
        self.blamed = if believed { Some(now) } else { self.blamed };
        believed
    }

    /// It requests lanes; returns whether that counts.
    pub(super) fn wants_lane(&mut self, now: Millis) -> bool {
        let heard = self.lane_wanted.is_none_or(|at| now >= at.plus(LANE_WANTED_MS));
        self.lane_wanted = if heard { Some(now) } else { self.lane_wanted };
        heard
    }

    /// Whether there is no room for the chunks it holds of a file, which matters less than others.
    pub(super) fn has_no_room_for(&mut self, file: &FileId, most: usize) -> bool {
        let full = !self.hosting.contains_key(file) && self.hosting.len() >= most;
        self.has_more |= full;
        full
    }

    /// Whether more is remembered of it than its share.
    pub(super) fn is_overfull(&self, most: usize) -> bool {
        self.has_more && self.hosting.len() > most
    }

    /// It holds that much of a file with this many chunks, if known. `counts`: counting who has
    /// which chunk costs something. Returns what is recorded, and whether it starts to fetch it;
    /// `None`: nothing is recorded.
    pub(super) fn note(
        &mut self,
        file: FileId,
        (held, fetching): (Held, bool),
        chunks: Option<u32>,
        (counted, now): (bool, Millis),
    ) -> Option<(&Hosting, bool)> {
        let known = self.hosting.get(&file);
        let others = self.bitmap_bytes - known.map_or(0, Hosting::bytes);
        let held = match held {
            Held::All => None,
            Held::Some(bitmap) if chunks.is_some_and(|chunks| chunks != bitmap.len()) => {
                return None;
            }
            Held::Some(bitmap) => Some(bitmap),
        };
        let hosting = Hosting { held, fetching };
        let bytes = others + hosting.bytes();
        if bytes > BITMAPS_MAX_BYTES || known == Some(&hosting) {
            return None;
        }
        let news = hosting.bits() + known.map_or(0, Hosting::bits);
        if counted && hosting.held.is_some() && !self.bitmap_tokens.take(news, now) {
            return None;
        }
        let begins = hosting.is_growing() && !known.is_some_and(|known| known.fetching);
        self.bitmap_bytes = bytes;
        self.done.remove(&file);
        self.hosting.insert(file, hosting);
        self.hosting.get(&file).map(|hosting| (hosting, begins))
    }

    /// It has more chunks of a file; `None` if it holds all of it or nothing, otherwise whether
    /// these are the first.
    pub(super) fn gained(&mut self, file: &FileId, chunks: &[u32]) -> Option<bool> {
        let held = self.hosting.get_mut(file)?.held.as_mut()?;
        let first = held.count() == 0;
        for chunk in chunks {
            held.insert(*chunk);
        }
        Some(first)
    }

    /// It no longer holds anything of a file; true if it did.
    pub(super) fn dropped(&mut self, file: &FileId) -> bool {
        let hosting = self.hosting.remove(file);
        self.bitmap_bytes -= hosting.as_ref().map_or(0, Hosting::bytes);
        hosting.is_some()
    }

    /// It will not fetch a file that is served here; true if that is new.
    pub(super) fn note_done(&mut self, file: FileId, done: Done) -> bool {
        self.done.insert(file, done) != Some(done)
    }

    /// It lacks a chunk (`None`: the list) of a file with this many chunks, contrary to what it
    /// said; what it says next counts again. False if it had said nothing about it.
    pub(super) fn lacks(&mut self, file: &FileId, chunk: Option<u32>, chunks: u32) -> bool {
        let Some(hosting) = self.hosting.get_mut(file) else { return false };
        let others = self.bitmap_bytes - hosting.bytes();
        match chunk {
            Some(chunk) => {
                hosting.held.get_or_insert_with(|| Bitmap::all(chunks)).remove(chunk);
            }
            None => hosting.held = Some(Bitmap::none(chunks)),
        }
        self.bitmap_bytes = others + hosting.bytes();
        true
    }
}

/// All linked members, by link.
#[derive(Debug, Default)]
pub(super) struct Holders {
    links: BTreeMap<ConnId, Holder>,
}

impl Holders {
    /// A link is up: it should be told of these files.
    pub(super) fn add(
        &mut self,
        conn: ConnId,
        member: MemberId,
        say_hosting: BTreeSet<FileId>,
        now: Millis,
    ) {
        let holder = Holder {
            member,
            hosting: BTreeMap::new(),
            has_more: false,
            bitmap_bytes: 0,
            bitmap_tokens: Tokens::new(SAID_CHUNKS_PER_S, SAID_CHUNKS_BURST, now),
            done: BTreeMap::new(),
            say_hosting,
            say_gained: BTreeMap::new(),
            say_gained_at: None,
            gained_said: Millis(0),
            blamed: None,
            lane_wanted: None,
        };
        self.links.insert(conn, holder);
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Holder> {
        self.links.remove(&conn)
    }

    pub(super) fn conns(&self) -> Vec<ConnId> {
        self.links.keys().copied().collect()
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Holder> {
        self.links.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Holder> {
        self.links.get_mut(&conn)
    }

    /// The link with a member.
    pub(super) fn conn_of(&self, member: &MemberId) -> Option<ConnId> {
        let mut links = self.links.iter();
        links.find(|(_, holder)| holder.member == *member).map(|(conn, _)| *conn)
    }

    /// A member, if it is linked.
    pub(super) fn of(&self, member: &MemberId) -> Option<&Holder> {
        self.all().find(|holder| holder.member == *member)
    }

    pub(super) fn of_mut(&mut self, member: &MemberId) -> Option<(ConnId, &mut Holder)> {
        self.all_mut().find(|(_, holder)| holder.member == *member)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Holder> {
        self.links.values()
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Holder)> {
        self.links.iter_mut().map(|(conn, holder)| (*conn, holder))
    }
}
