//! Downloads that the disk of this computer stops: they wait, and go on by themselves.
//!
//! A full disk or a device that fails is told once. From then on nothing is fetched for that
//! download, and every few seconds a few missing chunks are written as zeros, in their own places:
//! only a disk that takes them will take what comes next. What is verified is served meanwhile.
//! Absent is the disk itself; the shell tries it.

use std::collections::BTreeSet;

use super::picker::Picker;
use super::{Download, Router, Stage};
use crate::router::event::{DiskError, Effect};
use crate::router::ids::FileId;
use crate::router::notice::{Code, Failure, Finding};
use crate::router::text::Untrusted;
use crate::router::time::{Earliest, Millis};

/// Missing chunks that a look writes: about what is in flight as soon as the download goes on.
const LOOK_CHUNKS: usize = 8;
/// Whoever was told that a download waits, and goes on, is not told again within so long.
const TELL_AGAIN_MS: u64 = 60_000;

/// A download that waits for the disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    step: Step,
    failure: Failure,
    /// `None` while the disk is being looked at.
    look_at: Option<Millis>,
}

impl Waiting {
    /// It stopped before the list of chunk hashes was known.
    pub(super) fn needs_list(&self) -> bool {
        matches!(self.step, Step::Open | Step::List)
    }
}

/// What failed and is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    List,
    Fetch,
    Finish,
}

/// How the disk has treated a download so far.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// Since when nothing could be written; a look that went well does not end it, a chunk does.
    since: Option<Millis>,
    told: Option<Millis>,
    /// It was told that the download waits, and not yet that it goes on.
    owes_relief: bool,
}

impl Stops {
    /// Something was written.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}

impl Router {
    /// What was fetched could not be written.
    pub(super) fn write_failed(&mut self, file: FileId, error: DiskError) {
        let download = self.swarm.downloads.get(&file);
        // What came late to a download that has every chunk is not missed.
        if download.is_some_and(|download| download.stage != Stage::Finishing) {
            self.disk_failed(file, error);
        }
    }

    /// The disk did not do what a download needs: it waits if that can pass, else it fails.
    pub(super) fn disk_failed(&mut self, file: FileId, error: DiskError) {
        let DiskError { failure, may_pass } = error;
        if !may_pass {
            return self.fail_download(file, failure);
        }
        let (now, look_ms) = (self.cx.now, self.cx.limits().disk_look_ms);
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        let step = match &download.stage {
            Stage::Opening => Step::Open,
            Stage::List(..) => Step::List,
            Stage::Fetching => Step::Fetch,
            Stage::Finishing => Step::Finish,
            Stage::Waiting(waiting) if waiting.look_at.is_none() => waiting.step,
            Stage::Waiting(_) => return,
        };
        let look_at = Some(now.plus(look_ms));
        download.stage = Stage::Waiting(Waiting { step, failure: failure.clone(), look_at });
        self.swarm.choice.pause(&file, true);
        download.hostless_since = None;
        download.progress.stop(now);
        let stops = &mut download.stops;
        stops.since.get_or_insert(now);
        let lately = stops.told.is_some_and(|told| now.since(told) < TELL_AGAIN_MS);
        if stops.owes_relief || lately {
            return;
        }
        stops.told = Some(now);
        stops.owes_relief = true;
        let name = Untrusted::new(&download.name);
        let (text, cure) = (&failure.text, cure(&failure));
        let text = format!("{name} waits: {text}; it goes on by itself when {cure}");
        self.cx.complain(Failure::new(failure.code, text));
    }

    pub(in crate::router) fn part_tried(
        &mut self,
        file: FileId,
        turn: u64,
        result: Result<(), DiskError>,
    ) {
        let Some(download) = self.live(&file, turn) else { return };
        let Stage::Waiting(Waiting { step, look_at: None, .. }) = download.stage else { return };
        match result {
            Err(error) => self.disk_failed(file, error),
            Ok(()) => {
                download.stage = match step {
                    Step::List => Stage::List(BTreeSet::new(), Millis(0)),
                    _ => Stage::Fetching,
                };
                self.swarm.choice.pause(&file, false);
                self.relieve(file);
            }
        }
    }

    /// Tells that a download goes on, if it was told that it waits.
    pub(super) fn relieve(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        if std::mem::take(&mut download.stops.owes_relief) {
            let name = Untrusted::new(&download.name);
            self.cx.remark(format!("{name} goes on: the disk takes it again"));
        }
    }

    /// Looks whether the disk works again, for whom it is time.
    pub(super) fn look_again(&mut self) {
        let now = self.cx.now;
        let due = |download: &Download| match &download.stage {
            Stage::Waiting(waiting) => waiting.look_at.is_some_and(|at| at <= now),
            _ => false,
        };
        let files: Vec<_> =
            self.swarm.downloads.iter().filter(|(_, d)| due(d)).map(|(file, _)| *file).collect();
        for file in files {
            self.look(file);
        }
    }

    fn look(&mut self, file: FileId) {
        let copy = self.sharing.holds_all(&file);
        let next_turn = self.swarm.next_turn + 1;
        let (now, look_ms) = (self.cx.now, self.cx.limits().disk_look_ms);
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        let Stage::Waiting(waiting) = &mut download.stage else { return };
        let picker = self.swarm.choice.picker(&file);
        let chunks: Vec<u32> =
            picker.into_iter().flat_map(Picker::free).take(LOOK_CHUNKS).collect();
        let (step, turn) = (waiting.step, download.turn);
        if chunks.is_empty() && matches!(step, Step::List | Step::Fetch) {
            // All that is missing is on its way, and will show how the disk is.
            waiting.look_at = Some(now.plus(look_ms));
            return;
        }
        waiting.look_at = None;
        match step {
            Step::Open => {
                download.turn = next_turn;
                let (size, root, name) = (download.size, download.root, download.name.clone());
                let folder = download.place.1.clone();
                self.swarm.next_turn = next_turn;
                let turn = next_turn;
                self.cx.effect(Effect::OpenPart { file, turn, size, root, name, copy, folder });
            }
            Step::List | Step::Fetch => self.cx.effect(Effect::TryPart { file, turn, chunks }),
            Step::Finish => {
                let (name, save) = (download.name.clone(), download.place.0.clone());
                self.cx.effect(Effect::FinishPart { file, turn, name, save });
            }
        }
    }

    /// Fails downloads that waited for the disk for too long, if somebody waits for them: a
    /// command of a pipe or, since `ending`, the end of stdin.
    pub(super) fn fail_stopped(&mut self, ending: Option<Millis>) {
        let no_room_ms = self.cx.limits().no_host_ms;
        let stopped = |download: &Download| {
            let Stage::Waiting(waiting) = &download.stage else { return None };
            let from = if download.patient { ending } else { Some(Millis(0)) };
            let since = download.stops.since.zip(from).map(|(a, b)| a.max(b))?;
            (self.cx.now.since(since) >= no_room_ms).then(|| waiting.failure.clone())
        };
        let lost: Vec<_> = self
            .swarm
            .downloads
            .iter()
            .filter_map(|(file, d)| Some((*file, Untrusted::new(&d.name), stopped(d)?)))
            .collect();
        for (file, name, failure) in lost {
            let (text, cure) = (&failure.text, cure(&failure));
            let text = format!(
                "{name} waited for {} s: {text}; run the same download again when {cure}",
                no_room_ms / 1000
            );
            self.fail_download(file, Failure::new(failure.code, text));
        }
    }

    /// Downloads that wait for the disk.
    pub(in crate::router) fn examine_downloads(&self, list: &mut Vec<Finding>) {
        for download in self.swarm.downloads.values() {
            let Stage::Waiting(Waiting { failure, .. }) = &download.stage else { continue };
            let name = Untrusted::new(&download.name);
            list.push(Finding::bad(
                format!("the download of {name} waits: {}", failure.text),
                format!("it goes on when {}", cure(failure)),
            ));
        }
    }

    pub(super) fn waiting_deadlines(&self, earliest: &mut Earliest) {
        for download in self.swarm.downloads.values() {
            let Stage::Waiting(waiting) = &download.stage else { continue };
            if let Some(at) = waiting.look_at {
                earliest.at(at);
            }
            if let (Some(since), false) = (download.stops.since, download.patient) {
                earliest.at(since.plus(self.cx.limits().no_host_ms));
            }
        }
    }
}

/// When a download can go on.
fn cure(failure: &Failure) -> &'static str {
    match failure.code {
        Code::DiskFull => "there is room",
        _ => "the disk works again",
    }
}
