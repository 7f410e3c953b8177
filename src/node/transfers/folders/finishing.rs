//! Gives a folder that is whole its name.

use std::sync::Arc;

use super::{FolderContent, NO_TURN};
use crate::files::folder::paths::NameChanges;
use crate::files::folder::staging::FolderUpdate;
use crate::files::names::{download_name, safe_name, stamp};
use crate::node::transfers::downloads::{SavedDownload, now};
use crate::node::transfers::{TransferShared, failures};
use crate::router::command::SaveAs;
use crate::router::event::DiskError;
use crate::router::ids::FileId;
use crate::router::text::Untrusted;

impl TransferShared {
    /// Gives a folder that is whole its name; `None` if no folder is meant.
    pub(in crate::node::transfers) fn finish_folder(
        &self,
        (file, turn): (FileId, u64),
        name: &str,
        save: &SaveAs,
    ) -> Option<Result<SavedDownload, DiskError>> {
        let content = self.lock().folder(file, turn)?;
        let chosen = match save {
            SaveAs::Dated => None,
            SaveAs::Plain => Some(safe_name(name)),
            SaveAs::Named(chosen)
            | SaveAs::Passing(chosen)
            | SaveAs::Mirror { name: chosen, .. } => Some(chosen.clone()),
        };
        let dated = download_name(&stamp(now()), name);
        let go_on = || content.is_for(turn) && !self.is_stopping();
        let finished = match save {
            SaveAs::Mirror { name: here, from, delete } => {
                let (name, offered, delete) = (here.as_str(), (name, *from), *delete);
                let update = FolderUpdate { name, offered, delete };
                content.staging.finish_update(&update, &dated, &go_on)
            }
            _ => content.staging.finish_as(chosen.as_deref(), &dated, &go_on),
        };
        let path = match finished {
            Ok(path) => path,
            Err(error) => return Some(Err(failures::of_part(&error))),
        };
        content.served.finish(path.clone(), content.staging.take_untimed());
        self.past.note(&content.served);
        self.built.retire(file);
        let names = content.paths.changes_of(content.served.manifest(), content.staging.wanted());
        let mut state = self.lock();
        // Cancelled at the last moment, it is there all the same, but not served.
        if state.folders.get(&file).is_some_and(|open| open.turn == turn) {
            content.set_turn(NO_TURN);
            state.folders.remove(&file);
            if content.part.is_none() {
                self.serve_finished(&content);
            }
        }
        Some(Ok(SavedDownload { path, names: names_told(&names) }))
    }

    /// Serves a whole folder from here on, with its manifest.
    fn serve_finished(&self, content: &FolderContent) {
        let sources = &self.host.sources;
        sources.insert_folder_if_absent(content.folder, Arc::clone(&content.served));
        if let Some(list) = content.served.list() {
            sources.insert_manifest_if_absent(content.manifest, Arc::clone(list));
        }
    }
}

/// What people are told of names that begin with a dot, or that are others here.
fn names_told(changes: &NameChanges) -> Option<String> {
    let NameChanges { hidden, renamed, first } = changes;
    let mut parts = Vec::new();
    if *hidden > 0 {
        parts.push(format!("{hidden} hidden"));
    }
    if *renamed > 0 {
        let names: Vec<String> =
            first.iter().map(|(theirs, _)| Untrusted::new(&**theirs).to_string()).collect();
        let more = if *renamed as usize > names.len() { ", …" } else { "" };
        parts.push(format!("{renamed} renamed: {}{more}", names.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
