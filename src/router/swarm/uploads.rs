//! What was sent to whom, for people.

use std::collections::BTreeMap;

use crate::router::ids::{FileId, MemberId};
use crate::router::rate::MeasuredRate;
use crate::router::time::Millis;

/// How long an upload is shown as running after its last chunk was served.
const SHOWN_MS: u64 = 5_000;

/// How many bytes of one file were sent to one member.
#[derive(Debug)]
struct Upload {
    bytes: u64,
    rate: MeasuredRate,
    last: Millis,
}

/// Everything that was sent in this room.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    sent: BTreeMap<(MemberId, FileId), Upload>,
}

impl Uploads {
    pub(super) fn sent(&mut self, member: MemberId, file: FileId, bytes: u64, now: Millis) {
        let new = || Upload { bytes: 0, rate: MeasuredRate::new(now), last: now };
        let upload = self.sent.entry((member, file)).or_insert_with(new);
        upload.rate.came(now, bytes);
        upload.bytes += bytes;
        upload.last = now;
    }

    /// Those that seem to be running: receiver, file, bytes, and bytes per second.
    pub(super) fn running(
        &self,
        now: Millis,
    ) -> impl Iterator<Item = (&MemberId, &FileId, u64, u64)> {
        let running = self.sent.iter().filter(move |(_, of)| now.since(of.last) < SHOWN_MS);
        running.map(move |((member, file), of)| (member, file, of.bytes, of.rate.at(now)))
    }

    pub(super) fn clear(&mut self) {
        self.sent.clear();
    }
}
