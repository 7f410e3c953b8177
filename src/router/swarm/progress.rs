//! What people are told of a download while it is under way: how far it is, and how fast.

use super::{Download, Router, Stage};
use crate::router::ids::FileId;
use crate::router::notice::Notice;
use crate::router::rate::Rate;
use crate::router::time::{Earliest, Millis};

/// Progress is told so often while bytes arrive.
const PROGRESS_MS: u64 = 250;

/// What came, and what was told of it.
#[derive(Debug)]
pub(super) struct Progress {
    /// Of all that arrives, verified or not: a chunk may take longer than anybody's patience.
    pub(super) rate: Rate,
    told: Millis,
    told_rate: u64,
    /// Something came since then.
    news: bool,
}

impl Progress {
    pub(super) fn new(now: Millis) -> Self {
        Self { rate: Rate::new(now), told: now, told_rate: 0, news: false }
    }

    pub(super) fn came(&mut self, now: Millis, bytes: u64) {
        self.rate.came(now, bytes);
        self.news = true;
    }

    /// What comes from now on is another go.
    pub(super) fn stop(&mut self, now: Millis) {
        self.rate = Rate::new(now);
        self.news = true;
    }

    /// When there is something to tell if nothing more comes.
    fn due(&self) -> Option<Millis> {
        match self.news {
            true => Some(self.told.plus(PROGRESS_MS)),
            false => (self.told_rate > 0).then(|| self.rate.silent_at()),
        }
    }
}

impl Download {
    /// Seconds until the rest is here at the present rate.
    pub(super) fn seconds_left(&self, now: Millis) -> Option<u64> {
        let left = self.size - self.bytes_done();
        (self.progress.rate.at(now) > 0).then(|| left.div_ceil(self.progress.rate.at(now)))
    }
}

impl Router {
    /// Nobody who has more of it is here: nobody can tell how long it takes.
    pub(super) fn tell_stall(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        download.progress = Progress::new(self.cx.now);
        let (file, bytes_done) = (download.info(file), download.bytes_done());
        self.cx.notify(Notice::DownloadProgress {
            file,
            bytes_done,
            bytes_per_second: 0,
            seconds_left: None,
            hosts: 0,
        });
    }

    /// Tells how far a download is, if that is due.
    pub(super) fn tell_progress(&mut self, file: FileId) {
        let now = self.cx.now;
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        if download.progress.due().is_none_or(|due| now < due) {
            return;
        }
        if download.hostless_since.is_some() {
            // The last of what was under way came, and nothing more will.
            return self.tell_stall(file);
        }
        let (bytes_per_second, seconds_left) =
            (download.progress.rate.at(now), download.seconds_left(now));
        let progress = &mut download.progress;
        (progress.told, progress.told_rate, progress.news) = (now, bytes_per_second, false);
        let (bytes_done, info) = (download.bytes_done(), download.info(file));
        let hosts = match download.stage {
            // Nothing is asked of them, but it is not they who are waited for.
            Stage::Waiting(_) => self.swarm.choice.picker(&file).map_or(0, |p| p.hosts().count()),
            _ => self.swarm.choice.hosts_in_use(&file),
        };
        self.cx.notify(Notice::DownloadProgress {
            file: info,
            bytes_done,
            bytes_per_second,
            seconds_left,
            hosts,
        });
    }

    /// Tells of all downloads what is due.
    pub(super) fn tell_all_progress(&mut self) {
        let files: Vec<_> = self.swarm.downloads.keys().copied().collect();
        for file in files {
            self.tell_progress(file);
        }
    }

    pub(super) fn progress_deadlines(&self, earliest: &mut Earliest) {
        let due = self.swarm.downloads.values().filter_map(|download| download.progress.due());
        due.for_each(|due| earliest.at(due));
    }
}
