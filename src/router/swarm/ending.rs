//! How downloads end: complete, failed, or cancelled.

use std::path::PathBuf;

use super::{Choice, Download, FileRequest, Portion, Swarm};
use crate::router::command::SaveAs;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::time::Millis;

impl Swarm {
    /// A download has ended with the file at this path.
    pub(super) fn end_download(&mut self, cx: &mut Context, file: FileId, path: PathBuf) {
        let Some(download) = self.downloads.remove(&file) else { return };
        cx.notify(Notice::DownloadFinished {
            file: download.info(),
            path,
            bytes_fetched: download.bytes_fetched,
            took_ms: cx.now.since(download.began),
            hosts: download.helped.len(),
        });
        let keeps = download.part.is_none() && !matches!(download.place.0, SaveAs::Passing(_));
        if !keeps && self.holds_all(&file) {
            self.tell_hosting(cx, file);
        } else if !keeps {
            self.unshare(cx, file);
            // Even if it was here before anybody heard of it.
            cx.effect(Effect::Unserve { file });
            self.shares.pass_on(file);
            self.tell_hosting(cx, file);
        } else {
            // What could not be served meanwhile took the manifest with it.
            if let Some(folder) = download.file.folder {
                self.share_manifest(cx, file, folder.manifest);
            }
            self.share(cx, file, Portion::Whole);
        }
        for (face, line) in download.commands {
            cx.reply(face, line, "download", Ok(()));
        }
        for request in download.then {
            self.enqueue_answered(cx, request);
        }
        self.manifest_over(cx, file);
    }

    /// Removes a download, started or not.
    fn take_out(&mut self, file: &FileId) -> Option<Download> {
        self.downloads.remove(file).or_else(|| {
            let download = self.queued.remove(file)?;
            self.queue.remove(&download.number);
            Some(download)
        })
    }

    pub(super) fn fail_download(&mut self, cx: &mut Context, file: FileId, failure: Failure) {
        if let Some(folder) = self.downloads.get(&file).and_then(|download| download.part_of) {
            return match self.is_fetching(&folder) {
                true => self.fail_download(cx, folder, failure),
                false => self.end_look(cx, file, &failure),
            };
        }
        let Some(download) = self.take_out(&file) else { return };
        self.drop_manifest(cx, &download);
        self.choice.end(&file);
        cx.effect(Effect::DropPart { file, turn: download.turn });
        if !self.holds_all(&file) {
            self.unshare(cx, file);
        }
        cx.notify(Notice::DownloadFailed { file: download.info(), failure: failure.clone() });
        // Another folder may accept what one refused.
        let elsewhere = !matches!(failure.code, Code::Cancelled | Code::NoHost | Code::Removed);
        for request in download.then {
            match request.command() {
                _ if elsewhere => self.enqueue_answered(cx, request),
                Some((face, line)) => cx.reply(face, line, "download", Err(failure.clone())),
                None => {}
            }
        }
        for (face, line) in download.commands {
            cx.reply(face, line, "download", Err(failure.clone()));
        }
        self.manifest_over(cx, file);
        // Those who only look go on waiting.
        if let Some(of) = download.file.folder {
            self.look_on(cx, of.manifest);
        }
    }

    /// No download can continue, not even one that waits for its turn or for an answer.
    pub(crate) fn fail_all(&mut self, cx: &mut Context, failure: &Failure) {
        self.fail_looks(cx, failure);
        // The queued ones first, so that none of them starts.
        let files: Vec<_> = self.queued.keys().chain(self.downloads.keys()).copied().collect();
        let again = std::mem::take(&mut self.again);
        for file in files {
            self.fail_download(cx, file, failure.clone());
        }
        for FileRequest { face, line, .. } in again {
            cx.reply(face, line, "download", Err(failure.clone()));
        }
    }

    pub(crate) fn cancel(&mut self, cx: &mut Context, file: FileId) {
        let failure = Failure::new(
            Code::Cancelled,
            "the download was cancelled; verified chunks are kept for next time",
        );
        self.fail_download(cx, file, failure);
    }

    /// A face ended: downloads that only it wanted are cancelled.
    pub(crate) fn end_face(&mut self, cx: &mut Context, face: FaceId) {
        let Self { downloads, queued, again, .. } = self;
        let wants = |request: &FileRequest| request.face == face;
        again.retain(|request| !wants(request));
        let mut unwanted = Vec::new();
        let asked = downloads.iter_mut().filter(|(_, download)| download.part_of.is_none());
        for (file, download) in queued.iter_mut().chain(asked) {
            download.faces.remove(&face);
            download.commands.retain(|(of, _)| *of != face);
            download.then.retain(|request| !wants(request));
            if download.faces.is_empty() && download.then.is_empty() {
                unwanted.push(*file);
            }
        }
        for file in unwanted {
            self.cancel(cx, file);
        }
        self.end_looks_of(cx, face);
    }

    /// The room is left: downloads end, and there are no hosts.
    pub(crate) fn drop_downloads(&mut self, cx: &mut Context) {
        let failure = "the room was left meanwhile; verified chunks are kept for next time";
        self.fail_all(cx, &Failure::new(Code::Cancelled, failure));
        self.choice = Choice::default();
        self.lanes.clear();
    }

    /// Fails downloads that have waited too long for a host, or for the disk, if somebody waits for
    /// them: a command from a pipe or, since `ending`, the end of stdin. True while some continue.
    pub(crate) fn fail_stuck(&mut self, cx: &mut Context, ending: Option<Millis>) -> bool {
        self.fail_stopped(cx, ending);
        let no_host_ms = cx.limits().no_host_ms;
        let lost = self.downloads.values().filter(|download| {
            let since = download.awaited_since(download.hostless_since, ending);
            since.is_some_and(|since| cx.now.since(since) >= no_host_ms)
        });
        let cure = |download: &Download| match download.part_of {
            Some(folder) if !self.is_fetching(&folder) => "try again when somebody has it",
            _ => "run the same download again to resume",
        };
        let told = |download: &Download| (download.file.id, download.name(), cure(download));
        let lost: Vec<_> = lost.map(told).collect();
        for (file, name, cure) in lost {
            let seconds = no_host_ms / 1000;
            let text = format!("nobody who has {name} came in {seconds} s; {cure}");
            self.fail_download(cx, file, Failure::new(Code::NoHost, text));
        }
        !self.is_idle()
    }
}

impl Download {
    /// Since when somebody waits for what has lasted since `since`: an impatient command, or the
    /// end of stdin, which began then.
    pub(super) fn awaited_since(
        &self,
        since: Option<Millis>,
        ending: Option<Millis>,
    ) -> Option<Millis> {
        let from = if self.patient { ending } else { Some(Millis(0)) };
        since.zip(from).map(|(since, from)| since.max(from))
    }
}
