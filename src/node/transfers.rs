//! The bulk side of a node: performs the router's effects on files and lanes, on threads of its
//! own, and answers with events.
//!
//! - Nothing here blocks the router thread: [`Transfers::perform`] takes short locks and hands the
//!   work over. If it cannot even begin, the event that it returns is the answer.
//! - No lock is held while an event is sent, so the router may be slow to take it.
//! - Bulk bytes stay here; the router sees numbers.

mod content;
mod differences;
mod downloads;
mod failures;
mod fetching;
mod folders;
mod hashing;
mod leftovers;
mod owed;
mod own;
mod pool;
#[cfg(test)]
mod tests;
mod units;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use self::content::{Content, Contents};
use self::differences::PastFolders;
use self::fetching::{FetchTask, Fetching};
use self::folders::{BuiltFolders, FolderOpening, OpenFolder, OpenManifest};
use self::hashing::{HashJob, RootCache};
use self::pool::{Bounds, Pool};
use crate::files::disk::Disk;
use crate::files::folder::served::ServedFolder;
use crate::files::served::{OpenFiles, Served};
use crate::limits::Limits;
use crate::net::Lanes;
use crate::net::channel::Channel;
use crate::net::chunk::{Answers, send_requests};
use crate::net::lane::Request;
use crate::net::places::Places;
use crate::net::serve::{CancelledChunks, Host, LaneUse, serve};
use crate::net::sources::Sources;
use crate::net::stream::Stream;
use crate::net::throttle::Throttle;
use crate::router::event::{Closed, Effect, Event};
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::swarm::choice::LANE_QUEUE;
use crate::thread::{STACK_LARGE_BYTES, STACK_SMALL_BYTES, lower_priority, spawn_scoped};

/// Chunks that one host sends at a time.
pub const SERVING_CHUNKS: usize = 8;
/// Files hashed at once; each uses all cores, and a short one need not wait for a long one.
const HASH_THREADS: usize = 2;
/// Threads for opening, verifying, finishing and rechecking files.
const DISK_THREADS: usize = 4;
/// Threads for slow disk work: hashing what earlier runs left, and early syncs.
const SLOW_THREADS: usize = 8;
/// Jobs that wait for one of those threads: more than all downloads and own offers need at a time.
const WAITING_JOBS: usize = 4_096;

/// All transfers of a node.
pub struct Transfers {
    shared: Arc<TransferShared>,
    hashing: Pool,
    disk: Pool,
    slow: Pool,
}

/// What the threads share.
struct TransferShared {
    host: Host,
    /// How much may be fetched per second.
    fetch_throttle: Arc<Throttle>,
    contents: Arc<Contents>,
    /// Files that are open for serving.
    open_files: Arc<OpenFiles>,
    roots: RootCache,
    built: Arc<BuiltFolders>,
    past: PastFolders,
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    state: Mutex<TransfersState>,
    stopping: AtomicBool,
}

/// A view of the files stored on this computer, for faces that show them; clones share it.
#[derive(Clone)]
pub struct Library {
    shared: Arc<TransferShared>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

impl Library {
    /// A file, as far as it is here; waits up to `patience` until some of it can be.
    #[must_use]
    pub fn file(&self, file: &FileId, patience: Duration) -> Option<Arc<Served>> {
        self.shared.host.sources.wait_for(file, patience)
    }

    /// Whether `served` is still what is here of a file.
    #[must_use]
    pub fn is_current(&self, file: &FileId, served: &Arc<Served>) -> bool {
        let current = self.shared.host.sources.plain(file);
        current.is_some_and(|current| Arc::ptr_eq(&current, served))
    }

    /// Where every folder lies that is here whole.
    #[must_use]
    pub fn folders(&self) -> Vec<(FileId, PathBuf)> {
        self.shared.host.sources.places_of_folders()
    }

    /// Every file of which something is here.
    #[must_use]
    pub fn all(&self) -> Vec<(FileId, Arc<Served>)> {
        self.shared.host.sources.all()
    }
}

#[derive(Default)]
struct TransfersState {
    lanes: BTreeMap<ConnId, LaneHold>,
    downloads: BTreeMap<FileId, OpenPart>,
    manifests: BTreeMap<FileId, OpenManifest>,
    folders: BTreeMap<FileId, OpenFolder>,
    hash_jobs: BTreeMap<u64, Arc<HashJob>>,
    /// Offered in a room that was left, and no longer served.
    parked: BTreeMap<FileId, Arc<Served>>,
    parked_folders: BTreeMap<FileId, Arc<ServedFolder>>,
}

impl TransfersState {
    fn serving(&self) -> impl Iterator<Item = (ConnId, &ServedLane)> {
        self.lanes.iter().filter_map(|(conn, lane)| match lane {
            LaneHold::Serve(lane) => Some((*conn, lane)),
            LaneHold::Fetch(..) => None,
        })
    }

    /// Of the lanes without requests, the one that has been idle longest among those of the member
    /// that has most.
    fn longest_idle(&self) -> Option<ConnId> {
        let lanes_of = |member| self.serving().filter(|(_, lane)| lane.member == member).count();
        let idle = self.serving().filter_map(|(conn, lane)| {
            let since = lane.used.idle_since()?;
            Some((Reverse(lanes_of(lane.member)), since, conn))
        });
        idle.min().map(|(_, _, conn)| conn)
    }
}

/// An open download.
struct OpenPart {
    turn: u64,
    /// `None` until its partial file is open.
    content: Option<Arc<Content>>,
}

/// A lane, as other threads see it.
enum LaneHold {
    /// With the sender for requests, until it is closed.
    Fetch(Arc<dyn Stream>, Option<Sender<(Request, FetchTask)>>),
    Serve(ServedLane),
}

/// A lane over which a member may ask.
#[derive(Clone)]
struct ServedLane {
    stream: Arc<dyn Stream>,
    member: MemberId,
    used: Arc<LaneUse>,
}

impl LaneHold {
    fn close(&mut self) {
        let stream = match self {
            Self::Fetch(stream, requests) => {
                *requests = None;
                stream
            }
            Self::Serve(lane) => &lane.stream,
        };
        // A stream that is already gone needs no shutdown.
        let _ = stream.shut(Shutdown::Both);
    }
}

impl Lanes for Transfers {
    fn lane(&self, conn: ConnId, member: MemberId, fetch: bool, channel: Channel) -> Closed {
        Self::lane(self, conn, member, fetch, channel)
    }
}

/// Forgets a lane when its thread has finished.
struct OpenLane<'a> {
    shared: &'a TransferShared,
    conn: ConnId,
}

impl Drop for OpenLane<'_> {
    fn drop(&mut self) {
        let lane = self.shared.lock().lanes.remove(&self.conn);
        lane.into_iter().for_each(|mut lane| lane.close());
    }
}

impl TransferShared {
    fn lock(&self) -> MutexGuard<'_, TransfersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl Transfers {
    /// Transfers that report to `inbox` and save into the folder `downloads` of `disk`.
    #[must_use]
    pub fn new(
        inbox: Sender<Event>,
        limits: Arc<Limits>,
        downloads: PathBuf,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let pool =
            |name, threads, waiting, stack_bytes| Bounds { name, threads, waiting, stack_bytes };
        let (sources, places) = (Sources::default(), Places::new(SERVING_CHUNKS));
        let fetch_throttle = Arc::new(Throttle::new(limits.down_bytes_per_s));
        let open_files = Arc::new(OpenFiles::new(limits.open_files));
        let shared = TransferShared {
            open_files,
            roots: RootCache::default(),
            built: Arc::default(),
            past: PastFolders::default(),
            host: Host {
                sources,
                places,
                cancelled: CancelledChunks::default(),
                throttle: Throttle::new(limits.up_bytes_per_s),
                inbox,
                limits,
            },
            fetch_throttle,
            contents: Arc::default(),
            folder: downloads,
            disk,
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            hashing: Pool::new(pool("hash", HASH_THREADS, WAITING_JOBS, STACK_LARGE_BYTES)),
            disk: Pool::new(pool("disk", DISK_THREADS, WAITING_JOBS, STACK_SMALL_BYTES)),
            slow: Pool::new(pool("slow disk", SLOW_THREADS, WAITING_JOBS, STACK_SMALL_BYTES)),
        }
    }

    /// Begins an effect on files or lanes; others are ignored. Never blocks. If it returns an
    /// event, that is the answer, to be handled next: the router's own thread cannot wait for its
    /// inbox.
    #[must_use]
    pub fn perform(&self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Hash { job, path } => {
                return self.hash(job, path, HashJob::default());
            }
            Effect::HashAs { job, path, name } => {
                return self.hash(job, path, HashJob::named(name));
            }
            Effect::DiscardCopy { file, path } => self.discard_copy(&file, path),
            Effect::CancelHash { job } => {
                let job = self.shared.lock().hash_jobs.remove(&job);
                job.iter().for_each(|job| job.cancel());
            }
            Effect::Serve { file, job } => self.serve(file, job),
            Effect::Unserve { file } => self.shared.host.sources.remove(&file),
            Effect::UnserveManifest { file } => {
                self.shared.host.sources.remove_manifest(&file);
            }
            Effect::Park { file, step } => return self.park(file, step),
            Effect::Look { face, line, file } => return self.look(face, line, file),
            Effect::OpenPart { file, turn, size, root, name, copy, folder } => {
                let opening = downloads::PartOpening { file, turn, size, root, name, copy, folder };
                return self.open_part(opening);
            }
            Effect::OpenManifest { file, turn, size, root, copy } => {
                return self.open_manifest((file, turn), (size, root), copy);
            }
            Effect::ReadManifest { file, turn } => return self.read_manifest(file, turn),
            Effect::ListFolder { face, line, folder, manifest, path } => {
                return self.list_folder((face, line), folder, manifest, path);
            }
            Effect::OpenFolder { file, turn, manifest, name, part, copy, folder, save } => {
                let to = (folder, save);
                let opening = FolderOpening { file, turn, manifest, name, part, copy, to };
                return self.open_folder(opening);
            }
            Effect::FetchFolderList { file, turn, conn, entry } => {
                return self.fetch_folder_list((file, turn), conn, entry);
            }
            Effect::FetchList { file, turn, conn } => return self.fetch_list(file, turn, conn),
            Effect::Fetch { file, turn, conn, want } => {
                return self.fetch(file, turn, conn, want);
            }
            Effect::CancelChunk { member, file, chunk } => {
                self.shared.host.cancelled.insert(member, file, chunk);
            }
            Effect::ForgetServed { member } => {
                self.shared.host.sources.forget_member(&member);
                self.shared.host.cancelled.forget_member(&member);
            }
            Effect::Limit { up, bytes_per_second } => {
                let host = &self.shared.host;
                let throttle = if up { &host.throttle } else { &*self.shared.fetch_throttle };
                throttle.limit(bytes_per_second);
            }
            Effect::FinishPart { file, turn, name, save } => {
                return self.finish_part(file, turn, name, save);
            }
            Effect::DropPart { file, turn } => self.drop_part(file, turn),
            Effect::TryPart { file, turn, chunks } => return self.try_part(file, turn, chunks),
            Effect::RemovePart { face, line, wanted, prefix } => {
                return self.remove_part(face, line, wanted, prefix);
            }
            Effect::ExamineFolder { face, line } => return self.examine_folder(face, line),
            Effect::Recheck { file, chunk } => self.recheck(file, chunk),
            _ => {}
        }
        None
    }

    /// The files stored on this computer, wholly or in part.
    #[must_use]
    pub fn library(&self) -> Library {
        Library { shared: Arc::clone(&self.shared) }
    }

    /// Runs an open lane on the calling thread, the connection's own, until it ends; returns how.
    /// `fetch`: this side asks.
    #[must_use]
    pub fn lane(&self, conn: ConnId, member: MemberId, fetch: bool, channel: Channel) -> Closed {
        let host = &self.shared.host;
        let stuck = Duration::from_millis(host.limits.stuck_link_ms);
        if channel.set_timeouts(stuck, stuck).is_err() {
            return Closed::Gone;
        }
        if fetch {
            return self.fetch_over(conn, channel, stuck);
        }
        lower_priority();
        channel.bound_unsent();
        let (stream, used) = (Arc::clone(channel.stream()), Arc::new(LaneUse::new()));
        let hold = ServedLane { stream, member, used: Arc::clone(&used) };
        match self.open_lane(conn, LaneHold::Serve(hold)) {
            Some(_open) => serve(channel, member, host, &used),
            None => Closed::ByUs,
        }
    }

    fn fetch_over(&self, conn: ConnId, channel: Channel, patience: Duration) -> Closed {
        let limits = &self.shared.host.limits;
        let (requests, queue) = bounded(LANE_QUEUE);
        // Together with the request that is being answered.
        let (sent, asked) = bounded(LANE_QUEUE - 1);
        let hold = LaneHold::Fetch(Arc::clone(channel.stream()), Some(requests));
        let Some(open) = self.open_lane(conn, hold) else { return Closed::ByUs };
        let (sender, receiver) = channel.split();
        let throttle = Arc::clone(&self.shared.fetch_throttle);
        let answers = Answers::new(receiver, patience, throttle);
        let idle = Duration::from_millis(limits.lane_idle_ms);
        std::thread::scope(|scope| {
            // However this ends, the lane is then closed, and so the other thread ends.
            let _open = open;
            let send = move || send_requests(sender, &queue, &sent);
            match spawn_scoped(scope, "asker", STACK_SMALL_BYTES, send) {
                Ok(_) => {
                    // Not earlier: a thread inherits the priority of the one that starts it.
                    lower_priority();
                    Fetching { transfers: self, conn, answers }.run(asked, idle)
                }
                Err(error) => {
                    tracing::warn!(%error, "no thread could be started for a lane");
                    Closed::ByUs
                }
            }
        })
    }

    /// Registers a lane and tells the router; `None` if there are too many, or no more may come.
    fn open_lane(&self, conn: ConnId, lane: LaneHold) -> Option<OpenLane<'_>> {
        let host = &self.shared.host;
        {
            let mut state = self.shared.lock();
            if self.shared.is_stopping() {
                return None;
            }
            if matches!(lane, LaneHold::Serve(_)) {
                let serving = state.serving().count();
                if serving >= host.limits.serve_threads {
                    // Its thread ends as soon as it finds its stream closed.
                    let idle = state.longest_idle()?;
                    state.lanes.remove(&idle).iter_mut().for_each(LaneHold::close);
                }
            }
            state.lanes.insert(conn, lane);
        }
        let open = OpenLane { shared: &self.shared, conn };
        host.inbox.send(Event::LaneOpened { conn }).ok()?;
        Some(open)
    }

    /// Ends a lane; its thread soon returns from [`Transfers::lane`].
    pub fn close_lane(&self, conn: ConnId) {
        self.shared.lock().lanes.get_mut(&conn).into_iter().for_each(LaneHold::close);
    }

    /// Ends everything soon: lanes, hashing, waiting jobs. Partial files keep what is verified.
    pub fn shutdown(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.host.places.close();
        // Threads that wait for their turn under a limit continue, and find their lanes closed.
        self.shared.host.throttle.limit(None);
        self.shared.fetch_throttle.limit(None);
        let mut state = std::mem::take(&mut *self.shared.lock());
        state.lanes.values_mut().for_each(LaneHold::close);
        state.hash_jobs.values().for_each(|job| job.cancel());
        self.hashing.stop();
        self.disk.stop();
        self.slow.stop();
    }

    /// Waits for all threads of its own to end; false if some still run at `deadline`. The lanes'
    /// threads belong to the connections.
    pub fn join(&self, deadline: Instant) -> bool {
        let hashing = self.hashing.join(deadline);
        let slow = self.slow.join(deadline);
        self.disk.join(deadline) && hashing && slow
    }
}
