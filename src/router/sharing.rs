//! What this node holds and serves: hashing, offering, withdrawing, and telling others which
//! chunks there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Router;
use super::bitmap::Bitmap;
use super::event::{Effect, Hashed};
use super::ids::{ConnId, FaceId, FileId, MemberId};
use super::message::{Held, Message};
use super::notice::{Code, Failure, Notice};
use super::signed::{Kind, Offer};
use super::swarm::pace::Pace;
use super::text::{Untrusted, size};
use super::time::Millis;

/// Chunks that are so far apart are not of one go: the time between does not slow the rate.
const SERVED_PAUSE_MS: u64 = 5_000;
/// News of chunks are so far apart at least.
const GAINED_MS: u64 = 20;
/// A peer may call a chunk bad once in so long.
const BLAME_MS: u64 = 10_000;

/// A file that is being hashed.
#[derive(Debug)]
struct Job {
    face: FaceId,
    line: u64,
    path: Option<PathBuf>,
    /// Made for a page, which is told what became of it.
    copy: bool,
}

/// What this node holds of a file.
#[derive(Debug)]
struct Share {
    /// `None`: all of it.
    held: Option<Bitmap>,
}

/// Bytes sent to one member of one file.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) bytes: u64,
    pub(super) pace: Pace,
    pub(super) last: Millis,
}

/// Hash jobs, shares and what was served.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    next_job: u64,
    jobs: BTreeMap<u64, Job>,
    shares: BTreeMap<FileId, Share>,
    pub(super) served: BTreeMap<(MemberId, FileId), Served>,
    /// Offers of copies that were made for pages.
    copies: BTreeSet<FileId>,
}

impl Sharing {
    pub(super) fn is_hashing(&self) -> bool {
        !self.jobs.is_empty()
    }

    pub(super) fn files(&self) -> BTreeSet<FileId> {
        self.shares.keys().copied().collect()
    }

    pub(super) fn is_shared(&self, file: &FileId) -> bool {
        self.shares.contains_key(file)
    }

    pub(super) fn holds_all(&self, file: &FileId) -> bool {
        self.shares.get(file).is_some_and(|share| share.held.is_none())
    }

    pub(super) fn is_copy(&self, file: &FileId) -> bool {
        self.copies.contains(file)
    }

    pub(super) fn set_copy(&mut self, file: FileId) {
        self.copies.insert(file);
    }

    pub(super) fn share_all(&mut self, file: FileId) {
        self.shares.insert(file, Share { held: None });
    }

    pub(super) fn share_some(&mut self, file: FileId, held: Bitmap) {
        self.shares.insert(file, Share { held: Some(held) });
    }

    pub(super) fn gain(&mut self, file: &FileId, chunk: u32) {
        if let Some(held) = self.shares.get_mut(file).and_then(|share| share.held.as_mut()) {
            held.insert(chunk);
        }
    }

    pub(super) fn remove(&mut self, file: &FileId) -> bool {
        self.shares.remove(file).is_some()
    }
}

impl Router {
    pub(super) fn send(&mut self, face: FaceId, line: u64, paths: Vec<PathBuf>) {
        let job = self.sharing.next_job;
        self.sharing.next_job += 1;
        self.sharing.jobs.insert(job, Job { face, line, path: None, copy: false });
        self.effect(Effect::Hash { job, paths });
    }

    pub(super) fn share(&mut self, face: FaceId, line: u64, path: PathBuf, name: String) {
        let job = self.sharing.next_job;
        self.sharing.next_job += 1;
        self.sharing.jobs.insert(job, Job { face, line, path: None, copy: true });
        self.effect(Effect::HashCopy { job, path, name });
    }

    pub(super) fn hash_progressed(&mut self, job: u64, path: PathBuf, bytes_done: u64, size: u64) {
        if let Some(job) = self.sharing.jobs.get_mut(&job) {
            job.path = Some(path.clone());
            self.notify(Notice::HashProgress { path, bytes_done, size });
        }
    }

    pub(super) fn hashed(&mut self, job: u64, result: Result<Hashed, Failure>) {
        let Some(Job { face, line, copy, path, .. }) = self.sharing.jobs.remove(&job) else {
            return;
        };
        // Whoever was shown how far it is, is shown its end.
        if let (Some(path), Ok(Hashed { size, .. })) = (path, &result) {
            let (bytes_done, size) = (*size, *size);
            self.notify(Notice::HashProgress { path, bytes_done, size });
        }
        let offered = result.and_then(|hashed| self.offer(job, copy, &hashed));
        if offered.is_err() {
            self.effect(Effect::CancelHash { job });
        }
        if let (true, Ok(file)) = (copy, &offered) {
            let list = self.file_rows().into_iter().filter(|row| row.file.id == *file).collect();
            self.effect(Effect::Tell { face, line, notice: Notice::Files { list } });
        }
        let word = if copy { "share" } else { "send" };
        self.reply(face, line, word, offered.map(|_| ()));
    }

    fn offer(&mut self, job: u64, copy: bool, hashed: &Hashed) -> Result<FileId, Failure> {
        let file = hashed.file;
        let before = self.catalogue.named_by(self.my_id, &hashed.name);
        let standing = self.catalogue.offers_of(self.my_id, file);
        let again = standing.is_some_and(|offered| offered.name == hashed.name);
        if !again {
            let (name, size, root) = (hashed.name.clone(), hashed.size, hashed.root);
            self.utter(Kind::Offer(Offer { name, size, root }))?;
        }
        let held = self.sharing.holds_all(&file);
        self.offered_again(file);
        self.effect(Effect::Serve { file, job });
        self.sharing.share_all(file);
        self.tell_hosting(file);
        if again {
            let name = Untrusted::new(&hashed.name);
            // An offer outlives the program that made it, and comes back with the room.
            let how = if held { "offer" } else { "serve" };
            let since = if held { "already" } else { "again" };
            self.remark(format!("you {how} {name} {since}"));
        }
        if copy {
            self.sharing.set_copy(file);
        }
        if let Some(before) = before.filter(|before| *before != file) {
            self.superseded(before);
        }
        self.remark_alone();
        Ok(file)
    }

    /// Another offer took the name of this one: a copy that nobody can take back any more goes.
    fn superseded(&mut self, file: FileId) {
        let offered = self.catalogue.offers_of(self.my_id, file).is_some();
        if !offered && self.sharing.copies.contains(&file) {
            self.unshare(file);
            self.discard_copy(file);
        }
    }

    pub(super) fn discard_copy(&mut self, file: FileId) {
        if self.sharing.copies.remove(&file) {
            self.effect(Effect::DiscardCopy { file });
        }
    }

    pub(super) fn unshare(&mut self, file: FileId) {
        if self.sharing.remove(&file) {
            self.effect(Effect::Unserve { file });
            self.tell_hosting(file);
        }
    }

    /// Every link is to hear what we hold of a file.
    pub(super) fn tell_hosting(&mut self, file: FileId) {
        self.mark_links(|link| {
            link.say_hosting.insert(file);
        });
    }

    /// A new chunk: those who fetch the file hear of it at once, or soon if they just heard of
    /// another one.
    pub(super) fn tell_gained(&mut self, file: FileId, chunk: u32) {
        let now = self.now;
        self.sharing.gain(&file, chunk);
        self.mark_links(|link| {
            if link.hosting.get(&file).is_some_and(|hosting| hosting.fetching) {
                link.say_gained.entry(file).or_default().insert(chunk);
                let due = link.gained_said.plus(GAINED_MS).max(now);
                link.say_gained_at.get_or_insert(due);
            }
        });
    }

    pub(super) fn hosting_message(&self, file: FileId) -> Message {
        match self.sharing.shares.get(&file) {
            Some(Share { held: None }) => {
                Message::Hosting { file, held: Held::All, fetching: false }
            }
            Some(Share { held: Some(held) }) => {
                Message::Hosting { file, held: Held::Some(held.clone()), fetching: true }
            }
            None => Message::Dropped(file),
        }
    }

    /// Stops serving a file and takes one's own offer back.
    pub(super) fn withdraw(&mut self, file: FileId) -> Result<(), Failure> {
        if self.catalogue.offers_of(self.my_id, file).is_some() {
            self.utter(Kind::Withdraw(file))?;
        }
        self.unshare(file);
        self.forget_parked(file);
        Ok(())
    }

    /// A serving thread or a recheck says whether a file on disk is still what it was.
    pub(super) fn source_checked(&mut self, file: FileId, intact: bool) {
        if intact {
            return;
        }
        let name = self.catalogue.any(&file).map(|offered| Untrusted::new(&offered.name));
        let name = name.unwrap_or_else(|| Untrusted::new(file.short()));
        if self.sharing.shares.contains_key(&file) && self.withdraw(file).is_ok() {
            self.complain_of_change(&name);
        }
    }

    pub(super) fn complain_of_change(&mut self, name: &Untrusted) {
        self.complain(Failure::new(
            Code::HostChangedFile,
            format!(
                "{name} changed on disk since it was offered, or cannot be read any more, so it \
                 is offered no more: send it again"
            ),
        ));
    }

    /// A peer says that a chunk of ours does not fit. Looking costs a read of it, so a peer is
    /// believed that often and no oftener.
    pub(super) fn bad_chunk_told(&mut self, conn: ConnId, file: FileId, chunk: u32) {
        let now = self.now;
        let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link_mut()) else { return };
        if link.blamed.is_some_and(|at| now < at.plus(BLAME_MS)) {
            return;
        }
        link.blamed = Some(now);
        if self.sharing.shares.contains_key(&file) {
            self.effect(Effect::Recheck { file, chunk });
        }
    }

    pub(super) fn chunk_served(&mut self, member: MemberId, file: FileId, bytes: u64) {
        let now = self.now;
        let served = self.sharing.served.entry((member, file)).or_insert(Served {
            bytes: 0,
            pace: Pace::default(),
            last: now,
        });
        if now.since(served.last) >= SERVED_PAUSE_MS {
            served.pace.rest();
        }
        served.pace.begin(now);
        served.pace.came(now, bytes);
        served.bytes += bytes;
        served.last = now;
    }

    /// Bounds what files may take of the network, from now on.
    pub(super) fn limit(&mut self, up: bool, bytes_per_second: Option<u64>) {
        self.effect(Effect::Limit { up, bytes_per_second });
        let way = if up { "sent" } else { "fetched" };
        self.remark(match bytes_per_second {
            Some(rate) => format!("files are {way} at {}/s at most", size(rate)),
            None => format!("files are {way} as fast as it goes"),
        });
    }

    pub(super) fn drop_shares(&mut self) {
        self.forget_all_taken_back();
        for file in self.sharing.files() {
            self.sharing.remove(&file);
            self.effect(Effect::Unserve { file });
        }
        self.sharing.served.clear();
        self.sharing.copies.clear();
        let jobs = std::mem::take(&mut self.sharing.jobs);
        for (job, Job { face, line, copy, .. }) in jobs {
            self.effect(Effect::CancelHash { job });
            let failure = Failure::new(Code::Cancelled, "the room was left meanwhile");
            let word = if copy { "share" } else { "send" };
            self.reply(face, line, word, Err(failure));
        }
    }
}
