//! The user's own files: hashing them, and looking at them again.

use std::sync::Arc;

use super::hashing::HashJob;
use super::owed::Owed;
use super::{Transfers, failures};
use crate::router::event::Event;
use crate::router::ids::FileId;
use crate::router::notice::{Code, Failure};

impl Transfers {
    pub(super) fn hash(&self, job: u64, paths: Vec<String>) -> Option<Event> {
        let hash_job = Arc::new(HashJob::default());
        self.shared.lock().hash_jobs.insert(job, Arc::clone(&hash_job));
        let shared = Arc::clone(&self.shared);
        let hashed = self.hashing.submit(move |()| {
            let (inbox, max_bytes) = (&shared.host.inbox, shared.host.limits.file_bytes);
            let owed = Owed::new(inbox, Event::Hashed { job, result: Err(failures::inside()) });
            let result = hash_job.run(job, &paths, max_bytes, inbox);
            if result.is_err() {
                shared.lock().hash_jobs.remove(&job);
            }
            owed.pay(Event::Hashed { job, result });
        });
        hashed.err().map(|_| {
            self.shared.lock().hash_jobs.remove(&job);
            let text = "cannot send the file: too many are being hashed; try again later";
            Event::Hashed { job, result: Err(Failure::new(Code::IoError, text)) }
        })
    }

    /// Looks whether a chunk is still what was offered. When there is too much to do the router
    /// gets no answer, as if nobody had complained: whoever did will not ask here again.
    pub(super) fn recheck(&self, file: FileId, chunk: u32) {
        let Some(served) = self.shared.host.sources.get(&file) else { return };
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move |()| {
            let intact = !served.holds(chunk)
                || served.unchanged() && served.recheck(chunk).unwrap_or(false);
            // Without a router nobody wants to know.
            let _ = shared.host.inbox.send(Event::SourceChecked { file, intact });
        });
        if submitted.is_err() {
            tracing::warn!(file = %file.short(), chunk, "no time to look at a disputed chunk");
        }
    }
}
