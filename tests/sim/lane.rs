//! The shell's part in files: hashing, lanes, fetching, putting files in place.

use klatch::router::event::Want;
use klatch::router::event::{Closed, Effect, Event, FetchError, Hashed, Parking};
use klatch::router::ids::{ConnId, FileId};
use klatch::router::notice::{Code, Failure};
use klatch::router::swarm::sent::Picked;

use crate::disk::content;
use crate::pipe::{End, Parcel, Request};
use crate::world::{Happening, World};
use klatch::router::swarm::choice::LANE_QUEUE;

/// A lane that brings nothing for this long is given up.
const LANE_SILENT_MS: u64 = 10_000;

impl World {
    pub(crate) fn perform_file(&mut self, node: usize, effect: Effect) {
        let disk = &mut self.nodes[node].disk;
        match effect {
            Effect::Hash { job, path } => {
                let hashed = disk.hash(job, &path);
                if let Some(Hashed { path, size, .. }) = &hashed {
                    let (path, size) = (path.clone(), *size);
                    self.done(node, 1, Event::HashBegan { job, path, size });
                }
                let took = 5 + hashed.as_ref().map_or(0, |hashed| hashed.size / 1_000_000);
                let failure = || Failure::new(Code::FileNotFound, "there is no such file");
                let result = hashed.ok_or_else(failure);
                self.done(node, took, Event::Hashed { job, result });
            }
            Effect::CancelHash { job } => {
                disk.jobs.remove(&job);
            }
            Effect::Serve { file, job } => {
                assert_eq!(disk.jobs.remove(&job), Some(file), "a job serves what it hashed");
                disk.serving.insert(file);
                disk.serving.extend(disk.manifest_of(&file));
            }
            Effect::Unserve { file } | Effect::UnserveManifest { file } => {
                disk.serving.remove(&file);
            }
            Effect::Park { file, step } => match step {
                Parking::Begin => {
                    assert!(disk.serving.contains(&file), "what is not served is laid aside");
                    disk.parked.insert(file);
                }
                Parking::Check => {
                    let intact = disk.parked.contains(&file) && !disk.changed.contains(&file);
                    self.done(node, 5, Event::ParkedChecked { file, intact });
                }
                Parking::Resume => {
                    assert!(disk.parked.remove(&file), "nothing was laid aside");
                    disk.serving.insert(file);
                    disk.serving.extend(disk.manifest_of(&file));
                }
                Parking::Forget => {
                    disk.parked.remove(&file);
                }
            },
            Effect::Look { face, line, file } => {
                let saved = disk.saved.iter().find(|(_, saved)| **saved == file);
                let intact = disk.serving.contains(&file) && !disk.changed.contains(&file);
                let own = || file.short().into();
                let path = saved.map_or_else(own, |(path, _)| path.into());
                let path = intact.then_some(path);
                self.done(node, 5, Event::LookedAt { face, line, path });
            }
            Effect::OpenPart { file, turn, size, copy, .. } => {
                let result = disk.writable().map(|()| disk.open_part(file, turn, size, copy));
                self.done(node, 5, Event::PartOpened { file, turn, result });
            }
            Effect::OpenManifest { file, turn, size, root, copy } => {
                let state = disk.open_part(file, turn, size, copy);
                disk.files.get_mut(&file).unwrap().manifest = Some(root);
                self.done(node, 0, Event::PartOpened { file, turn, result: Ok(state) });
            }
            Effect::ReadManifest { file, turn } => {
                let result = Ok(disk.read_manifest(file));
                self.done(node, 2, Event::ManifestRead { file, turn, result });
            }
            Effect::OpenFolder { file, turn, manifest, copy, .. } => {
                let result = disk.writable();
                let result = result.map(|()| disk.open_folder((file, turn), manifest, copy));
                self.done(node, 5, Event::PartOpened { file, turn, result });
            }
            Effect::FetchFolderList { file, turn, conn, entry } => {
                self.ask_folder_list(node, (file, turn, conn), entry);
            }
            Effect::TryPart { file, turn, .. } => {
                let result = disk.writable();
                self.done(node, 5, Event::PartTried { file, turn, result });
            }
            Effect::ExamineFolder { face, line } => {
                self.done(node, 5, Event::FolderExamined { face, line, list: Vec::new() });
            }
            Effect::RemovePart { face, line, wanted, prefix } => {
                let result = Ok(prefix.and_then(|prefix| disk.remove_part(&prefix)));
                self.done(node, 5, Event::PartRemoved { face, line, wanted, result });
            }
            Effect::DropPart { file, turn } => {
                if disk.open.get(&file) == Some(&turn) {
                    disk.open.remove(&file);
                }
            }
            Effect::FinishPart { file, turn, name, .. } => {
                assert!(disk.exact(&file), "{} finishes a wrong {name}", self.nodes[node].name);
                let disk = &mut self.nodes[node].disk;
                if let Err(error) = disk.finishable() {
                    let result = Err(error);
                    let finished = Event::PartFinished { file, turn, result, names: None };
                    return self.done(node, 10, finished);
                }
                disk.open.remove(&file);
                disk.serving.insert(file);
                let path = format!("/downloads/{turn}_{name}");
                disk.saved.insert(path.clone(), file);
                let result = Ok(path.into());
                self.done(node, 10, Event::PartFinished { file, turn, result, names: None });
            }
            Effect::Recheck { file, .. } => {
                self.done(node, 20, Event::SourceChecked { file, intact: true, path: None });
            }
            Effect::FetchList { file, turn, conn } => {
                let (want, chunk, bytes, entry) = (None, None, 32 * 1024, None);
                self.request(node, conn, Request { file, turn, want, chunk, bytes, entry });
            }
            Effect::Fetch { file, turn, conn, want } => {
                let chunk = match &want {
                    Want::Chunk(chunk) => Some(*chunk),
                    Want::Pick(_) => None,
                };
                let stored = disk.files.get(&file);
                let bytes = stored.map_or(0, |of| of.unit_bytes(chunk.unwrap_or(0)));
                let (want, entry) = (Some(want), None);
                self.request(node, conn, Request { file, turn, want, chunk, bytes, entry });
            }
            Effect::ForgetServed { member } => {
                disk.sent.values_mut().for_each(|sent| sent.forget(&member));
                disk.cancelled.retain(|(by, ..)| *by != member);
            }
            Effect::CancelChunk { member, file, chunk } => {
                disk.cancelled.insert((member, file, chunk));
            }
            Effect::Limit { .. } => {}
            other => panic!("nobody performs {other:?}"),
        }
    }

    pub(crate) fn start_lane(&mut self, node: usize, conn: ConnId, fetch: bool) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        self.pipes[pipe].started[end] = true;
        self.pipes[pipe].ends[end].admitted = true;
        if fetch {
            assert_eq!(self.pipes[pipe].fetcher, None, "both ends of a lane fetch");
            self.pipes[pipe].fetcher = Some(end);
        }
        self.post(pipe, end, Parcel::LaneReady);
        self.lane_maybe_open(pipe, end);
    }

    pub(crate) fn lane_maybe_open(&mut self, pipe: usize, end: usize) {
        let lane = &self.pipes[pipe];
        if lane.started[end] && lane.ready[end] {
            let fetches = lane.fetcher == Some(end);
            let End { node, conn, .. } = lane.ends[end];
            self.done(node, 0, Event::LaneOpened { conn });
            if fetches {
                self.lane_rests(pipe);
            }
        }
    }

    fn lane_rests(&mut self, pipe: usize) {
        self.pipes[pipe].serial += 1;
        let serial = self.pipes[pipe].serial;
        self.after(5_000, Happening::Idle { pipe, serial });
    }

    pub(crate) fn idle(&mut self, pipe: usize, serial: u64) {
        if self.pipes[pipe].serial == serial && self.pipes[pipe].queue.is_empty() {
            self.lane_closes(pipe, &Closed::Gone);
        }
    }

    fn lane_closes(&mut self, pipe: usize, how: &Closed) {
        for end in [0, 1] {
            let End { node, conn, open, .. } = self.pipes[pipe].ends[end];
            if open {
                self.forget_end(pipe, end);
                self.feed(node, Event::ConnClosed { conn, how: how.clone() });
            }
        }
    }

    pub(crate) fn request(&mut self, node: usize, conn: ConnId, request: Request) {
        let Some((pipe, end)) = self.end_of(node, conn) else {
            let failed = request.failed(conn, FetchError::Lane);
            return self.done(node, 0, failed);
        };
        assert_eq!(self.pipes[pipe].fetcher, Some(end), "the serving end of a lane asks");
        self.pipes[pipe].queue.push_back(request);
        let queued = self.pipes[pipe].queue.len();
        let name = &self.nodes[node].name;
        assert!(queued <= LANE_QUEUE, "{name} asks too much of a lane");
        if queued == 1 {
            let [a, b] = &self.pipes[pipe].ends;
            let away = 2 * self.latency(a.node, b.node);
            self.serve_next(pipe, away);
        }
    }

    /// A request that came during another answer follows it at once; otherwise it is `away`.
    fn serve_next(&mut self, pipe: usize, away: u64) {
        if self.pipes[pipe].queue.is_empty() {
            return self.lane_rests(pipe);
        }
        self.pick(pipe);
        let bytes = self.pipes[pipe].queue.front().map_or(0, |request| request.bytes);
        let took = away + bytes / self.rate;
        self.pipes[pipe].serial += 1;
        let serial = self.pipes[pipe].serial;
        self.after(took, Happening::Served { pipe, serial });
    }

    /// The host chooses what to send, if the choice was left to it.
    fn pick(&mut self, pipe: usize) {
        let lane = &self.pipes[pipe];
        let Some(fetcher) = lane.fetcher else { return };
        let [End { node: to, conn, .. }, End { node: host, .. }] =
            [&lane.ends[fetcher], &lane.ends[1 - fetcher]];
        let (to, host, conn) = (*to, *host, *conn);
        let Some(request) = self.pipes[pipe].queue.front_mut() else { return };
        let (file, turn) = (request.file, request.turn);
        let Some(Want::Pick(of)) = request.want.clone() else { return };
        let member = self.id(to);
        match self.nodes[host].disk.pick(&file, member, &of) {
            Picked::Chunk(chunk) => {
                let stored = self.nodes[to].disk.files.get(&file);
                let bytes = stored.map_or(0, |of| of.unit_bytes(chunk));
                if let Some(request) = self.pipes[pipe].queue.front_mut() {
                    (request.chunk, request.bytes) = (Some(chunk), bytes);
                }
                self.done(to, 0, Event::ChunkPicked { file, turn, conn, chunk });
            }
            Picked::Elsewhere | Picked::Nothing => {
                if let Some(request) = self.pipes[pipe].queue.front_mut() {
                    request.bytes = 0;
                }
            }
        }
    }

    pub(crate) fn served(&mut self, pipe: usize, serial: u64) {
        let lane = &mut self.pipes[pipe];
        let (Some(fetcher), true) = (lane.fetcher, lane.serial == serial) else { return };
        let [End { node: to, conn, .. }, End { node: host, .. }] =
            [&lane.ends[fetcher], &lane.ends[1 - fetcher]];
        let (to, host, conn) = (*to, *host, *conn);
        let (asleep, vanished) =
            (self.nodes[host].asleep || self.nodes[to].asleep, lane.ends[1 - fetcher].vanished);
        if self.cuts.contains(&(to.min(host), to.max(host))) || asleep || vanished {
            let since = *lane.overdue_ms.get_or_insert(self.now_ms);
            if self.now_ms - since >= LANE_SILENT_MS {
                self.lane_closes(pipe, &Closed::Silent);
            } else {
                self.after(200, Happening::Served { pipe, serial });
            }
            return;
        }
        lane.overdue_ms = None;
        let Some(request) = lane.queue.pop_front() else { return };
        self.serve_next(pipe, 0);
        self.answer(to, host, conn, &request);
    }

    fn answer(&mut self, to: usize, host: usize, conn: ConnId, request: &Request) {
        let Request { file, turn, bytes, .. } = *request;
        if let Some(entry) = request.entry {
            return self.answer_folder_list((to, host, conn), (file, turn), entry);
        }
        if request.want.is_none() {
            let serves = self.nodes[host].disk.list(&file);
            let disk = &mut self.nodes[to].disk;
            let result = match disk.files.get_mut(&file).filter(|_| serves) {
                Some(stored) => {
                    stored.list = true;
                    Ok(disk.held(&file).unwrap())
                }
                // The host has no list, or this partial file was removed meanwhile.
                None => Err(FetchError::NotHeld),
            };
            return self.feed(to, Event::ListFetched { file, turn, conn, result });
        }
        let Some(chunk) = request.chunk else {
            let serves = self.nodes[host].disk.list(&file);
            let error = if serves { FetchError::Elsewhere } else { FetchError::NotHeld };
            return self.feed(to, request.fetched(conn, 0, Err(error)));
        };
        let member = self.id(to);
        if self.nodes[host].disk.cancelled.remove(&(member, file, chunk)) {
            // It was cancelled before it began, or in the middle.
            let (bytes, error) = match self.rng.below(2) {
                0 => (0, FetchError::Busy),
                _ => (bytes / 2, FetchError::NotHeld),
            };
            return self.feed(to, request.fetched(conn, bytes, Err(error)));
        }
        let sent = self.nodes[host].disk.chunk(&file, chunk);
        let result = match sent {
            None => Err(FetchError::NotHeld),
            Some(sent) if sent != content(&file, chunk) => Err(FetchError::Bad),
            Some(sent) => {
                let written = self.nodes[to].disk.writable();
                if written.is_ok() {
                    self.store(to, file, chunk, sent);
                }
                written.map_err(FetchError::Disk)
            }
        };
        let bytes = if sent.is_some() { bytes } else { 0 };
        self.feed(to, request.fetched(conn, bytes, result));
        if bytes > 0 {
            self.feed(host, Event::ChunkServed { member, file, bytes });
        }
    }

    fn store(&mut self, node: usize, file: FileId, chunk: u32, sent: u64) {
        // A partial file removed meanwhile takes the chunk as well, and is lost with it.
        if let Some(stored) = self.nodes[node].disk.files.get_mut(&file) {
            stored.chunks[chunk as usize] = Some(sent);
        }
    }

    /// A connection ended at one end: if it was a lane, what it still had to bring will not come.
    pub(crate) fn lane_ends(&mut self, pipe: usize) {
        let lane = &mut self.pipes[pipe];
        let queue = std::mem::take(&mut lane.queue);
        lane.serial += 1;
        let Some(fetcher) = lane.fetcher else { return };
        let End { node, conn, run, .. } = lane.ends[fetcher];
        // Requests behind the answer in progress are told only by the end of the lane.
        let under_way = queue.front().filter(|_| self.nodes[node].run == run);
        let failed = under_way.map(|request| request.failed(conn, FetchError::Lane));
        failed.into_iter().for_each(|event| self.done(node, 0, event));
    }
}
