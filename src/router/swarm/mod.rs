//! Downloads, from the command to the file in its place; which chunk to fetch from whom is the
//! business of [`choice`].

pub mod choice;
mod host;
mod hosts;
mod lanes;
pub(super) mod pace;
pub mod picker;
mod progress;
mod queue;
mod rows;
mod schedule;
pub mod sent;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::choice::Choice;
use self::progress::Progress;
use self::queue::{Again, Place};
use self::waiting::{Stops, Waiting};
use super::Router;
use super::bitmap::Bitmap;
use super::command::SaveAs;
use super::event::{DiskError, Effect, FetchError, Fetched, PartState};
use super::ids::{ConnId, Digest32, FaceId, FileId, MemberId};
use super::links::Conn;
use super::message::Message;
use super::notice::{Code, Failure, FileInfo, Notice};
use super::text::Untrusted;
use super::time::{Earliest, Millis};
use super::word::{Word, best};
use crate::files::merkle;

/// Bytes of bitmaps kept for one peer.
const BITMAPS_MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// The partial file is being opened.
    Opening,
    /// The list of chunk hashes is wanted, and asked for over these lanes, last at that time.
    List(BTreeSet<ConnId>, Millis),
    Fetching,
    Finishing,
    /// The disk does not take it now.
    Waiting(Waiting),
}

/// A file that is being fetched.
#[derive(Debug)]
struct Download {
    name: String,
    size: u64,
    root: Digest32,
    commands: Vec<(FaceId, u64)>,
    /// Which in the order asked.
    number: u64,
    turn: u64,
    stage: Stage,
    /// Chunks that are verified here.
    chunks_done: u32,
    helped: BTreeSet<MemberId>,
    bytes_fetched: u64,
    began: Millis,
    progress: Progress,
    hostless_since: Option<Millis>,
    /// It was told that who has it is here, and out of reach.
    told_no_way: bool,
    stops: Stops,
    /// Whoever asked for it goes on with other things: it may wait for a host.
    patient: bool,
    /// Its name and folder on this computer.
    place: Place,
    /// Who wants it there.
    faces: BTreeSet<FaceId>,
    /// The same file elsewhere as well: copied when it is here.
    then: Vec<Again>,
}

impl Download {
    fn info(&self, file: FileId) -> FileInfo {
        FileInfo { id: file, name: Untrusted::new(&self.name), size: self.size }
    }

    fn bytes_done(&self) -> u64 {
        let chunk = u64::from(merkle::chunk_bytes(self.size));
        (u64::from(self.chunks_done) * chunk).min(self.size)
    }
}

/// How lanes to one host are doing.
#[derive(Debug, Default)]
struct Lanes {
    /// Lanes over which we fetch from it, open or on their way.
    fetching: BTreeSet<ConnId>,
    next_address: usize,
    /// No dial before then.
    retry_at: Millis,
    /// It was asked to dial us, and we wait for that.
    asked_back: bool,
}

/// All downloads and the lanes to their hosts.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    downloads: BTreeMap<FileId, Download>,
    /// Downloads that wait for those which were asked for before.
    queued: BTreeMap<FileId, Download>,
    /// The same in the order asked.
    queue: BTreeMap<u64, FileId>,
    lanes: BTreeMap<MemberId, Lanes>,
    /// Members that asked us to dial them to serve.
    serving_dials: BTreeMap<MemberId, usize>,
    next_turn: u64,
    next_number: u64,
    /// Of what is here already.
    again: Vec<Again>,
    pub(super) choice: Choice,
}

impl Swarm {
    /// Whether a file is being fetched, or queued for it.
    pub(super) fn is_fetching(&self, file: &FileId) -> bool {
        self.downloads.contains_key(file) || self.queued.contains_key(file)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.downloads.is_empty() && self.queued.is_empty()
    }

    /// Somebody may still be asked about a download.
    pub(super) fn is_asking(&self) -> bool {
        !self.again.is_empty()
    }

    /// The downloads that a person may mean.
    pub(super) fn named(&self, word: &Word) -> Vec<FileId> {
        let fitting = self.downloads.iter().chain(&self.queued);
        best(
            fitting.filter_map(|(file, download)| Some((word.fit(&download.name, [file])?, *file))),
        )
    }

    /// Takes a download out, begun or not.
    fn remove(&mut self, file: &FileId) -> Option<Download> {
        self.downloads.remove(file).or_else(|| {
            let download = self.queued.remove(file)?;
            self.queue.remove(&download.number);
            Some(download)
        })
    }

    /// The next dial to `member` is one to serve it.
    pub(super) fn serves_lane(&self, member: &MemberId) -> bool {
        self.serving_dials.get(member).is_some_and(|count| *count > 0)
    }
}

impl Router {
    fn live(&mut self, file: &FileId, turn: u64) -> Option<&mut Download> {
        self.swarm.downloads.get_mut(file).filter(|download| download.turn == turn)
    }

    pub(super) fn part_opened(
        &mut self,
        file: FileId,
        turn: u64,
        result: Result<PartState, DiskError>,
    ) {
        if result.is_ok() && self.live(&file, turn).is_some() {
            self.relieve(file);
        }
        let Some(download) = self.live(&file, turn) else { return };
        match result {
            Err(error) => self.disk_failed(file, error),
            Ok(PartState::NeedsList) => {
                download.stage = Stage::List(BTreeSet::new(), Millis(0));
                self.begin_choice(file);
            }
            Ok(PartState::Verified(held)) => self.begin_fetching(file, held),
            Ok(PartState::Complete) => {
                download.chunks_done = merkle::chunk_count(download.size);
                self.finish(file);
            }
        }
    }

    /// The choice learns of the file, and who has it.
    fn begin_choice(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get(&file) else { return };
        self.swarm.choice.begin(download.turn, file, download.size);
        let links = self.conns.values().filter_map(Conn::link);
        for link in links {
            if let Some(hosting) = link.hosting.get(&file) {
                self.swarm.choice.hosted(link.member, &file, hosting.held.as_ref());
            }
        }
    }

    fn begin_fetching(&mut self, file: FileId, held: Bitmap) {
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        // A second list, or one that comes late, changes nothing.
        let awaited = match &download.stage {
            Stage::Opening | Stage::List(..) => true,
            Stage::Waiting(waiting) => waiting.needs_list(),
            Stage::Fetching | Stage::Finishing => false,
        };
        if held.len() != merkle::chunk_count(download.size) || !awaited {
            return;
        }
        download.stage = Stage::Fetching;
        download.chunks_done = held.count();
        if held.is_all() {
            return self.finish(file);
        }
        if self.swarm.choice.picker(&file).is_none() {
            self.begin_choice(file);
        }
        self.swarm.choice.pause(&file, false);
        self.relieve(file);
        self.swarm.choice.listed(&file, &held);
        if !self.sharing.holds_all(&file) {
            self.sharing.share_some(file, held);
            self.tell_hosting(file);
        }
    }

    pub(super) fn list_fetched(
        &mut self,
        file: FileId,
        turn: u64,
        conn: ConnId,
        result: Result<Bitmap, FetchError>,
    ) {
        let host = self.member_of(conn);
        self.swarm.choice.failed(conn, &file, None, 0, self.cx.now);
        self.lane_suffers(conn, result.as_ref().err());
        let Some(download) = self.live(&file, turn) else { return };
        if let Stage::List(lanes, _) = &mut download.stage {
            lanes.remove(&conn);
        }
        match result {
            Ok(held) => self.begin_fetching(file, held),
            Err(error) => self.fetch_failed(file, host, None, error),
        }
    }

    /// The host of a lane chose this chunk.
    pub(super) fn chunk_picked(&mut self, file: FileId, turn: u64, conn: ConnId, chunk: u32) {
        if self.live(&file, turn).is_some() {
            self.swarm.choice.picked(conn, &file, chunk);
        }
    }

    /// A part of a chunk came.
    pub(super) fn chunk_came(&mut self, file: FileId, conn: ConnId, chunk: u32, bytes: u64) {
        self.swarm.choice.came(conn, &file, chunk, bytes, self.cx.now);
        if let Some(download) = self.swarm.downloads.get_mut(&file) {
            download.progress.came(self.cx.now, bytes);
            self.tell_progress(file);
        }
    }

    pub(super) fn chunk_fetched(&mut self, fetched: Fetched) {
        let Fetched { file, turn, conn, chunk, bytes, more, result } = fetched;
        let (host, now) = (self.member_of(conn), self.cx.now);
        let result = match (result, host.zip(chunk)) {
            // The word that a chunk is not needed travels beside the lanes: it may meet a later
            // request.
            (Err(FetchError::NotHeld), Some((host, chunk)))
                if self.swarm.choice.was_called_off(&host, &file, chunk) =>
            {
                Err(FetchError::Busy)
            }
            (result, _) => result,
        };
        // What an earlier opening asked for is no news to this one: it asks again, for nothing.
        let live = self.live(&file, turn).is_some();
        let (new, matters) = match (chunk, &result) {
            (Some(chunk), Ok(())) if live => {
                (self.swarm.choice.fetched(conn, &file, chunk, more, now), true)
            }
            _ => (false, self.swarm.choice.failed(conn, &file, chunk, more, now)),
        };
        if result == Err(FetchError::Elsewhere) {
            self.swarm.choice.elsewhere(conn, &file, now);
        }
        if matters || result == Err(FetchError::Lane) {
            self.lane_suffers(conn, result.as_ref().err());
        }
        let Some(download) = self.live(&file, turn) else { return };
        download.bytes_fetched += bytes;
        download.progress.came(now, more);
        if let Err(error) = result {
            if matters || matches!(error, FetchError::Disk(_) | FetchError::Bad) {
                self.fetch_failed(file, host, chunk, error);
            }
            return;
        }
        download.stops.end();
        download.helped.extend(host);
        let Some(chunk) = chunk.filter(|_| new) else { return };
        download.chunks_done += 1;
        let complete = download.chunks_done == merkle::chunk_count(download.size);
        self.tell_gained(file, chunk);
        if complete {
            self.finish(file);
        } else {
            self.tell_progress(file);
        }
    }

    fn fetch_failed(
        &mut self,
        file: FileId,
        host: Option<MemberId>,
        chunk: Option<u32>,
        error: FetchError,
    ) {
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        match (error, host) {
            (FetchError::Bad, Some(host)) => {
                // What else was on its way from there is as bad, and told already.
                if !self.swarm.choice.ban(host, &file) {
                    return;
                }
                let name = Untrusted::new(&download.name);
                let from = self.members.who(&host).marked();
                let what = chunk.map_or("the list of chunks".to_owned(), |c| format!("chunk {c}"));
                self.cx.complain(Failure::new(
                    Code::BadChunk,
                    format!(
                        "bad chunk: {what} of {name} from {from} is not what was offered; it is \
                         fetched from others"
                    ),
                ));
                if let (Some((conn, _)), Some(chunk)) = (self.link_of(&host), chunk) {
                    let message = Message::BadChunk { file, chunk };
                    self.cx.effect(Effect::Send { conn, message });
                }
            }
            (FetchError::NotHeld, Some(host)) => {
                let chunks = merkle::chunk_count(download.size);
                self.not_held(&host, file, chunk, chunks);
            }
            (FetchError::Disk(error), _) => self.write_failed(file, error),
            _ => {}
        }
    }

    /// Somebody waits for these chunks: they are fetched before any other.
    pub(super) fn chunk_urgent(&mut self, file: FileId, first: u32, last: u32) {
        self.begin_download(file);
        self.swarm.choice.prefer(&file, first..last.saturating_add(1));
    }

    fn finish(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        download.stage = Stage::Finishing;
        let (turn, name, save) = (download.turn, download.name.clone(), download.place.0.clone());
        self.swarm.choice.end(&file);
        self.cx.effect(Effect::FinishPart { file, turn, name, save });
    }

    pub(super) fn part_finished(
        &mut self,
        file: FileId,
        turn: u64,
        result: Result<PathBuf, DiskError>,
    ) {
        if self.live(&file, turn).is_none() {
            return;
        }
        let path = match result {
            Ok(path) => path,
            Err(error) => return self.disk_failed(file, error),
        };
        let Some(download) = self.swarm.downloads.remove(&file) else { return };
        self.cx.notify(Notice::DownloadFinished {
            file: download.info(file),
            path,
            bytes_fetched: download.bytes_fetched,
            took_ms: self.cx.now.since(download.began),
            hosts: download.helped.len(),
        });
        if matches!(download.place.0, SaveAs::Passing(_)) && !self.sharing.holds_all(&file) {
            self.unshare(file);
            // Also where it was here before anybody heard of it.
            self.cx.effect(Effect::Unserve { file });
            self.sharing.pass_on(file);
            self.tell_hosting(file);
        } else {
            self.sharing.share_all(file);
            self.tell_hosting(file);
        }
        for (face, line) in download.commands {
            self.cx.reply(face, line, "download", Ok(()));
        }
        for again in download.then {
            self.enqueue_answered(again);
        }
    }

    /// None of them can go on, nor any that waits for its turn or for an answer.
    pub(super) fn fail_downloads(&mut self, failure: &Failure) {
        let Swarm { downloads, queued, again, .. } = &mut self.swarm;
        // The queued ones first, so that none of them begins.
        let files: Vec<_> = queued.keys().chain(downloads.keys()).copied().collect();
        let again = std::mem::take(again);
        for file in files {
            self.fail_download(file, failure.clone());
        }
        for Again { face, line, .. } in again {
            self.cx.reply(face, line, "download", Err(failure.clone()));
        }
    }

    fn fail_download(&mut self, file: FileId, failure: Failure) {
        let Some(download) = self.swarm.remove(&file) else { return };
        self.swarm.choice.end(&file);
        self.cx.effect(Effect::DropPart { file, turn: download.turn });
        if !self.sharing.holds_all(&file) {
            self.unshare(file);
        }
        self.cx
            .notify(Notice::DownloadFailed { file: download.info(file), failure: failure.clone() });
        // What one folder does not take, another may.
        let elsewhere = !matches!(failure.code, Code::Cancelled | Code::NoHost | Code::Removed);
        for again in download.then {
            match again.command() {
                _ if elsewhere => self.enqueue_answered(again),
                Some((face, line)) => self.cx.reply(face, line, "download", Err(failure.clone())),
                None => {}
            }
        }
        for (face, line) in download.commands {
            self.cx.reply(face, line, "download", Err(failure.clone()));
        }
    }

    /// A face ended: downloads that only it wants are cancelled.
    pub(super) fn end_downloads_of(&mut self, face: FaceId) {
        let Swarm { downloads, queued, again, .. } = &mut self.swarm;
        again.retain(|again| !again.is_of(face));
        let mut unwanted = Vec::new();
        for (file, download) in queued.iter_mut().chain(downloads) {
            download.faces.remove(&face);
            download.commands.retain(|(of, _)| *of != face);
            download.then.retain(|again| !again.is_of(face));
            if download.faces.is_empty() && download.then.is_empty() {
                unwanted.push(*file);
            }
        }
        for file in unwanted {
            self.cancel_download(file);
        }
    }

    pub(super) fn cancel_download(&mut self, file: FileId) {
        let failure = Failure::new(
            Code::Cancelled,
            "the download was cancelled; what is verified stays for next time",
        );
        self.fail_download(file, failure);
    }

    pub(super) fn drop_downloads(&mut self) {
        let failure = "the room was left meanwhile; what is verified stays for next time";
        self.fail_downloads(&Failure::new(Code::Cancelled, failure));
        self.swarm.choice = Choice::default();
        self.swarm.lanes.clear();
        self.swarm.serving_dials.clear();
    }

    // The end of stdin, `transfers`, time.

    /// Fails downloads that had no host for too long, if somebody waits for them: a command of a
    /// pipe or, since `ending`, the end of stdin. True while some go on.
    pub(super) fn fail_hostless(&mut self, ending: Option<Millis>) -> bool {
        self.fail_stopped(ending);
        let no_host_ms = self.cx.limits().no_host_ms;
        let lost: Vec<_> = self
            .swarm
            .downloads
            .iter()
            .filter(|(_, download)| {
                let from = if download.patient { ending } else { Some(Millis(0)) };
                let since = download.hostless_since.zip(from).map(|(a, b)| a.max(b));
                since.is_some_and(|since| self.cx.now.since(since) >= no_host_ms)
            })
            .map(|(file, download)| (*file, Untrusted::new(&download.name)))
            .collect();
        for (file, name) in lost {
            let text = format!(
                "nobody who has {name} came for {} s; run the same download again to go on",
                no_host_ms / 1000
            );
            self.fail_download(file, Failure::new(Code::NoHost, text));
        }
        !self.swarm.is_idle()
    }

    pub(super) fn swarm_timers(&mut self) {
        self.fail_hostless(None);
        self.look_again();
        self.tell_all_progress();
    }

    pub(super) fn swarm_deadlines(&self, earliest: &mut Earliest) {
        for download in self.swarm.downloads.values() {
            if let (Some(since), false) = (download.hostless_since, download.patient) {
                earliest.at(since.plus(self.cx.limits().no_host_ms));
            }
        }
        self.progress_deadlines(earliest);
        self.schedule_deadlines(earliest);
        self.lane_deadlines(earliest);
        self.waiting_deadlines(earliest);
    }
}
