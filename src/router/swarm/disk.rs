//! Downloads that wait for this computer's disk, and resume by themselves.
//!
//! A full or failing disk is reported once. Then nothing more is fetched for that download, and
//! every few seconds a few missing chunks are written as zeros, in their own places, or beside a
//! folder: only a disk that accepts them will accept what comes next. Verified chunks are still
//! served. The disk itself is tried by the shell.

use std::collections::BTreeSet;

use super::picker::Picker;
use super::{DiskStep, DiskWait, Download, DownloadStage, Swarm};
use crate::router::context::Context;
use crate::router::event::{DiskError, Effect};
use crate::router::ids::FileId;
use crate::router::notice::{Code, Failure, Finding};
use crate::router::time::Millis;

/// Missing chunks that one try writes: about what is in flight once the download resumes.
const LOOK_CHUNKS: usize = 8;
/// Least time between two reports that a download waits or resumes.
const TELL_AGAIN_MS: u64 = 60_000;

impl Swarm {
    /// A fetched chunk could not be written.
    pub(super) fn write_failed(&mut self, cx: &mut Context, file: FileId, error: DiskError) {
        let download = self.downloads.get(&file);
        // A late chunk for a download that has every chunk does not matter.
        if download.is_some_and(|download| download.stage != DownloadStage::Finishing) {
            self.disk_failed(cx, file, error);
        }
    }

    /// The disk failed a download: it waits if that can pass, otherwise it fails.
    pub(super) fn disk_failed(&mut self, cx: &mut Context, file: FileId, error: DiskError) {
        let DiskError { failure, may_pass } = error;
        if !may_pass {
            return self.fail_download(cx, file, failure);
        }
        let (now, look_ms) = (cx.now, cx.limits().disk_look_ms);
        let Some(download) = self.downloads.get_mut(&file) else { return };
        let step = match &download.stage {
            DownloadStage::Opening | DownloadStage::Manifest => DiskStep::Open,
            DownloadStage::List(..) => DiskStep::List,
            DownloadStage::Fetching => DiskStep::Fetch,
            DownloadStage::Finishing => DiskStep::Finish,
            DownloadStage::Waiting(wait) if wait.look_at.is_none() => wait.step,
            DownloadStage::Waiting(_) => return,
        };
        let look_at = Some(now.plus(look_ms));
        let wait = DiskWait { step, failure: failure.clone(), look_at };
        download.stage = DownloadStage::Waiting(wait);
        self.choice.pause(&file, true);
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
        let (name, text, cure) = (download.name(), &failure.text, cure(&failure));
        let text = format!("{name} waits: {text}; it resumes by itself when {cure}");
        cx.complain(Failure::new(failure.code, text));
    }

    /// [`Effect::TryPart`] is done.
    pub(crate) fn part_tried(
        &mut self,
        cx: &mut Context,
        (file, turn): (FileId, u64),
        result: Result<(), DiskError>,
    ) {
        let Some(download) = self.live(&file, turn) else { return };
        let DownloadStage::Waiting(DiskWait { step, look_at: None, .. }) = download.stage else {
            return;
        };
        match result {
            Err(error) => self.disk_failed(cx, file, error),
            Ok(()) => {
                download.stage = match step {
                    DiskStep::List => DownloadStage::List(BTreeSet::new(), Millis(0)),
                    _ => DownloadStage::Fetching,
                };
                self.choice.pause(&file, false);
                self.relieve(cx, file);
            }
        }
    }

    /// Reports that a download resumes, if it was reported that it waits.
    pub(super) fn relieve(&mut self, cx: &mut Context, file: FileId) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        if std::mem::take(&mut download.stops.owes_relief) {
            cx.remark(format!("{} resumes: the disk works again", download.name()));
        }
    }

    /// Tries the disk again for downloads whose time has come.
    pub(super) fn look_again(&mut self, cx: &mut Context) {
        let due = |download: &&Download| match &download.stage {
            DownloadStage::Waiting(wait) => wait.look_at.is_some_and(|at| at <= cx.now),
            _ => false,
        };
        let due = self.downloads.values().filter(due).map(|download| download.file.id);
        for file in due.collect::<Vec<_>>() {
            self.look(cx, file);
        }
    }

    fn look(&mut self, cx: &mut Context, file: FileId) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        let DownloadStage::Waiting(wait) = &mut download.stage else { return };
        let picker = self.choice.picker(&file);
        let free = picker.into_iter().flat_map(Picker::free);
        let chunks: Vec<u32> = free.take(LOOK_CHUNKS).collect();
        let (step, turn) = (wait.step, download.turn);
        if chunks.is_empty() && matches!(step, DiskStep::List | DiskStep::Fetch) {
            // Everything missing is under way, and will show the state of the disk.
            wait.look_at = Some(cx.now.plus(cx.limits().disk_look_ms));
            return;
        }
        wait.look_at = None;
        match step {
            DiskStep::Open => self.open_part(cx, file),
            DiskStep::List | DiskStep::Fetch => {
                cx.effect(Effect::TryPart { file, turn, chunks });
            }
            DiskStep::Finish => {
                let (name, save) = (download.file.name.clone(), download.place.0.clone());
                cx.effect(Effect::FinishPart { file, turn, name, save });
            }
        }
    }

    /// Fails downloads that have waited too long for the disk.
    pub(super) fn fail_stopped(&mut self, cx: &mut Context, ending: Option<Millis>) {
        let no_room_ms = cx.limits().no_host_ms;
        let stopped = |download: &Download| {
            let DownloadStage::Waiting(wait) = &download.stage else { return None };
            let since = download.awaited_since(download.stops.since, ending)?;
            let failure = || (download.file.id, download.name(), wait.failure.clone());
            (cx.now.since(since) >= no_room_ms).then(failure)
        };
        let lost: Vec<_> = self.downloads.values().filter_map(stopped).collect();
        for (file, name, failure) in lost {
            let (text, cure) = (&failure.text, cure(&failure));
            let text = format!(
                "{name} waited for {} s: {text}; run the same download again when {cure}",
                no_room_ms / 1000
            );
            self.fail_download(cx, file, Failure::new(failure.code, text));
        }
    }

    /// Reports downloads that wait for the disk.
    pub(crate) fn examine(&self, list: &mut Vec<Finding>) {
        for download in self.downloads.values() {
            let DownloadStage::Waiting(DiskWait { failure, .. }) = &download.stage else {
                continue;
            };
            list.push(Finding::bad(
                format!("the download of {} is waiting: {}", download.name(), failure.text),
                format!("it resumes when {}", cure(failure)),
            ));
        }
    }
}

impl DiskWait {
    /// When to try the disk again: `None` while it is being tried.
    pub(super) fn look_at(&self) -> Option<Millis> {
        self.look_at
    }

    /// Whether it stopped before the list of chunk hashes was known.
    pub(super) fn needs_list(&self) -> bool {
        matches!(self.step, DiskStep::Open | DiskStep::List)
    }
}

/// What has to change before a download can resume.
fn cure(failure: &Failure) -> &'static str {
    match failure.code {
        Code::DiskFull => "there is room",
        _ => "the disk works again",
    }
}
