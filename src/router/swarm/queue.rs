//! From the command to the beginning of a download: what is meant, whether it is here already, and
//! whose turn it is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::progress::Progress;
use super::waiting::Stops;
use super::{Download, Router, Stage, Swarm};
use crate::files::names::is_download_of;
use crate::limits::Limits;
use crate::router::catalogue::Offered;
use crate::router::command::SaveAs;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::{Untrusted, few, is_glob};

/// How a download is called on this computer, and in which folder; `None`: that for downloads.
pub(super) type Place = (SaveAs, Option<PathBuf>);

/// A download of what is here already: nothing is done about it before that was looked at and,
/// where somebody is there, asked about.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) face: FaceId,
    pub(super) line: u64,
    offered: Offered,
    patient: bool,
    asks: bool,
    place: Place,
}

impl Swarm {
    fn take_again(&mut self, face: FaceId, line: u64) -> Option<Again> {
        let at = self.again.iter().position(|again| (again.face, again.line) == (face, line))?;
        Some(self.again.remove(at))
    }

    /// The next download whose turn it is; one that waits for a host keeps no other from its turn.
    fn next_queued(&self, limits: &Limits) -> Option<FileId> {
        let first = self.queue.first_key_value().map(|(_, file)| *file)?;
        let moves = |download: &&Download| download.hostless_since.is_none();
        let moving = self.downloads.values().filter(moves).count();
        let full = self.downloads.len() >= limits.downloads || moving >= limits.moving_downloads;
        (!full).then_some(first)
    }
}

impl Again {
    /// The command that is to be answered in the end; a person was answered already.
    pub(super) fn command(&self) -> Option<(FaceId, u64)> {
        Some((self.face, self.line)).filter(|_| !self.asks)
    }

    /// Whether this face wants it.
    pub(super) fn is_of(&self, face: FaceId) -> bool {
        self.face == face
    }
}

impl Router {
    pub(in crate::router) fn download(
        &mut self,
        (face, line): (FaceId, u64),
        wanted: &str,
        (patient, asks): (bool, bool),
        place: Place,
    ) {
        let offered = match self.find_offers(wanted, false) {
            Ok(offers) => offers.into_iter().next(),
            Err(failure) => {
                return self.download_several((face, line), wanted, (patient, asks), failure);
            }
        };
        let Some(offered) = offered else { return };
        self.download_one((face, line), offered, (patient, asks), place);
    }

    /// Everything that others offer and a glob or `all` means, but for what is here already; the
    /// command ends with the last of them. `failure`: it is the name of nothing.
    fn download_several(
        &mut self,
        (face, line): (FaceId, u64),
        wanted: &str,
        (patient, asks): (bool, bool),
        failure: Failure,
    ) {
        let meant = match wanted {
            "all" => self.meant_offers(None),
            glob if is_glob(glob) => self.meant_offers(Some(glob)),
            _ => Vec::new(),
        };
        let others = meant.into_iter().filter(|offered| offered.author != self.cx.my_id);
        let others: Vec<Offered> = others.cloned().collect();
        if others.is_empty() {
            return self.cx.reply(face, line, "download", Err(failure));
        }
        let is_here = |offered: &Offered| self.sharing.holds_all(&offered.file);
        let (held, wanted): (Vec<_>, Vec<_>) = others.into_iter().partition(is_here);
        if !held.is_empty() {
            let names = few(held.iter().map(|offered| Untrusted::new(&offered.name).short()));
            let text = format!("you have {names} already");
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        if wanted.is_empty() {
            return self.cx.reply(face, line, "download", Ok(()));
        }
        self.cx.replies.await_several((face, line), wanted.len());
        for offered in wanted {
            self.download_one((face, line), offered, (patient, asks), (SaveAs::Dated, None));
        }
    }

    fn download_one(
        &mut self,
        (face, line): (FaceId, u64),
        offered: Offered,
        (patient, asks): (bool, bool),
        place: Place,
    ) {
        if offered.size > self.cx.limits().file_bytes {
            let text = format!("{} is larger than 2 TiB", Untrusted::new(&offered.name));
            let failure = Failure::new(Code::IoError, text);
            return self.cx.reply(face, line, "download", Err(failure));
        }
        let file = offered.file;
        let again = Again { face, line, offered, patient, asks, place };
        if self.sharing.holds_all(&file) && !self.swarm.is_fetching(&file) {
            self.swarm.again.push(again);
            return self.cx.effect(Effect::Look { face, line, file });
        }
        self.enqueue(again);
    }

    /// A file that is to be fetched although it is here was looked at.
    pub(in crate::router) fn looked_at(&mut self, face: FaceId, line: u64, path: Option<PathBuf>) {
        let Some(again) = self.swarm.take_again(face, line) else { return };
        let file = again.offered.info();
        let Some(path) = path else {
            // It was deleted or changed meanwhile.
            if self.catalogue.offers(self.cx.my_id, file.id) {
                self.source_checked(file.id, false);
            } else {
                self.unshare(file.id);
            }
            return self.enqueue(again);
        };
        // Whoever wants it elsewhere has it copied there.
        let is_there = match &again.place {
            (_, None) => true,
            (SaveAs::Named(name) | SaveAs::Passing(name), Some(folder)) => {
                path == folder.join(name)
            }
            (SaveAs::Dated | SaveAs::Plain, Some(folder)) => {
                let saved = path.file_name().map(OsStr::to_string_lossy);
                path.parent() == Some(folder)
                    && saved.is_some_and(|saved| is_download_of(&saved, file.name.raw()))
            }
        };
        if !is_there {
            return self.enqueue(again);
        }
        if again.asks {
            let place = Untrusted::new(path.to_string_lossy()).line();
            let question = format!("you have {} already, as {place}: fetch it again?", file.name);
            self.swarm.again.push(again);
            return self.cx.effect(Effect::Confirm { face, line, question });
        }
        let notice = Notice::AlreadyHave { file, path };
        self.cx.effect(Effect::Tell { face, line, notice });
        self.cx.reply(face, line, "download", Ok(()));
    }

    /// The answer to the question whether to fetch again what is here.
    pub(in crate::router) fn again_confirmed(
        &mut self,
        face: FaceId,
        line: u64,
        yes: Option<bool>,
    ) -> bool {
        match (self.swarm.take_again(face, line), yes) {
            (Some(again), Some(true)) => self.enqueue(again),
            (Some(_), None) => {
                let failure = Failure::new(Code::Cancelled, "given up: nothing is fetched again");
                self.cx.reply(face, line, "download", Err(failure));
            }
            (Some(_), Some(false)) => self.cx.reply(face, line, "download", Ok(())),
            (None, _) => return false,
        }
        true
    }

    /// Begins a download, or has it wait for those that were asked for before.
    fn enqueue(&mut self, again: Again) {
        if again.asks && self.may_enqueue(&again.offered.file) {
            self.cx.reply(again.face, again.line, "download", Ok(()));
        }
        self.enqueue_answered(again);
    }

    /// Whether there is room for another download.
    fn may_enqueue(&self, file: &FileId) -> bool {
        self.swarm.queued.len() < self.cx.limits().queued_downloads || self.swarm.is_fetching(file)
    }

    /// The same for a download whose person, if there is one, knows that it goes its way.
    pub(super) fn enqueue_answered(&mut self, again: Again) {
        let (face, line, patient) = (again.face, again.line, again.patient);
        let file = again.offered.file;
        let queued = self.swarm.queued.len();
        if !self.may_enqueue(&file) {
            let text = format!("{queued} downloads are queued, and no more can be: wait for one");
            return self.cx.reply(face, line, "download", Err(Failure::new(Code::IoError, text)));
        }
        let command = again.command();
        let Swarm { downloads, queued, .. } = &mut self.swarm;
        if let Some(download) = downloads.get_mut(&file).or_else(|| queued.get_mut(&file)) {
            download.patient &= patient;
            if download.place == again.place {
                download.commands.extend(command);
                download.faces.insert(face);
            } else {
                download.then.push(again);
            }
            return;
        }
        let Again { offered, place, .. } = again;
        self.swarm.next_number += 1;
        let download = Download {
            name: offered.name,
            size: offered.size,
            root: offered.root,
            commands: command.into_iter().collect(),
            number: self.swarm.next_number,
            turn: 0,
            stage: Stage::Opening,
            chunks_done: 0,
            helped: BTreeSet::new(),
            bytes_fetched: 0,
            began: self.cx.now,
            progress: Progress::new(self.cx.now),
            hostless_since: None,
            told_no_way: false,
            stops: Stops::default(),
            patient,
            place,
            faces: BTreeSet::from([face]),
            then: Vec::new(),
        };
        let info = download.info(file);
        self.swarm.queue.insert(download.number, file);
        self.swarm.queued.insert(file, download);
        self.begin_queued();
        if self.swarm.queued.contains_key(&file) {
            self.cx.notify(Notice::DownloadQueued { file: info });
        }
    }

    /// Begins as many of the queued downloads as may be under way, in the order asked.
    pub(super) fn begin_queued(&mut self) {
        while let Some(file) = self.swarm.next_queued(&self.cx.config.limits) {
            self.begin_download(file);
        }
    }

    pub(super) fn begin_download(&mut self, file: FileId) {
        let (now, copy) = (self.cx.now, self.sharing.holds_all(&file));
        let Some(mut download) = self.swarm.queued.remove(&file) else { return };
        self.swarm.queue.remove(&download.number);
        self.swarm.next_turn += 1;
        let turn = self.swarm.next_turn;
        (download.turn, download.began, download.progress) = (turn, now, Progress::new(now));
        let (size, root, name) = (download.size, download.root, download.name.clone());
        let folder = download.place.1.clone();
        let info = download.info(file);
        self.swarm.downloads.insert(file, download);
        self.forget_leftover(&file.to_string());
        self.cx.notify(Notice::DownloadStarted { file: info });
        self.ask_for_hosts(file, size);
        self.cx.effect(Effect::OpenPart { file, turn, size, root, name, copy, folder });
    }
}
