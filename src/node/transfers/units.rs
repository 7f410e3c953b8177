//! What a lane's thread does for folders: manifests, lists of long files, and units.

use std::ops::Range;
use std::sync::Arc;

use super::failures;
use super::fetching::Fetching;
use super::folders::{FolderContent, ManifestContent};
use super::owed::ReplyGuard;
use crate::files::folder::units::UnitContent;
use crate::files::merkle::{ChunkHasher, chunk_range};
use crate::files::part::PartError;
use crate::net::lane::{ChunkWanted, Request};
use crate::router::event::{Event, FetchError, Fetched};

impl Fetching<'_> {
    /// Fetches the list of a manifest's chunk hashes.
    pub(super) fn manifest_list(
        &mut self,
        request: &Request,
        (content, turn): (Arc<ManifestContent>, u64),
    ) {
        let (file, conn) = (request.file, self.conn);
        let result = self.tree(request, content.size, &content.file).map(|tree| {
            let shared = &self.transfers.shared;
            let served = content.adopt(tree, &shared.open_files);
            shared.host.sources.insert_manifest_if_absent(file, Arc::clone(served));
            served.held()
        });
        self.tell(Event::ListFetched { file, turn, conn, result });
    }

    /// Fetches a chunk of a manifest. It is kept apart until it is verified.
    pub(super) fn fetch_manifest(
        &mut self,
        request: &Request,
        content: &ManifestContent,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let range = |chunk| chunk_range(content.size, chunk);
        let length = |chunk| range(chunk).map_or(0, |(_, bytes)| u64::from(bytes));
        let chunk = self.begin(request, fetched, length)?;
        let served = content.served().ok_or(FetchError::NotHeld)?;
        let expected = served.tree().chunk(chunk).ok_or(FetchError::NotHeld)?;
        let (offset, _) = range(chunk).ok_or(FetchError::NotHeld)?;
        let (mut bytes, mut hasher) = (Vec::new(), ChunkHasher::new(content.size, chunk));
        self.take(chunk, fetched, |piece| {
            hasher.update(piece);
            bytes.extend_from_slice(piece);
        })?;
        if hasher.finish().as_ref() != Some(expected) {
            return Err(FetchError::Bad);
        }
        if !served.holds(chunk) {
            content.bytes.write_at(offset, &bytes);
            served.set_held(chunk);
        }
        Ok(())
    }

    /// Fetches the list of a long file in a folder, which counts only if it leads to its root.
    pub(super) fn folder_list(
        &mut self,
        request: &Request,
        (content, turn): (Arc<FolderContent>, u64),
        entry: u32,
    ) {
        let (file, conn) = (request.file, self.conn);
        let answer = move |result| Event::FolderListFetched { file, turn, conn, entry, result };
        let listed = content.listed(entry).ok_or(FetchError::NotHeld);
        let tree = match listed.and_then(|(size, id)| self.tree(request, size, &id)) {
            Ok(tree) => tree,
            Err(error) => return self.tell(answer(Err(error))),
        };
        let shared = Arc::clone(&self.transfers.shared);
        // What an earlier run left is hashed, which may take long: others wait for this lane.
        let submitted = self.transfers.slow.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, answer(Err(FetchError::Lane)));
            owed.send(answer(Ok(content.adopt(entry, tree, turn))));
        });
        if submitted.is_err() {
            self.tell(answer(Err(FetchError::Busy)));
        }
    }

    /// Fetches a unit of a folder, or some files of a bundle.
    pub(super) fn fetch_unit(
        &mut self,
        request: &Request,
        content: &FolderContent,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let spans = |unit| spans(content, request, unit);
        let length = |unit| spans(unit).last().map_or(0, |last| last.bytes.end);
        let unit = self.begin(request, fetched, length)?;
        let hashes = content.hashes(unit).ok_or(FetchError::NotHeld)?;
        let mut wanted = spans(unit);
        let writer = content.staging.writer(unit);
        let mut writing = writer.and_then(|writer| writer.ok_or(PartError::Superseded));
        if let Ok(writer) = &writing {
            // What came since it was asked for is not written again.
            let files = writer.files();
            let is_written =
                |entry: u32| files.binary_search_by_key(&entry, |file| file.entry).is_ok();
            wanted.retain(|span| span.entry.is_none_or(is_written));
            if wanted.len() < files.len() {
                // The host must not be blamed for what it was not asked for.
                writing = Err(PartError::Superseded);
            }
        }
        let mut at = 0;
        self.take(unit, fetched, |piece| {
            for part in wanted.iter().filter_map(|span| span.part_of(at, piece)) {
                if let Ok(writer) = &mut writing
                    && let Err(error) = writer.write(part)
                {
                    writing = Err(error);
                }
            }
            at += piece.len() as u64;
        })?;
        let held = content.served.held();
        match writing.and_then(|writer| writer.finish(&hashes)) {
            Ok(true) => {
                held.insert(unit);
                Ok(())
            }
            Ok(false) => Err(FetchError::Bad),
            Err(PartError::Superseded) if held.has(unit) => Ok(()),
            // The other lane is still at it, and may yet fail.
            Err(PartError::Superseded) => Err(FetchError::Busy),
            Err(error) => Err(FetchError::Disk(failures::of_part(&error))),
        }
    }
}

/// Where in an answer a file of a bundle lies, or all chunks.
struct Span {
    entry: Option<u32>,
    bytes: Range<u64>,
}

impl Span {
    /// What of a piece that begins at `at` lies in it.
    fn part_of<'p>(&self, at: u64, piece: &'p [u8]) -> Option<&'p [u8]> {
        let from = self.bytes.start.max(at) - at;
        let to = self.bytes.end.saturating_sub(at).min(piece.len() as u64);
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
        piece.get(range).filter(|part| !part.is_empty())
    }
}

/// What the answer to a request has in it, in order.
fn spans(content: &FolderContent, request: &Request, unit: u32) -> Vec<Span> {
    let units = content.served.units();
    let files = match units.content(unit) {
        Some(UnitContent::Bundle(files)) => files,
        Some(UnitContent::Chunks { .. }) => {
            let end = units.len_bytes(unit).map_or(0, u64::from);
            return vec![Span { entry: None, bytes: 0..end }];
        }
        None => return Vec::new(),
    };
    let asked = |index: u32| match &request.wanted {
        ChunkWanted::Files { of, .. } => of.has(index),
        _ => true,
    };
    let mut at = 0;
    let files = (0..).zip(files).filter(|(index, _)| asked(*index));
    let span = files.map(|(_, file)| {
        let bytes = at..at + u64::from(file.len);
        at = bytes.end;
        Span { entry: Some(file.entry), bytes }
    });
    span.collect()
}
