//! Looking into a folder: which one is meant, and where in it.

use super::downloading::no_folder;
use crate::router::Router;
use crate::router::event::{Effect, FolderListing};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, FileInfo, Notice};
use crate::router::part::bare;
use crate::router::swarm::{FolderLook, NamedFile};
use crate::router::text::Untrusted;

impl Router {
    /// Lists what is in a folder.
    pub(crate) fn look_inside(
        &mut self,
        (face, line): (FaceId, u64),
        wanted: &str,
        path: Option<String>,
    ) {
        match self.folder_meant(wanted, path) {
            Ok((folder, path)) => {
                let look = FolderLook { face, line, folder, path };
                self.swarm.look_inside(&mut self.cx, look);
            }
            Err(failure) => self.cx.reply(face, line, "files", Err(failure)),
        }
    }

    /// The folder that words name, and the path in it: behind a `/` or a blank, unless it is given.
    fn folder_meant(
        &self,
        wanted: &str,
        path: Option<String>,
    ) -> Result<(NamedFile, String), Failure> {
        let named = |name: &str| -> Result<_, Failure> {
            let offers = self.lookup().find(bare(name), false)?;
            Ok(offers.first().map(|offered| offered.named_file().clone()))
        };
        let failure = match named(wanted) {
            Ok(Some(file)) if file.folder.is_some() => {
                return Ok((file, path.unwrap_or_default()));
            }
            Ok(Some(file)) => return Err(no_folder(&file)),
            Ok(None) => return Err(Failure::new(Code::NoSuchOffer, "nothing is meant")),
            Err(failure) => failure,
        };
        if path.is_some() || failure.code != Code::NoSuchOffer {
            return Err(failure);
        }
        if let Some(found) = self.folder_and_path(bare(wanted)) {
            return Ok(found);
        }
        for (at, _) in wanted.rmatch_indices([' ', '\t']) {
            let (name, path) = wanted.split_at(at);
            if let Ok(Some(file)) = named(name.trim_end())
                && file.folder.is_some()
            {
                return Ok((file, bare(path.trim_start()).to_owned()));
            }
        }
        Err(failure)
    }

    /// What is in a folder was read.
    pub(crate) fn folder_listed(
        &mut self,
        (face, line): (FaceId, u64),
        file: FileInfo,
        result: Result<FolderListing, Failure>,
    ) {
        let done = result.map(|FolderListing { path, list, more }| {
            let path = Untrusted::new(path);
            let notice = Notice::Folder { file, path, list, more };
            self.cx.effect(Effect::Tell { face, line, notice });
        });
        self.cx.reply(face, line, "files", done);
    }
}
