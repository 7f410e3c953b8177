//! From the request to the start of a download: whether the file is already here, and whose turn it
//! is.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::{
    Download, DownloadProgress, DownloadStage, FileRequest, NamedFile, NamedFolder, Portion, Swarm,
};
use crate::files::names::is_download_of;
use crate::limits::Limits;
use crate::router::command::SaveAs;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure, FileInfo, Notice};
use crate::router::text::Untrusted;

/// Longest file that can be offered or fetched, in bytes: 2 TiB.
pub(crate) const FILE_MAX_BYTES: u64 = 1 << 41;
/// The number of its chunks, of 16 MiB each.
pub const FILE_CHUNKS_MAX: u32 = 131_072;
/// Most downloads running at once, including those that wait for a host: each keeps a file open.
pub(crate) const DOWNLOADS_MAX: usize = 256;
/// Most downloads running or queued.
pub(crate) const QUEUED_MAX: usize = 16_384;

impl Swarm {
    /// A file should be fetched, unless it is here already.
    pub(crate) fn fetch(&mut self, cx: &mut Context, request: FileRequest) {
        let FileRequest { face, line, file, .. } = &request;
        let (face, line, file) = (*face, *line, file.id);
        if request.file.size > FILE_MAX_BYTES {
            let text = format!("{} is larger than 2 TiB", Untrusted::new(&request.file.name));
            return cx.reply(face, line, "download", Err(Failure::new(Code::IoError, text)));
        }
        if self.holds_all(&file) && !self.is_fetching(&file) && request.part.is_none() {
            self.again.push(request);
            return cx.effect(Effect::Look { face, line, file });
        }
        self.enqueue(cx, request);
    }

    fn is_again(face: FaceId, line: u64) -> impl Fn(&FileRequest) -> bool {
        move |request| (request.face, request.line) == (face, line)
    }

    /// The file that is here already and that this command should fetch.
    pub(crate) fn asked_again(&self, face: FaceId, line: u64) -> Option<FileId> {
        let is_it = Self::is_again(face, line);
        self.again.iter().find(|request| is_it(request)).map(|request| request.file.id)
    }

    fn take_again(&mut self, face: FaceId, line: u64) -> Option<FileRequest> {
        let at = self.again.iter().position(Self::is_again(face, line))?;
        Some(self.again.remove(at))
    }

    /// A file was checked that should be fetched although it is here: it is there, or it was
    /// deleted or changed meanwhile.
    pub(crate) fn looked_at(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        path: Option<PathBuf>,
    ) {
        let Some(request) = self.take_again(face, line) else { return };
        let NamedFile { id, name, size, .. } = &request.file;
        let file = FileInfo { id: *id, name: Untrusted::new(name), size: *size };
        let Some(path) = path else { return self.enqueue(cx, request) };
        // If it is wanted elsewhere, it is copied there.
        let is_there = match &request.place {
            (_, None) => true,
            (
                SaveAs::Named(name) | SaveAs::Passing(name) | SaveAs::Mirror { name, .. },
                Some(folder),
            ) => path == folder.join(name),
            (SaveAs::Dated | SaveAs::Plain, Some(folder)) => {
                let saved = path.file_name().map(OsStr::to_string_lossy);
                path.parent() == Some(folder)
                    && saved.is_some_and(|saved| is_download_of(&saved, file.name.raw()))
            }
        };
        if !is_there {
            return self.enqueue(cx, request);
        }
        if request.asks {
            let place = Untrusted::new(path.to_string_lossy()).line();
            let question =
                format!("you already have {}, as {place}: download it again?", file.name);
            self.again.push(request);
            return cx.effect(Effect::Confirm { face, line, question });
        }
        let notice = Notice::AlreadyHave { file, path };
        cx.effect(Effect::Tell { face, line, notice });
        cx.reply(face, line, "download", Ok(()));
    }

    /// The answer to the question whether to fetch again what is here; false if there was none.
    pub(crate) fn again_confirmed(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        yes: Option<bool>,
    ) -> bool {
        match (self.take_again(face, line), yes) {
            (Some(request), Some(true)) => self.enqueue(cx, request),
            (Some(_), None) => {
                let failure =
                    Failure::new(Code::Cancelled, "given up: nothing is downloaded again");
                cx.reply(face, line, "download", Err(failure));
            }
            (Some(_), Some(false)) => cx.reply(face, line, "download", Ok(())),
            (None, _) => return false,
        }
        true
    }

    /// Starts a download, or lets it wait for earlier ones.
    fn enqueue(&mut self, cx: &mut Context, request: FileRequest) {
        if request.asks && self.may_enqueue(&request.file.id) {
            cx.reply(request.face, request.line, "download", Ok(()));
        }
        self.enqueue_answered(cx, request);
    }

    /// Whether there is room for another download.
    fn may_enqueue(&self, file: &FileId) -> bool {
        self.queued.len() < QUEUED_MAX || self.is_fetching(file)
    }

    /// The same for a download whose person, if there is one, knows that it is under way.
    pub(super) fn enqueue_answered(&mut self, cx: &mut Context, request: FileRequest) {
        let (face, line, patient, id) =
            (request.face, request.line, request.patient, request.file.id);
        if !self.may_enqueue(&id) {
            let queued = self.queued.len();
            let text =
                format!("{queued} downloads are queued, which is the limit: wait for one to end");
            return cx.reply(face, line, "download", Err(Failure::new(Code::IoError, text)));
        }
        let command = request.command();
        let Self { downloads, queued, .. } = self;
        if let Some(download) = downloads.get_mut(&id).or_else(|| queued.get_mut(&id)) {
            download.patient &= patient;
            if (&download.place, &download.part) == (&request.place, &request.part)
                && download.part_of.is_none()
            {
                download.commands.extend(command);
                download.faces.insert(face);
            } else {
                download.then.push(request);
            }
            return self.hasten_manifest(&id);
        }
        let FileRequest { file, place, part, .. } = request;
        self.next_number += 1;
        let mut download = Download::new(file, place, patient, cx.now);
        download.number = self.next_number;
        download.commands.extend(command);
        download.faces.insert(face);
        download.part = part;
        let info = download.info();
        self.queue.insert(download.number, id);
        self.queued.insert(id, download);
        self.begin_queued(cx);
        if self.queued.contains_key(&id) {
            cx.notify(Notice::DownloadQueued { file: info });
        }
    }

    /// Starts as many queued downloads as may run, in the order of the requests.
    pub(super) fn begin_queued(&mut self, cx: &mut Context) {
        while let Some(file) = self.next_queued(cx.limits()) {
            self.begin_download(cx, file);
        }
    }

    /// The next download in turn; one that waits for a host does not delay others.
    fn next_queued(&self, limits: &Limits) -> Option<FileId> {
        let first = self.queue.first_key_value().map(|(_, file)| *file)?;
        // Of a folder without its manifest it is that which moves.
        let moves = |download: &&Download| {
            download.hostless_since.is_none() && download.stage != DownloadStage::Manifest
        };
        let moving = self.downloads.values().filter(moves).count();
        let full = self.downloads.len() >= DOWNLOADS_MAX || moving >= limits.moving_downloads;
        (!full).then_some(first)
    }

    /// Starts a queued download, even if it is not its turn.
    pub(super) fn begin_download(&mut self, cx: &mut Context, id: FileId) {
        let Some(mut download) = self.queued.remove(&id) else { return };
        self.queue.remove(&download.number);
        download.began = cx.now;
        download.progress = DownloadProgress::new(cx.now);
        let (info, empty) = (download.info(), download.layout.count() == 0);
        let is_folder = download.file.folder.is_some();
        self.downloads.insert(id, download);
        self.leftovers.forget(&id.to_string());
        cx.notify(Notice::DownloadStarted { file: info });
        if is_folder {
            return self.begin_manifest(cx, id);
        }
        if !empty {
            self.ask_for_hosts(cx, id);
        }
        self.open_part(cx, id);
    }

    /// Lets the partial file of a download be opened.
    pub(super) fn open_part(&mut self, cx: &mut Context, id: FileId) {
        let copy = self.holds_all(&id);
        let Some(download) = self.downloads.get_mut(&id) else { return };
        self.next_turn += 1;
        download.turn = self.next_turn;
        let NamedFile { name, size, root, folder: of, .. } = download.file.clone();
        let (turn, folder) = (download.turn, download.place.1.clone());
        let (part, save) = (download.part.clone(), download.place.0.clone());
        cx.effect(match (download.part_of, of) {
            (Some(_), _) => Effect::OpenManifest { file: id, turn, size, root, copy },
            (None, Some(NamedFolder { manifest, .. })) => {
                Effect::OpenFolder { file: id, turn, manifest, name, part, copy, folder, save }
            }
            (None, None) => Effect::OpenPart { file: id, turn, size, root, name, copy, folder },
        });
    }

    /// Somebody has more files than are kept in mind of it: whether it has this one, it says when
    /// it hears that we fetch it.
    pub(super) fn ask_for_hosts(&mut self, cx: &mut Context, file: FileId) {
        let mut holders = self.holders.all();
        let unsure = holders.any(|of| of.has_more() && of.hosting(&file).is_none());
        drop(holders);
        if unsure && !self.is_shared(&file) {
            self.share(cx, file, Portion::Part);
        }
    }
}
