//! What people are told of running downloads, transfers and bandwidth limits.

use super::leftovers::{PartialFiles, describe};
use super::{Download, DownloadProgress, DownloadStage, NamedFile, Swarm};
use crate::router::command::RateLimit;
use crate::router::context::Context;
use crate::router::event::{Effect, Leftovers};
use crate::router::ids::{FaceId, FileId};
use crate::router::members::Members;
use crate::router::notice::{MovingFile, Notice, TransferLine, TransferState};
use crate::router::text::{Untrusted, size};
use crate::router::time::Millis;

impl Swarm {
    /// Seconds until the rest is here, at the present rate.
    fn seconds_left(&self, download: &Download, now: Millis) -> Option<u64> {
        let total = download.layout.total_bytes().min(download.file.size);
        let left = total.saturating_sub(self.bytes_done(download));
        let rate = download.progress.rate(now);
        (rate > 0).then(|| left.div_ceil(rate))
    }

    /// No host here has more of it, so nobody can tell how long it will take.
    pub(super) fn tell_stall(&mut self, cx: &mut Context, file: FileId) {
        let Some(download) = self.downloads.get_mut(&file) else { return };
        if download.part_of.is_some() {
            return;
        }
        download.progress = DownloadProgress::new(cx.now);
        let Some(download) = self.downloads.get(&file) else { return };
        cx.notify(Notice::DownloadProgress {
            file: download.info(),
            bytes_done: self.bytes_done(download),
            bytes_per_second: 0,
            seconds_left: None,
            hosts: 0,
        });
    }

    /// Reports how far a download has come, if that is due.
    pub(super) fn tell_progress(&mut self, cx: &mut Context, file: FileId) {
        let now = cx.now;
        let Some(download) = self.downloads.get_mut(&file) else { return };
        if download.part_of.is_some() || download.progress.due().is_none_or(|due| now < due) {
            return;
        }
        if download.hostless_since.is_some() {
            // The last bytes under way have come, and nothing more will.
            return self.tell_stall(cx, file);
        }
        let bytes_per_second = download.progress.tell(now);
        let Some(download) = self.downloads.get(&file) else { return };
        let hosts = match download.stage {
            // Nothing is requested from them, but they are not to blame for the wait.
            DownloadStage::Waiting(_) => self.hosts_known(&file),
            _ => self.choice.hosts_in_use(&file),
        };
        cx.notify(Notice::DownloadProgress {
            file: download.info(),
            bytes_done: self.bytes_done(download),
            bytes_per_second,
            seconds_left: self.seconds_left(download, now),
            hosts,
        });
    }

    /// Hosts of a download, whether or not anything is requested from them.
    pub(super) fn hosts_known(&self, file: &FileId) -> usize {
        self.choice.picker(file).map_or(0, |picker| picker.hosts().count())
    }

    /// Reports the progress of all downloads, as far as due.
    pub(super) fn tell_all_progress(&mut self, cx: &mut Context) {
        let files: Vec<_> = self.downloads.keys().copied().collect();
        for file in files {
            self.tell_progress(cx, file);
        }
    }

    /// What is moving: downloads in the order of the requests, the queued ones last; then what is
    /// sent to others.
    pub(crate) fn transfer_rows(
        &self,
        now: Millis,
        members: &Members,
        offered: impl Fn(&FileId) -> Option<NamedFile>,
    ) -> Vec<TransferLine> {
        let asked = |download: &&Download| download.part_of.is_none();
        let mut downloads: Vec<_> = self.downloads.values().filter(asked).collect();
        downloads.sort_by_key(|download| download.number);
        let queued = self.queue.values().filter_map(|file| self.queued.get(file));
        let row = |download: &Download| TransferLine {
            file: moving(&download.file),
            state: match download.stage {
                _ if self.queued.contains_key(&download.file.id) => TransferState::Queued,
                DownloadStage::Waiting(_) => TransferState::Waiting,
                _ => TransferState::Fetching,
            },
            bytes_done: self.bytes_done(download),
            bytes_per_second: download.progress.rate(now),
            seconds_left: self.seconds_left(download, now),
            hosts: self.choice.hosts_in_use(&download.file.id),
            to: None,
        };
        let mut list: Vec<TransferLine> = downloads.into_iter().chain(queued).map(row).collect();
        list.extend(self.uploads.running(now).filter_map(|(member, file, bytes_done, rate)| {
            let whole = self.holders.of(member).is_some_and(|holder| holder.holds_all(file));
            let offered = offered(file).filter(|_| !whole)?;
            Some(TransferLine {
                file: moving(&offered),
                state: TransferState::Serving,
                bytes_done,
                bytes_per_second: rate,
                seconds_left: None,
                hosts: 0,
                to: Some(members.who(member)),
            })
        }));
        list
    }

    /// Reports what earlier runs left behind.
    pub(crate) fn leftovers_found(&mut self, cx: &mut Context, leftovers: Leftovers) {
        if let Some(text) = describe(&leftovers) {
            cx.remark(text);
            self.leftovers = PartialFiles::found(leftovers);
        }
    }

    /// The partial file of `wanted`, which has that name, is removed.
    pub(crate) fn leftover_removed(
        &mut self,
        cx: &mut Context,
        wanted: &str,
        (name, bytes): (&str, u64),
    ) {
        self.leftovers.forget(wanted);
        let (name, freed) = (Untrusted::new(name), size(bytes));
        cx.remark(format!("the partial file of {name} is removed ({freed} freed)"));
    }
}

fn moving(file: &NamedFile) -> MovingFile {
    let NamedFile { id, name, size, .. } = file;
    MovingFile { id: Some(*id), name: Untrusted::new(name), size: *size }
}

/// How files are limited, in words.
fn limit_text(up: bool, bytes_per_second: Option<u64>) -> String {
    let way = if up { "upload" } else { "download" };
    match bytes_per_second {
        Some(rate) => format!("{way} limit: {}/s", size(rate)),
        None => format!("no {way} limit"),
    }
}

/// Limits how much of the network files may use, from now on; or reports the limits.
pub(crate) fn limit(cx: &mut Context, (face, line): (FaceId, u64), change: Option<RateLimit>) {
    let Some(RateLimit { up, bytes_per_second }) = change else {
        let (up, down) = (cx.limits().up_bytes_per_s, cx.limits().down_bytes_per_s);
        for text in [limit_text(true, up), limit_text(false, down)] {
            cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        return;
    };
    let limits = &mut cx.config.limits;
    let limit = if up { &mut limits.up_bytes_per_s } else { &mut limits.down_bytes_per_s };
    *limit = bytes_per_second;
    cx.effect(Effect::Limit { up, bytes_per_second });
    cx.remark(limit_text(up, bytes_per_second));
}
