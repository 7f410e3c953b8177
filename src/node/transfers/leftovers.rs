//! Partial files that no download of this run uses: reported at the start, removed on request.

use std::path::Path;
use std::sync::Arc;

use super::owed::ReplyGuard;
use super::{TransferShared, Transfers, failures};
use crate::files::leftovers::{self, PartRemoval};
use crate::router::event::{Event, Leftovers};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Finding};
use crate::router::text::{Untrusted, size};
use crate::sys::files::free_bytes;

/// With less space than this, few downloads finish.
const LITTLE_BYTES: u64 = 256 << 20;

impl Transfers {
    /// Looks for what earlier runs left in the downloads folder, and tells the router.
    pub(crate) fn look_for_leftovers(&self) {
        let shared = Arc::clone(&self.shared);
        // A node that is so busy at its very start can do without.
        let _ = self.disk.submit(move || {
            let found = shared.alone(|| leftovers::find(&shared.disk, &shared.folder));
            // A folder that cannot be read is reported when something is downloaded.
            let files = found.unwrap_or_default();
            if !files.is_empty() {
                let folder = shared.folder.canonicalize().unwrap_or(shared.folder.clone());
                // Without a router nobody wants to know.
                let _ = shared.host.inbox.send(Event::LeftoversFound(Leftovers { folder, files }));
            }
        });
    }

    pub(super) fn remove_part(
        &self,
        face: FaceId,
        line: u64,
        wanted: String,
        prefix: Option<String>,
    ) -> Option<Event> {
        let words = wanted.clone();
        let answer = move |result| {
            let wanted = words.clone();
            Event::PartRemoved { face, line, wanted, result }
        };
        let (shared, late) = (Arc::clone(&self.shared), answer.clone());
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, answer(Err(failures::inside())));
            owed.send(answer(shared.remove_meant(&wanted, prefix.as_deref())));
        });
        submitted.err().map(|_| late(Err(failures::too_much())))
    }

    /// Checks whether the downloads folder accepts files.
    pub(super) fn examine_folder(&self, face: FaceId, line: u64) -> Option<Event> {
        let answer = move |list| Event::FolderExamined { face, line, list };
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, answer(Vec::new()));
            owed.send(answer(health(&shared.folder)));
        });
        submitted.err().map(|_| answer(Vec::new()))
    }
}

/// Whether files can be written into a folder, and how much.
fn health(folder: &Path) -> Vec<Finding> {
    let shown = Untrusted::new(folder.to_string_lossy()).line();
    let elsewhere = "free some, or start klatch with --downloads and another folder";
    if let Err(error) = tempfile::tempfile_in(folder) {
        let text = format!("downloads cannot be written into {shown}: {error}");
        return vec![Finding::bad(text, elsewhere)];
    }
    let Ok(free) = free_bytes(folder) else { return Vec::new() };
    let text = format!("downloads go to {shown}, where {} are free", size(free));
    vec![if free < LITTLE_BYTES { Finding::bad(text, elsewhere) } else { Finding::good(text) }]
}

impl TransferShared {
    /// Removes the file whose id begins with these digits, else the one started under this name.
    fn remove_meant(&self, wanted: &str, prefix: Option<&str>) -> Result<Option<u64>, Failure> {
        let removed = prefix.map_or(Ok(None), |prefix| self.remove_part(wanted, prefix))?;
        if removed.is_some() {
            return Ok(removed);
        }
        let named = leftovers::named(&*self.disk, &self.folder, wanted);
        match named.as_deref() {
            Ok([id]) => self.remove_part(wanted, id),
            Ok([]) | Err(_) => Ok(None),
            Ok(ids) => Err(Failure::new(
                Code::AmbiguousName,
                format!("{wanted} names several files; give the id instead: {}", ids.join(", ")),
            )),
        }
    }

    /// Does something with what is left of downloads while no thread opens one.
    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        self.contents.alone(|| self.built.alone(work))
    }

    fn remove_part(&self, wanted: &str, prefix: &str) -> Result<Option<u64>, Failure> {
        let begins = |id: &str| id.starts_with(prefix);
        let is_open = {
            let state = self.lock();
            let mut files = state.downloads.keys().chain(state.folders.keys());
            files.any(|file| begins(&file.to_string()))
        };
        if is_open {
            let text = format!("{wanted} is being downloaded again: cancel that first");
            return Err(Failure::new(Code::IoError, text));
        }
        // One that was just dropped may still be open: a lane waits for its last bytes.
        let open = self.contents.open(prefix);
        let mut freed = None;
        for content in open {
            // It may have got its final name meanwhile.
            if let Ok(bytes) = content.part.discard() {
                freed = Some(freed.unwrap_or(0) + bytes);
            }
            content.retire();
        }
        if let Some(bytes) = self.built.discard(prefix) {
            freed = Some(freed.unwrap_or(0) + bytes);
        }
        let failed = |text: String| Failure::new(Code::IoError, text);
        let removal = self.alone(|| leftovers::remove(&self.disk, &self.folder, prefix));
        match removal {
            Ok(PartRemoval::Removed(bytes)) => Ok(Some(bytes + freed.unwrap_or(0))),
            Ok(PartRemoval::Nothing) => Ok(freed),
            Ok(PartRemoval::Held) if freed.is_some() => Ok(freed),
            Ok(PartRemoval::Held) => Err(failed(format!(
                "another program downloads {wanted} into this folder: its partial file stays"
            ))),
            Ok(PartRemoval::Foreign(path)) => Err(Failure::new(
                Code::PermissionDenied,
                format!(
                    "the partial file of {wanted} belongs to another user, who can remove it: {}",
                    path.display()
                ),
            )),
            Ok(PartRemoval::Several(ids)) => Err(Failure::new(
                Code::AmbiguousName,
                format!("{wanted} begins several ids; give more of one: {}", ids.join(", ")),
            )),
            Err(error) => {
                Err(failed(format!("cannot remove the partial file of {wanted}: {error}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_no_downloads_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let found = health(dir.path());
        assert!(found[0].text.contains("are free"), "{found:?}");
        let missing = dir.path().join("missing");
        let found = health(&missing);
        assert!(!found[0].good && found[0].text.contains("cannot be written"), "{found:?}");
        assert!(found[0].advice.contains("--downloads"));
    }
}
