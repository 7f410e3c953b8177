//! The progress of a download, and when to report it.

use crate::router::rate::MeasuredRate;
use crate::router::time::Millis;

/// Time between two reports of progress while bytes arrive.
const PROGRESS_MS: u64 = 250;

/// The bytes that arrived, and what was reported of them.
#[derive(Debug)]
pub(super) struct DownloadProgress {
    /// Of everything that arrives, verified or not: a chunk may take longer than anybody waits.
    rate: MeasuredRate,
    told: Millis,
    told_rate: u64,
    /// Whether something came since the last report.
    news: bool,
}

impl DownloadProgress {
    pub(super) fn new(now: Millis) -> Self {
        Self { rate: MeasuredRate::new(now), told: now, told_rate: 0, news: false }
    }

    pub(super) fn came(&mut self, now: Millis, bytes: u64) {
        self.rate.came(now, bytes);
        self.news = true;
    }

    /// What comes from now on is counted separately.
    pub(super) fn stop(&mut self, now: Millis) {
        self.rate = MeasuredRate::new(now);
        self.news = true;
    }

    /// Bytes per second.
    pub(super) fn rate(&self, now: Millis) -> u64 {
        self.rate.at(now)
    }

    /// When there is something to report if nothing more comes.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.news {
            true => Some(self.told.plus(PROGRESS_MS)),
            false => (self.told_rate > 0).then(|| self.rate.silent_at()),
        }
    }

    /// It is reported now; returns the rate.
    pub(super) fn tell(&mut self, now: Millis) -> u64 {
        (self.told, self.told_rate, self.news) = (now, self.rate.at(now), false);
        self.told_rate
    }
}
