//! Downloads, apart from the swarm: which files a command means, and who could pass one on.

use std::path::PathBuf;

use crate::router::Router;
use crate::router::command::SaveAs;
use crate::router::event::Effect;
use crate::router::files::Offered;
use crate::router::ids::{ConnId, FaceId, FileId, MemberId};
use crate::router::message::Held;
use crate::router::notice::{Code, Failure, Notice, TransferLine};
use crate::router::part::{FolderPart, PathPattern, words};
use crate::router::swarm::{FileRequest, NamedFile, SavePlace};
use crate::router::text::{Untrusted, few, is_glob};

/// Most members named that could pass a file on.
const NAMED_MAX: usize = 4;

impl Router {
    pub(crate) fn download(
        &mut self,
        (face, line): (FaceId, u64),
        (wanted, paths): (&str, Vec<PathPattern>),
        (patient, asks): (bool, bool),
        place: SavePlace,
    ) {
        let request =
            |file, place| FileRequest { face, line, file, patient, asks, place, part: None };
        match self.part_meant(wanted, paths) {
            Ok(None) => {}
            Ok(Some((file, part))) => {
                let request = FileRequest { part, ..request(file, place) };
                return self.swarm.fetch(&mut self.cx, request);
            }
            Err(failure) => return self.cx.reply(face, line, "download", Err(failure)),
        }
        let found = self.lookup().find(wanted, false);
        let first = |offers: Vec<&Offered>| Some(offers.first()?.named_file().clone());
        match found.map(first) {
            Ok(file) => {
                let request = file.map(|file| request(file, place));
                request.into_iter().for_each(|request| self.swarm.fetch(&mut self.cx, request));
            }
            Err(failure) => match self.several_meant((face, line), wanted, failure) {
                Ok(several) => {
                    self.cx.replies.await_several((face, line), several.len());
                    for file in several {
                        let request = request(file, (SaveAs::Dated, None));
                        self.swarm.fetch(&mut self.cx, request);
                    }
                }
                Err(answer) => self.cx.reply(face, line, "download", answer),
            },
        }
    }

    /// A folder and what is meant in it: by these paths, or where words name both with a `/`
    /// between.
    fn part_meant(
        &self,
        wanted: &str,
        paths: Vec<PathPattern>,
    ) -> Result<Option<(NamedFile, Option<FolderPart>)>, Failure> {
        let found = self.lookup().find(wanted, false);
        if paths.is_empty() {
            return Ok(if found.is_ok() { None } else { self.part_named(wanted) });
        }
        let offers = found?;
        let Some(file) = offers.first().map(|offered| offered.named_file()) else {
            return Ok(None);
        };
        match file.folder {
            Some(_) => Ok(Some((file.clone(), Some(FolderPart::of(paths))))),
            None => Err(no_folder(file)),
        }
    }

    /// The same by words: all of them as one path, or each as one in the same folder.
    fn part_named(&self, wanted: &str) -> Option<(NamedFile, Option<FolderPart>)> {
        let each = words(wanted).filter(|words| words.len() > 1).and_then(|words| {
            let named: Option<Vec<_>> =
                words.iter().map(|word| self.folder_and_path(word)).collect();
            let named = named?;
            let file = named.first()?.0.clone();
            let same = named.iter().all(|(of, part)| of.id == file.id && !part.is_empty());
            let parts = named.into_iter().map(|(_, part)| part).collect::<Vec<_>>();
            same.then_some((file, parts))
        });
        let Some((file, part)) = self.folder_and_path(wanted) else {
            let (file, parts) = each?;
            let parts = parts.into_iter().map(PathPattern::Glob).collect();
            return Some((file, Some(FolderPart::of(parts))));
        };
        let each = each.filter(|(of, _)| of.id == file.id).map(|(_, parts)| parts);
        let part = (!part.is_empty()).then(|| FolderPart::of_line(&part, each));
        Some((file, part))
    }

    /// A folder, and the path that a word names in it behind a `/`.
    pub(super) fn folder_and_path(&self, word: &str) -> Option<(NamedFile, String)> {
        let (name, path) = word.split_once('/')?;
        let found = self.lookup().find(name, false).ok()?;
        let file = found.first()?.named_file();
        file.folder?;
        Some((file.clone(), path.to_owned()))
    }

    /// Everything that others offer and a glob or `all` means, but for what is here already.
    /// `failure`: it is the name of nothing. Or the answer, if there is nothing to fetch.
    fn several_meant(
        &mut self,
        (face, line): (FaceId, u64),
        wanted: &str,
        failure: Failure,
    ) -> Result<Vec<NamedFile>, Result<(), Failure>> {
        let lookup = self.lookup();
        let meant = match wanted {
            "all" => lookup.meant(None),
            glob if is_glob(glob) => lookup.meant(Some(glob)),
            _ => Vec::new(),
        };
        let others = meant.into_iter().filter(|offered| offered.author() != self.cx.my_id);
        let others: Vec<NamedFile> = others.map(|of| of.named_file().clone()).collect();
        if others.is_empty() {
            return Err(Err(failure));
        }
        let is_here = |file: &NamedFile| self.swarm.holds_all(&file.id);
        let (held, wanted): (Vec<_>, Vec<_>) = others.into_iter().partition(is_here);
        if !held.is_empty() {
            let names = few(held.iter().map(|file| Untrusted::new(&file.name).short()));
            let text = format!("you already have {names}");
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        if wanted.is_empty() { Err(Ok(())) } else { Ok(wanted) }
    }

    /// A file was checked that should be fetched although it is here.
    pub(crate) fn looked_at(&mut self, face: FaceId, line: u64, path: Option<PathBuf>) {
        if path.is_none()
            && let Some(file) = self.swarm.asked_again(face, line)
        {
            // It was deleted or changed meanwhile.
            if self.files.is_offered_by(self.cx.my_id, file) {
                self.source_checked(file, false, None);
            } else {
                self.swarm.unshare(&mut self.cx, file);
            }
        }
        self.swarm.looked_at(&mut self.cx, (face, line), path);
    }

    /// A member reports what it holds of a file.
    pub(crate) fn hosting(&mut self, conn: ConnId, file: FileId, held: Held, fetching: bool) {
        let chunks = self.files.any(&file).and_then(|of| of.named_file().layout());
        let chunks = chunks.map(|layout| layout.count());
        self.swarm.hosting(&mut self.cx, conn, file, (held, fetching), chunks);
    }

    /// Requests from every host as much as keeps it busy.
    pub(crate) fn schedule(&mut self) {
        if !self.swarm.is_idle() {
            let (hostless, hosts) = self.swarm.look_for_hosts(&self.cx);
            for file in hostless {
                let way = self.way_between(file);
                self.swarm.tell_hostless(&mut self.cx, file, way);
            }
            for host in hosts {
                self.want_lanes(host);
            }
        }
        self.swarm.schedule(&mut self.cx);
    }

    /// Whether a file is offered by a member of the room that cannot be reached from here; then,
    /// who could pass it on.
    fn way_between(&self, file: FileId) -> Option<String> {
        let mut away = self.members.present().filter(|id| self.members.conn_of(id).is_none());
        let author = away.find(|id| self.files.is_offered_by(*id, file))?;
        let reaches = |id: &MemberId| self.members.reaches(id, &author);
        let between =
            self.links.links().map(|(_, link)| link.member()).filter(reaches).take(NAMED_MAX);
        let between: Vec<_> = between.map(|id| self.members.name_of(&id).short()).collect();
        let way = match between.split_last() {
            None => "nobody here can reach you both: `doctor` finds problems".to_owned(),
            Some((only, [])) => {
                format!("{only} can reach you both: once {only} has it, you get it from there")
            }
            Some((last, others)) => format!(
                "{} and {last} can reach you both: once one of them has it, you get it from there",
                others.join(", ")
            ),
        };
        let author = self.members.name_of(&author).short();
        Some(format!("{author} offers it, but you cannot reach each other; {way}"))
    }

    pub(crate) fn files_notice(&self) -> Notice {
        Notice::Files { list: self.lookup().rows() }
    }

    pub(crate) fn transfers_notice(&self) -> Notice {
        Notice::Transfers { list: self.transfer_rows() }
    }

    /// The transfers, and the files being hashed.
    pub(crate) fn transfer_rows(&self) -> Vec<TransferLine> {
        let offered = |file: &FileId| self.files.any(file).map(Offered::named_file).cloned();
        let mut list = self.swarm.transfer_rows(self.cx.now, &self.members, offered);
        list.extend(self.files.hash_rows(self.cx.now));
        list
    }
}

/// There is nothing in a file.
pub(super) fn no_folder(file: &NamedFile) -> Failure {
    let text = format!("{} is a file and no folder: nothing is in it", Untrusted::new(&file.name));
    Failure::new(Code::NothingMatches, text)
}
